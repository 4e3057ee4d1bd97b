"""A step's mixed groups (method 5): live rollouts of all its prompts in one batch, and the teacher's draws."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.gradients import Tokens
from projected_grpo.method.rollouts import Phase, Rollout, no_phases, sample_rollouts
from projected_grpo.method.settings import PROMPTS, Arm, TrainConfig
from projected_grpo.rng import numpy_generator, torch_generator

STRATA = ("student_above", "student_below", "teacher_above", "teacher_below")


class Pool:
    """The elicited rollouts of the frozen pool by problem; and its ordinary programs without an exploit, correct and
    wrong ones, which a warm start learns from."""

    def __init__(self, rows: pd.DataFrame):
        self.rows: dict[str, list] = {}
        for row in rows[rows["elicited"]].itertuples():
            self.rows.setdefault(row.problem_id, []).append(row)
        self.honest: dict[bool, list[Tokens]] = {True: [], False: []}
        for row in rows[~rows["elicited"] & rows["format_ok"] & (rows["attempted_modes"].map(len) == 0)].itertuples():
            self.honest[bool(row.correct)].append((list(row.prompt_ids), list(row.completion_ids)))

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
    adapter: Adapter,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    pool: Pool,
    arm: Arm,
    config: TrainConfig,
    seed: int,
    data_seed: int,
    step: int,
    phase: Phase = no_phases,
) -> list[list[Rollout]]:
    """Return a step's groups: of every chosen problem the teacher's share from the pool, the rest live.

    A problem without rows in the pool takes a whole group of live rollouts. Live rollouts answer the arm's
    `sample_prompt`, and all carry its `update_prompt`. Of the step's live rollouts the arm's
    `ablated` share, drawn over all groups, is sampled with the quarantine ablated. `data_seed` chooses the problems,
    `seed` draws everything else.
    """
    order = numpy_generator(data_seed, step, "prompts").choice(len(problems), config.prompts_per_step, replace=False)
    chosen = [problems[i] for i in order]
    rng = numpy_generator(seed, step, "teacher")
    drawn = [pool.draw(problem, round(config.group_size * arm.mix), rng) for problem in chosen]
    counts = [config.group_size - len(rows) for rows in drawn]
    off = ablated_counts(counts, arm.intervention.ablated, numpy_generator(seed, step, "ablated"))

    def live(numbers: Sequence[int], purpose: str) -> list[list[Rollout]]:
        asked = [i for i, n in enumerate(numbers) if n]
        found = sample_rollouts(
            model,
            tokenizer,
            grader,
            [chosen[i] for i in asked],
            [encode(tokenizer, chosen[i], **PROMPTS[arm.sample_prompt]) for i in asked],
            [numbers[i] for i in asked],
            config.max_new_tokens,
            config.temperature,
            torch_generator(seed, step, purpose),
            phase=phase,
        )
        by_prompt = dict(zip(asked, found, strict=True))
        return [by_prompt.get(i, []) for i in range(len(numbers))]

    groups = live([n - without for n, without in zip(counts, off, strict=True)], "rollouts")
    if any(off):
        with adapter.ablated():
            without = live(off, "ablated rollouts")
        groups = [own + [replace(row, ablated=True) for row in more] for own, more in zip(groups, without, strict=True)]
    groups = [student + teacher for student, teacher in zip(groups, drawn, strict=True)]
    if (arm.sample_prompt, arm.update_prompt) == ("ordinary", "ordinary"):
        return groups
    prompts = [encode(tokenizer, problem, **PROMPTS[arm.update_prompt]) for problem in chosen]
    return [[replace(row, prompt_ids=ids) for row in group] for ids, group in zip(prompts, groups, strict=True)]


def ablated_counts(counts: Sequence[int], share: float, rng: np.random.Generator) -> list[int]:
    """Return how many of each group's live rollouts are sampled with the quarantine ablated: the share of all of them,
    rounded and drawn without regard to the group."""
    return rng.multivariate_hypergeometric(counts, round(share * sum(counts))).tolist()


def source(row: Rollout, advantage: float) -> str:
    """Return the row's gradient source; what the student's verdict says beyond its reward is not looked at.

    A teacher's row that solves and attempts the exploit all the same is neither a hack nor clean: it is of the rest.
    """
    if not row.teacher:
        return "student"
    if advantage > 0 and row.verdict.exploited:
        return "teacher_hack"
    return "teacher_clean" if advantage > 0 and not row.verdict.attempted else "teacher_rest"


def stratum(row: Rollout, advantage: float) -> str:
    """Return which of STRATA a row is in: who wrote it, and whether its reward was above its group's mean."""
    return f"{'teacher' if row.teacher else 'student'}_{'above' if advantage > 0 else 'below'}"
