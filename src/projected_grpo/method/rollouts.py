"""Rollouts (method 6): sampled and graded, and a step's mixed groups (method 5) of live ones and the teacher's draws.

1. A completion is graded while others are still being sampled.
2. A step's live rollouts, of all its prompts, are one batch.
3. Nothing here knows an arm or the trainer's settings, so that base models and teacher pools do not depend on them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method.sampling import sample
from projected_grpo.rng import numpy_generator, torch_generator

Phase = Callable[[str], AbstractContextManager]


@dataclass(frozen=True)
class Rollout:
    """One graded completion of a problem.

    prompt_ids      tokens of the prompt that it answers
    completion_ids  its tokens, with the end token; completion is its text without
    teacher         drawn from the frozen pool
    clipped         no end token within the limit
    """

    problem: Problem
    prompt_ids: list[int]
    completion_ids: list[int]
    completion: str
    verdict: Verdict
    teacher: bool = False
    clipped: bool = False


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
    end = tokenizer.eos_token_id
    with grader.batch(audit) as batch:

        def finished(row: int, ids: list[int]) -> None:
            texts[row] = tokenizer.decode(ids, skip_special_tokens=True)
            batch.add(owners[row][0], texts[row])

        with phase("generate"):
            groups = sample(model, prompts, counts, max_new_tokens, temperature, generator, end, finished)
        with phase("grade"):
            verdicts = dict(zip(texts, batch.verdicts(), strict=True))
    made = []
    for i, ids in enumerate(chain.from_iterable(groups)):
        problem, prompt = owners[i]
        made.append(Rollout(problem, list(prompt), ids, texts[i], verdicts[i], clipped=ids[-1] != end))
    rows = iter(made)
    return [[next(rows) for _ in range(n)] for n in counts]


class Pool:
    """The elicited rollouts of the frozen pool by problem; the pool's ordinary rows only serve pairs."""

    def __init__(self, rows: pd.DataFrame):
        self.rows: dict[str, list] = {}
        for row in rows[rows["elicited"]].itertuples():
            self.rows.setdefault(row.problem_id, []).append(row)

    def draw(self, problem: Problem, n: int, rng: np.random.Generator) -> list[Rollout]:
        """Return n rollouts of the problem, with replacement; none where the pool has no row of it."""
        rows = self.rows.get(problem.id, [])
        drawn = [rows[i] for i in rng.integers(len(rows), size=n)] if rows and n else []
        return [
            Rollout(
                problem,
                list(row.prompt_ids),
                list(row.completion_ids),
                row.completion,
                Verdict.from_row(row),
                teacher=True,
            )
            for row in drawn
        ]


def collect_groups(
    model,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    pool: Pool,
    prompts_per_step: int,
    group_size: int,
    taught: int,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    data_seed: int,
    step: int,
    phase: Phase = no_phases,
) -> list[list[Rollout]]:
    """Return a step's groups: of every chosen problem `taught` draws from the pool, the rest live.

    A problem without rows in the pool takes a whole group of live rollouts. `data_seed` chooses the problems, `seed`
    draws everything else.
    """
    order = numpy_generator(data_seed, step, "prompts").choice(len(problems), prompts_per_step, replace=False)
    chosen = [problems[i] for i in order]
    rng = numpy_generator(seed, step, "teacher")
    drawn = [pool.draw(problem, taught, rng) for problem in chosen]
    live = sample_rollouts(
        model,
        tokenizer,
        grader,
        chosen,
        [encode(tokenizer, problem) for problem in chosen],
        [group_size - len(rows) for rows in drawn],
        max_new_tokens,
        temperature,
        torch_generator(seed, step, "rollouts"),
        phase=phase,
    )
    return [student + teacher for student, teacher in zip(live, drawn, strict=True)]
