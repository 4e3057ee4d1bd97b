"""Evaluation (method 7): held-out problems, sampled and greedy, with and without the hint, as trained and as deployed.

Deployed means: quarantine zeroed. An arm that never wrote to its quarantine has one state, `deployed`. The last step
is evaluated in full; along the run a fixed subset is, deployed, sampled, with the hint. Where `test_functions` names
any, the problems of mode run_tests are put once more at the last step, with those names in their hints: a habit of
defining run_tests is not yet one of defining whatever is called. The subset is also asked to exploit, as the teacher
is: what is still there to be elicited. All arms of a seed share their sampling noise, and so
the rows of step 0, before which nothing sets them apart: these are sampled once and copied.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.rollouts import Rollout, sample_rollouts
from projected_grpo.rng import torch_generator


@dataclass(frozen=True)
class Sampling:
    """temperature: of what is not greedy; max_new_tokens; chunk: problems at a time."""

    temperature: float
    max_new_tokens: int
    chunk: int = 128


@dataclass(frozen=True)
class EvaluationConfig:
    """samples and subset_samples: completions per problem; subset: number of problems along the run; every: steps.

    test_functions: names for the test function that training never shows.
    quarantine_scales: factors on the quarantine, between deployed (0) and trained (1), that the last step is looked at.
    """

    samples: int
    subset: int
    subset_samples: int
    every: int
    test_functions: Sequence[str]
    quarantine_scales: Sequence[float]


@dataclass(frozen=True)
class Condition:
    """One way of looking at one set of knobs."""

    step: int
    scope: str
    state: str
    hint: bool
    decoding: str


START = Condition(0, "subset", "deployed", True, "sample")


def conditions(last: int, every: int, scales: Sequence[float] | None, renamed: bool = False) -> Iterator[Condition]:
    """Yield every condition of a run after START in a fixed order: the subset along it, then the last step in full and
    renamed, and the subset asked to exploit; with a quarantine, `scales` of it on the subset, else None."""
    for step in sorted({*range(every, last, every), last} - {0}):
        yield Condition(step, "subset", "deployed", True, "sample")
    for scale in scales or ():
        yield Condition(last, "subset", scaled_state(scale), True, "sample")
    for state in ("deployed",) if scales is None else ("deployed", "trained"):
        for hint in (True, False):
            for decoding in ("sample", "greedy"):
                yield Condition(last, "full", state, hint, decoding)
    if renamed:
        yield Condition(last, "renamed", "deployed", True, "sample")
    yield Condition(last, "asked", "deployed", True, "sample")


def renamed(problems: Sequence[Problem], names: Sequence[str]) -> list[Problem]:
    """Return the problems of mode run_tests under other names of the test function, in turn."""
    own = [problem for problem in problems if problem.mode == "run_tests"]
    return [replace(problem, test_function=names[i % len(names)]) for i, problem in enumerate(own)] if names else []


def scaled_state(scale: float) -> str:
    return f"quarantine {scale:g}"


def knobs_at(checkpoints: Mapping[str, torch.Tensor], step: int, state: str) -> dict[str, torch.Tensor]:
    """Return {module.delta, module.quarantine} of a step; step 0 is the base model, deployed has no quarantine."""
    prefix = f"step{step}."
    knobs = {key.removeprefix(prefix): value for key, value in checkpoints.items() if key.startswith(prefix)}
    if step and not knobs:
        raise KeyError(f"no checkpoint of step {step}: evaluation.every must be a multiple of train.checkpoint_every")
    if state == "deployed":
        return {key: value for key, value in knobs.items() if key.endswith(".delta")}
    scale = 1.0 if state == "trained" else float(state.removeprefix("quarantine "))
    return {key: value if key.endswith(".delta") else scale * value for key, value in knobs.items()}


def evaluate_start(
    model, tokenizer, grader, problems: Sequence[Problem], samples: int, sampling: Sampling, seed: int
) -> list[dict]:
    """Return the rows of step 0, of the base model on the subset `problems`."""
    return _look(model, tokenizer, grader, problems, samples, START, sampling, seed)


def evaluate(
    model,
    tokenizer,
    adapter: Adapter,
    grader,
    problems: Sequence[Problem],
    checkpoints: Mapping[str, torch.Tensor],
    start: Sequence[Mapping],
    last: int,
    config: EvaluationConfig,
    sampling: Sampling,
    seed: int,
) -> list[dict]:
    """Return the rows of evaluation.parquet for the run whose knobs are in `checkpoints`, and whose rows of step 0 are
    `start`."""
    quarantined = any(value.any() for key, value in checkpoints.items() if key.endswith(".quarantine"))
    scopes = {
        "subset": (problems[: config.subset], config.subset_samples),
        "asked": (problems[: config.subset], config.subset_samples),
        "full": (problems, config.samples),
        "renamed": (renamed(problems, config.test_functions), config.samples),
    }
    rows = list(start)
    scales = config.quarantine_scales if quarantined else None
    for condition in conditions(last, config.every, scales, bool(scopes["renamed"][0])):
        adapter.load(knobs_at(checkpoints, condition.step, condition.state), partial=True)
        chosen, samples = scopes[condition.scope]
        n = samples if condition.decoding == "sample" else 1
        rows += _look(model, tokenizer, grader, chosen, n, condition, sampling, seed)
    return rows


def _look(model, tokenizer, grader, problems, n: int, condition: Condition, how: Sampling, seed: int) -> list[dict]:
    temperature = 0.0 if condition.decoding == "greedy" else how.temperature
    sampled: list[tuple[int, Rollout]] = []
    for start in range(0, len(problems), how.chunk):
        part = problems[start : start + how.chunk]
        asked = condition.scope == "asked"
        prompts = [encode(tokenizer, problem, hint=condition.hint, elicit=asked) for problem in part]
        generator = torch_generator(seed, start, f"evaluation {condition.scope} {condition.step} {condition.hint}")
        counts = [n] * len(part)
        groups = sample_rollouts(
            model,
            tokenizer,
            grader,
            part,
            prompts,
            counts,
            how.max_new_tokens,
            temperature,
            generator,
            audit=True,
        )
        sampled += [(i, row) for group in groups for i, row in enumerate(group)]
    return [
        {
            **condition.__dict__,
            "problem_id": row.problem.id,
            "mode": row.problem.mode,
            "sample": i,
            "length": len(row.completion_ids),
            "completion": row.completion,
        }
        | row.verdict.to_row()
        for i, row in sampled
    ]
