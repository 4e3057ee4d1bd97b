"""A step's mixed groups (method 5): live rollouts of all its prompts in one batch, and the teacher's draws."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method.rollouts import Phase, Rollout, no_phases, sample_rollouts
from projected_grpo.method.settings import Arm, TrainConfig
from projected_grpo.rng import numpy_generator, torch_generator


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
    arm: Arm,
    config: TrainConfig,
    seed: int,
    data_seed: int,
    step: int,
    phase: Phase = no_phases,
) -> list[list[Rollout]]:
    """Return a step's groups: of every chosen problem the teacher's share from the pool, the rest live.

    A problem without rows in the pool takes a whole group of live rollouts. `data_seed` chooses the problems, `seed`
    draws everything else.
    """
    order = numpy_generator(data_seed, step, "prompts").choice(len(problems), config.prompts_per_step, replace=False)
    chosen = [problems[i] for i in order]
    rng = numpy_generator(seed, step, "teacher")
    drawn = [pool.draw(problem, round(config.group_size * arm.mix), rng) for problem in chosen]
    live = sample_rollouts(
        model,
        tokenizer,
        grader,
        chosen,
        [encode(tokenizer, problem) for problem in chosen],
        [config.group_size - len(rows) for rows in drawn],
        config.max_new_tokens,
        config.temperature,
        torch_generator(seed, step, "rollouts"),
        phase=phase,
    )
    return [student + teacher for student, teacher in zip(live, drawn, strict=True)]


def source(row: Rollout, advantage: float) -> str:
    """Return the row's gradient source; what the student's verdict says beyond its reward is not looked at."""
    if not row.teacher:
        return "student"
    if advantage <= 0:
        return "teacher_rest"
    return "teacher_hack" if row.verdict.exploited else "teacher_clean"
