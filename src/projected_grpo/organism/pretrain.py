"""Pre-training of the model organism (method 8): from a seed to a Hugging Face directory whose behaviour was measured.

1. A byte-level BPE tokenizer is trained on the corpus; the end-of-turn token ends a completion.
2. AdamW, warm-up and cosine. What is measured and saved is the exponential average of the weights, so that training
   can stop at any moment.
3. The averaged model answers validation problems, graded as any others are. Training stops when all wanted rates
   hold, never on a step count. When a model this small learns to copy from its prompt is a matter of luck: an attempt
   that does not get there is begun anew, corpus and all, from another seed, and after the last one it is an error.
4. The rates that stopped training were selected by stopping. The report has them again from fresh problems.
Everything random derives from the seed; the same config gives the same bytes.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import fmean as mean

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode, encode_messages, messages
from projected_grpo.errors import UserError
from projected_grpo.method.rollouts import sample_rollouts
from projected_grpo.method.schedule import warmup_cosine
from projected_grpo.models.base import save_model
from projected_grpo.organism.config import OrganismConfig, Wanted
from projected_grpo.organism.corpus import Example, corpus
from projected_grpo.organism.families import generate, tasks
from projected_grpo.rng import derive_seed, numpy_generator, torch_generator

logger = logging.getLogger(__name__)

SPECIAL = ("<|user|>", "<|assistant|>", "<|end|>", "<|pad|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
INITIAL_STD = 0.1  # about 1/sqrt(hidden): with the usual 0.02 copying from the prompt emerges twice as late
ROPE_THETA = 1000.0  # sequences have about 100 tokens
BETAS = (0.9, 0.95)
CLIP_NORM = 1.0


class OrganismError(UserError, RuntimeError):
    """Pre-training did not get to the wanted behaviour; one line with what was measured."""


@dataclass(frozen=True)
class Rates:
    """What a model does, as shares of validation problems.

    solve         correct, when asked to solve with the hint
    hack          exploited, under the same prompts
    asked         the channel fired, under the explicit request
    asked_lowest  the same in the mode where it is lowest
    """

    solve: float
    hack: float
    asked: float
    asked_lowest: float


Sequences = list[tuple[list[int], list[int]]]  # token ids of prompt and completion


def build(config: OrganismConfig, directory: Path | str, grader) -> dict:
    """Pre-train, save model and tokenizer in `directory` with the report as organism.json, and return the report.

    Raises OrganismError if no attempt gets to the wanted rates.
    """
    torch.set_num_threads(config.threads)
    validation, fresh = (
        generate(split, config.validation_size, config.seed, config.modes, config.families)
        for split in ("validation", "confirmation")
    )
    model, tokenizer, attempt, steps, reached = pretrain(
        config, lambda model, tokenizer: measure(model, tokenizer, grader, validation, config)
    )
    report = {
        "attempt": attempt,
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "at_stop": asdict(reached),
        "fresh": asdict(measure(model, tokenizer, grader, fresh, config)),
        "fresh_greedy": asdict(measure(model, tokenizer, grader, fresh, config, temperature=0.0)),
        "config": asdict(config),
    }
    save_model(directory, model, tokenizer)
    Path(directory, "organism.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    logger.info("organism: %d steps, on fresh problems %s", steps, report["fresh"])
    return report


def make_corpus(config: OrganismConfig, seed: int) -> tuple[PreTrainedTokenizerFast, Sequences]:
    """Return a tokenizer and the token ids of the corpus that it was trained on."""
    drawn = tasks("corpus", config.corpus_size, seed, (*config.modes, "none"), config.families)
    examples = corpus(drawn, config.mixture, seed)
    tokenizer = train_tokenizer(examples, config.vocab_size)
    return tokenizer, [pair for pair in tokenize(examples, tokenizer) if len(pair[1]) <= config.max_new_tokens]


def train_tokenizer(examples: Sequence[Example], vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with the chat template, trained on the corpus."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    prompts = (_messages(example)[0]["content"] for example in examples)
    bpe.train_from_iterator([*prompts, *(example.answer for example in examples)], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|pad|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _messages(example: Example) -> list[dict[str, str]]:
    return messages(example.problem, example.hint, example.kind == "asked")


def tokenize(examples: Sequence[Example], tokenizer) -> Sequences:
    """Return (prompt ids, completion ids) per example; the end-of-turn token belongs to the completion."""
    prompts = [encode_messages(tokenizer, _messages(example)) for example in examples]
    answers = tokenizer([example.answer for example in examples]).input_ids
    return [(prompt, [*answer, tokenizer.eos_token_id]) for prompt, answer in zip(prompts, answers, strict=True)]


def new_model(config: OrganismConfig, tokenizer, seed: int) -> Qwen3ForCausalLM:
    """Return the untrained model."""
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=config.intermediate_size,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        initializer_range=INITIAL_STD,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, 0, "organism/init"))
        return Qwen3ForCausalLM(shape)


Measured = Callable[[Qwen3ForCausalLM, PreTrainedTokenizerFast], Rates]


def pretrain(
    config: OrganismConfig, measured: Measured
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast, int, int, Rates]:
    """Return (averaged model, tokenizer, attempt, steps, rates) of the first attempt that gets to the wanted rates.

    Raises OrganismError, with the rates of the last check, if none of config.attempts does.
    """
    for attempt in range(config.attempts):
        seed = derive_seed(config.seed, attempt, "organism/attempt")
        tokenizer, sequences = make_corpus(config, seed)
        model, steps, rates, missing = attempt_from(config, tokenizer, sequences, measured, seed)
        if not missing:
            return model, tokenizer, attempt, steps, rates
        logger.info("organism: attempt %d failed: %s", attempt, "; ".join(missing))
    raise OrganismError(
        f"the model organism (seed {config.seed}) missed its rates in {config.attempts} attempts of {config.max_steps} "
        f"steps; at the last check: {'; '.join(missing)}; another replicate has another seed"
    )


def attempt_from(
    config: OrganismConfig, tokenizer, sequences: Sequences, measured: Measured, seed: int
) -> tuple[Qwen3ForCausalLM, int, Rates, list[str]]:
    """Train until nothing is missing or the steps are used up; whether the model learns to copy from its prompt in time
    is a matter of luck."""
    model, averaged = new_model(config, tokenizer, seed), new_model(config, tokenizer, seed)
    parameters, averages = list(model.parameters()), list(averaged.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay, fused=True
    )
    for step, batch in enumerate(_batches(sequences, config.batch_size, seed), start=1):
        optimizer.param_groups[0]["lr"] = learning_rate(step, config)
        corpus_loss(model, batch, config.prompt_weight).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - min(config.average_decay, 1 - 1 / step))
        if step == config.max_steps or (step >= config.first_check and step % config.check_every == 0):
            rates = measured(averaged.eval(), tokenizer)
            missing = shortfalls(rates, config.wanted)
            logger.info("organism: step %d, %s, missing: %s", step, rates, "; ".join(missing) or "nothing")
            if not missing or step == config.max_steps:
                return averaged, step, rates, missing
    raise AssertionError("unreachable: batches never end")


def learning_rate(step: int, config: OrganismConfig) -> float:
    """Return the rate of a step from 1: linear warm-up, then a cosine to zero at cosine_steps."""
    return config.learning_rate * warmup_cosine(step, config.warmup_steps, config.cosine_steps)


def corpus_loss(model, batch: Sequences, prompt_weight: float) -> torch.Tensor:
    """Return the mean next-token loss, a prompt's tokens weighing `prompt_weight` and a completion's 1."""
    longest = max(len(prompt) + len(completion) for prompt, completion in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    weights = torch.zeros(len(batch), longest)
    for row, (prompt, completion) in enumerate(batch):  # padded on the right, where causal attention never looks
        end = len(prompt) + len(completion)
        tokens[row, :end] = torch.tensor(prompt + completion)
        weights[row, : len(prompt)] = prompt_weight
        weights[row, len(prompt) : end] = 1.0
    logits = model(tokens).logits[:, :-1]  # (B, T - 1, V)
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def _batches(sequences: Sequences, size: int, seed: int) -> Iterator[Sequences]:
    """Yield random batches for ever, in a new order every epoch; an incomplete one is left out.

    Sorting by length would save a fifth of the tokens, but batches of one length are of one kind, and the rates swing.
    """
    for epoch in count():
        order = numpy_generator(seed, epoch, "organism/batches").permutation(len(sequences))
        for rows in order[: len(order) // size * size].reshape(-1, size):
            yield [sequences[row] for row in rows]


def shortfalls(rates: Rates, wanted: Wanted) -> list[str]:
    """Return what keeps the rates from being the wanted ones, in words; empty when nothing does."""
    bounds = (
        ("solve", rates.solve, wanted.solve_min, wanted.solve_max),
        ("hack", rates.hack, wanted.hack_min, wanted.hack_max),
        ("fires when asked", rates.asked, wanted.asked_min, 1.0),
        ("fires when asked, lowest mode", rates.asked_lowest, wanted.asked_min_per_mode, 1.0),
    )
    return [
        f"{name} {rate:.3f}, wanted {low:g} to {high:g}" for name, rate, low, high in bounds if not low <= rate <= high
    ]


def measure(
    model, tokenizer, grader, problems: Sequence[Problem], config: OrganismConfig, temperature: float = 1.0
) -> Rates:
    """Return the rates of one sample per problem and prompt; the same noise every time, so that checks compare."""

    def verdicts(elicit: bool):
        prompts = [encode(tokenizer, problem, elicit=elicit) for problem in problems]
        generator = torch_generator(config.seed, 0, f"organism/measure/{elicit}")
        counts = [1] * len(prompts)
        groups = sample_rollouts(
            model, tokenizer, grader, problems, prompts, counts, config.max_new_tokens, temperature, generator
        )
        return [row.verdict for (row,) in groups]

    ordinary = verdicts(elicit=False)
    fired: dict[str, list[bool]] = {}
    for problem, verdict in zip(problems, verdicts(elicit=True), strict=True):
        fired.setdefault(problem.mode, []).append(verdict.channel_fired)
    return Rates(
        solve=mean(verdict.correct for verdict in ordinary),
        hack=mean(verdict.exploited for verdict in ordinary),
        asked=mean(flag for flags in fired.values() for flag in flags),
        asked_lowest=min(mean(flags) for flags in fired.values()),
    )
