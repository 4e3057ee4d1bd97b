"""The rollouts of one step (method 5, mixed groups): live ones of all prompts in one batch, and the teacher's draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.method import sampling
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.log import Record, Rollout
from projected_grpo.method.settings import Arm, TrainConfig
from projected_grpo.rng import numpy_generator, torch_generator


class Pool:
    """The elicited rollouts of the frozen pool by problem; the pool's ordinary rows only serve pairs."""

    def __init__(self, rows: pd.DataFrame):
        self.rows: dict[str, list] = {}
        for row in rows[rows["elicited"]].itertuples():
            self.rows.setdefault(row.problem_id, []).append(row)

    def draw(self, problem: Problem, n: int, rng) -> list[Rollout]:
        """Return n rollouts of the problem, with replacement; none where the pool has no row of it."""
        rows = self.rows.get(problem.id, [])
        drawn = [rows[i] for i in rng.integers(len(rows), size=n)] if rows and n else []
        return [
            Rollout(problem, list(r.prompt_ids), list(r.completion_ids), r.completion, r, teacher=True) for r in drawn
        ]


@dataclass(frozen=True)
class Setting:
    """What one run is given and never changes; `refresh` re-extracts V at the current model."""

    model: object
    tokenizer: object
    adapter: Adapter
    problems: Sequence[Problem]
    pool: Pool
    arm: Arm
    config: TrainConfig
    seed: int
    grader: object
    modes: Sequence[str]
    refresh: Callable[[], dict[str, torch.Tensor]] | None = None


def gather(setting: Setting, step: int, record: Record) -> list[list[Rollout]]:
    """Return the step's groups: live rollouts of all prompts in one batch, and the teacher's draws."""
    tokenizer, problems, config, seed = setting.tokenizer, setting.problems, setting.config, setting.seed
    order = numpy_generator(seed, step, "prompts").choice(len(problems), config.prompts_per_step, replace=False)
    chosen = [problems[i] for i in order]
    rng = numpy_generator(seed, step, "teacher")
    taught = [setting.pool.draw(problem, round(config.group_size * setting.arm.mix), rng) for problem in chosen]
    prompts = [encode(tokenizer, problem) for problem in chosen]
    sampled = sampling.sample_graded(
        setting.model,
        tokenizer,
        setting.grader,
        chosen,
        prompts,
        [config.group_size - len(rows) for rows in taught],
        config.max_new_tokens,
        config.temperature,
        torch_generator(seed, step, "rollouts"),
        phase=partial(record.phase, step),
    )
    groups = []
    for problem, prompt, live, rows in zip(chosen, prompts, sampled, taught, strict=True):
        student = [
            Rollout(problem, prompt, r.ids, r.text, r.verdict, False, clipped=r.ids[-1] != tokenizer.eos_token_id)
            for r in live
        ]
        groups.append(student + rows)
    return groups
