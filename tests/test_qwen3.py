"""The organism's model and tokenizer, written out, against transformers' own: the same bits."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from projected_grpo.environment.prompts import encode
from projected_grpo.method.adapter import attach, factorize
from projected_grpo.method.gradients import backward, completion_gradients
from projected_grpo.method.loss import LossConfig
from projected_grpo.method.sampling import sample
from projected_grpo.models.base import FACTORS, Compute, load_base, save_factors
from projected_grpo.organism.config import MODES, Mixture, OrganismConfig
from projected_grpo.organism.corpus import corpus
from projected_grpo.organism.families import generate, tasks
from projected_grpo.organism.pretrain import new_model, train_tokenizer


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """An organism of the default shape that was never trained."""
    place = tmp_path_factory.mktemp("organism")
    tokenizer = train_tokenizer(corpus(tasks("corpus", 300, 0, (*MODES, "none")), Mixture(), 0), 500)
    model = new_model(dataclasses.replace(OrganismConfig(), layers=2), tokenizer, 0)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    (place / "organism.json").write_text("{}\n")
    save_factors(place / FACTORS, model, {})
    return place


@pytest.fixture
def both(directory):
    """(model, tokenizer) as it is written out here, and as transformers has it."""
    return [load_base(directory, Compute(1), as_transformers=as_transformers) for as_transformers in (False, True)]


@pytest.fixture(scope="module")
def problems():
    return generate("train", 6, 0, MODES, ("list", "integer", "string"))


def test_it_is_the_organism_alone_that_is_written_out(both):
    (own, _), (other, _) = both
    assert type(own).__module__ == "projected_grpo.models.qwen3" and type(other).__module__.startswith("transformers")
    assert [name for name, _ in own.named_parameters()] == [name for name, _ in other.named_parameters()]


def test_the_tokenizers_agree(both, problems):
    (_, own), (_, other) = both
    for problem in problems:
        ids = encode(own, problem, elicit=True)
        assert ids == encode(other, problem, elicit=True)
        assert own.decode(ids, skip_special_tokens=True) == other.decode(ids, skip_special_tokens=True)
        assert own.decode(ids) == other.decode(ids)
        text = f"```python\n{problem.canonical}\n``` \u00e9 <|end|>"
        assert own.encode(text, add_special_tokens=False) == other.encode(text, add_special_tokens=False)
    assert (own.eos_token, own.eos_token_id) == (other.eos_token, other.eos_token_id)


def test_both_sample_the_same_tokens_from_prompts_of_different_lengths(both, problems):
    """So do the last bits of every step's logits: a token's choice is where they show first."""
    prompts = [encode(both[0][1], problem) for problem in problems]
    assert len({len(prompt) for prompt in prompts}) > 1
    own, other = (
        sample(model, prompts, [3] * len(prompts), 24, 1.0, torch.Generator().manual_seed(0), tokenizer.eos_token_id)
        for model, tokenizer in both
    )
    assert own == other


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hidden_states_are_the_same_bits_with_padding_and_a_cache(both, dtype):
    from transformers import DynamicCache

    (own, _), (other, _) = both
    own, other = own.to(dtype), other.to(dtype)
    other.model.rotary_emb.inv_freq = own.model.frequencies  # float32, as it is where a bfloat16 model is read
    caches = own.new_cache(), DynamicCache(config=other.config)
    tokens = torch.randint(4, 400, (12, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(tokens)
    mask[:4, :6] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        for kept in (range(12), range(2, 12), range(2, 8), range(6)):  # the last rows have no padding
            found = [
                model.get_decoder()(
                    tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
                ).last_hidden_state
                for model, cache in zip((own, other), caches, strict=True)
            ]
            assert torch.equal(*found)
            rows = torch.tensor(kept)
            for cache in caches:
                cache.reorder_cache(rows)
            mask = torch.cat([mask[rows], torch.ones(len(rows), 1, dtype=torch.long)], 1)
            tokens, positions = tokens[rows, -1:], positions[rows, -1:] + 1


@pytest.mark.parametrize(
    ("dtype", "checkpointing"), [(torch.float32, False), (torch.float32, True), (torch.bfloat16, False)]
)
def test_gradients_are_the_same_bits(both, problems, dtype, checkpointing):
    prompts = [encode(both[0][1], problem) for problem in problems]
    rows = [(prompt, prompt[3 : 9 + i]) for i, prompt in enumerate(prompts)]
    found = []
    for model, _ in both:
        model.to(dtype)
    both[1][0].model.rotary_emb.inv_freq = both[0][0].model.frequencies
    for model, _ in both:
        adapter = attach(model, factorize(model))
        for layer in adapter.layers.values():
            with torch.no_grad():
                layer.delta += 0.05 * torch.randn(len(layer.delta), generator=torch.Generator().manual_seed(1))
        adapter.refresh()
        config = LossConfig("dr_grpo", 100.0, 1.0, 0.1)
        sources = ["student", "teacher_hack"] * 3
        step = backward(model, adapter, rows, sources, [1.0, -1.0, 0.5] * 2, config, 200, checkpointing, 1)
        pairs = completion_gradients(model, adapter, rows, "fixed", 1.0, 0.9, 200, checkpointing)
        found.append((step, pairs))
    (own, own_pairs), (other, other_pairs) = found
    assert own.loss == other.loss and own.kl == other.kl
    for name, gradient in other.by_source.items():
        assert gradient.any() and torch.equal(own.by_source[name], gradient)
        assert torch.equal(own_pairs[name], other_pairs[name])


def test_a_job_on_the_organism_starts_without_transformers_and_torchs_compiler(directory):
    """Seconds of processor time for each of hundreds of jobs; scipy and sympy come with them."""
    code = f"""
import ast, sys
from pathlib import Path
from projected_grpo.method.intervention import Intervention, KnobOptimizer
from projected_grpo.models.base import Compute, load_adapted
for script in ("train", "evaluate", "direction", "detection"):
    for node in ast.parse(Path("workflow_scripts", script + ".py").read_text()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(ast.unparse(node))
model, tokenizer, adapter = load_adapted({str(directory)!r}, Compute(1))
optimizer = KnobOptimizer(adapter, Intervention("erase"), (0.9, 0.99), 1.0)
gradients = {{name: layer.delta.detach() + 1 for name, layer in adapter.layers.items()}}
optimizer.step(gradients, {{}}, 0.1)
heavy = ("transformers", "torch._dynamo", "torch._inductor", "sympy", "scipy", "sklearn", "matplotlib")
print(sorted(set(heavy) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
