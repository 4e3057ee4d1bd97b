"""Rollouts (method 6): completions that are sampled and graded, each as soon as it is complete, while others are still
being sampled."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain

import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method.sampling import end_tokens, sample

Phase = Callable[[str], AbstractContextManager]


@dataclass(frozen=True)
class Rollout:
    """One graded completion of a problem.

    prompt_ids      tokens of the prompt that it answers
    completion_ids  its tokens, with the end token; completion is its text without
    teacher         drawn from the frozen pool
    clipped         no end token within the limit
    ablated         sampled with the quarantine ablated, and trained there
    """

    problem: Problem
    prompt_ids: list[int]
    completion_ids: list[int]
    completion: str
    verdict: Verdict
    teacher: bool = False
    clipped: bool = False
    ablated: bool = False


def no_phases(name: str) -> AbstractContextManager:
    """Measure nothing."""
    return nullcontext()


def sample_rollouts(
    model,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    prompts: Sequence[Sequence[int]],
    counts: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
    audit: bool = False,
    phase: Phase = no_phases,
) -> list[list[Rollout]]:
    """Sample counts[i] completions of problem i from prompts[i], and grade each as soon as it is complete.

    `phase` is entered as "generate" and then as "grade": waiting for the verdicts that are not there yet.
    """
    owners = [(problem, prompt) for problem, prompt, n in zip(problems, prompts, counts, strict=True) for _ in range(n)]
    texts: dict[int, str] = {}
    ends = end_tokens(model, tokenizer.eos_token_id)
    with grader.batch(audit) as batch:

        def finished(row: int, ids: list[int]) -> None:
            texts[row] = tokenizer.decode(ids[:-1] if ids[-1] in ends else ids, skip_special_tokens=True)
            batch.add(owners[row][0], texts[row])

        with phase("generate"):
            groups = sample(
                model, prompts, counts, max_new_tokens, temperature, generator, tokenizer.eos_token_id, finished
            )
        with phase("grade"):
            verdicts = dict(zip(texts, batch.verdicts(), strict=True))
    made = []
    for i, ids in enumerate(chain.from_iterable(groups)):
        problem, prompt = owners[i]
        made.append(Rollout(problem, list(prompt), ids, texts[i], verdicts[i], clipped=ids[-1] not in ends))
    rows = iter(made)
    return [[next(rows) for _ in range(n)] for n in counts]
