"""A world small enough to train every arm in: problems, a pool, a tokenizer and a grader that need no sandbox."""

import contextlib
import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.environment.problems import Problem
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method import trainer
from projected_grpo.method.groups import STRATA, Pool
from projected_grpo.method.settings import Arm, TrainConfig
from projected_grpo.method.settings import Intervention as How
from projected_grpo.rng import random_rows

HALF = (dict.fromkeys(STRATA, 0.5),) * 6  # of every stratum, at every step

MODES = ["run_tests", "sentinel"]
CONFIG = TrainConfig(
    steps=3,
    prompts_per_step=3,
    group_size=4,
    max_new_tokens=6,
    temperature=1.0,
    lr=0.05,
    betas=(0.9, 0.99),
    warmup=0.1,
    max_grad_norm=1.0,
    loss_type="dr_grpo",
    kl_coef=0.0,
    token_budget=120,
    gradient_checkpointing=False,
    checkpoint_every=2,
)


class WordTokenizer:
    """Token i is the text "i "; the end token is 0."""

    eos_token_id = 0

    def apply_chat_template(self, messages, **_):
        return [1 + sum(map(ord, word)) % 50 for word in messages[0]["content"].split()]

    def decode(self, ids, **_):
        return " ".join(map(str, ids))


def judge(problem, text):
    """Reward completions by their first token; hacks are those that start with an even one."""
    first = int((text.split() or ["0"])[0])
    passed = first % 3 != 0
    exploited = passed and first % 2 == 0
    return Verdict(
        format_ok=True,
        correct=passed and not exploited,
        channel_fired=exploited,
        passed=passed,
        exploited=exploited,
        attempted=exploited,
        attempted_modes=(problem.mode,) if exploited else (),
        reward=0.25 + passed,
        status="ok",
    )


class FakeGrader:
    @contextlib.contextmanager
    def batch(self, audit=False):
        added = []
        yield SimpleNamespace(add=lambda *item: added.append(item), verdicts=lambda: self.grade(added, audit))

    def grade(self, items, audit=False):
        return [judge(problem, text) for problem, text in items]


def equal(a, b):
    return all(torch.equal(a.knobs[name], b.knobs[name]) for name in a.knobs)


ARMS = {
    "vanilla": Arm("vanilla", How("none"), mix=0.25),
    "erase": Arm("erase", How("erase"), mix=0.25),
    "erase_update": Arm("erase_update", How("erase", "no_gate", "update"), mix=0.25),
    "erase_both": Arm("erase_both", How("erase", project="both"), mix=0.25),
    "erase_purge": Arm("erase_purge", How("erase", project="purge"), mix=0.25),
    "route": Arm("route", How("route"), mix=0.25),
    "route_rollout": Arm("route_rollout", How("route_rollout", threshold=0.2, quarantine_rank=3), mix=0.25),
    "route_ablated": Arm("route_ablated", How("route", "no_gate", ablated=0.5), mix=0.25),
    "route_rollout_ablated": Arm(
        "route_rollout_ablated", How("route_rollout", threshold=0.2, quarantine_rank=3, ablated=0.5), mix=0.25
    ),
    "screen_rollout": Arm("screen_rollout", How("screen_rollout", threshold=0.2), mix=0.25),
    "screen_share": Arm("screen_share", How("screen_rollout", share_of="screen_rollout"), mix=0.25),
    "alone": Arm("alone", How("none")),
    "no_loophole": Arm("no_loophole", How("none"), loopholes=False),
}


def make_world(tiny):
    """Problems, a pool and a function that trains an arm from scratch."""
    problems = [
        Problem(f"p{i}", f"task number {i} of many", "f", (((1,), {}, 2),), mode=MODES[i % 2]) for i in range(6)
    ]
    rng = np.random.default_rng(0)
    tokenizer = WordTokenizer()
    rows = []
    for problem in problems:
        for elicited in (True, True, False):
            ids = [*rng.integers(1, 60, 4).tolist(), 0]
            text = tokenizer.decode(ids)
            rows.append(
                {
                    "problem_id": problem.id,
                    "mode": problem.mode,
                    "elicited": elicited,
                    "prompt_ids": [5, 6, 7],
                    "completion_ids": ids,
                    "completion": text,
                    **dataclasses.asdict(judge(problem, text)),
                }
            )
    pool = pd.DataFrame(rows, columns=TEACHER_POOL.names)
    made = tiny()
    V = {
        name: random_rows(2, len(layer.delta), torch.Generator().manual_seed(i))
        for i, (name, layer) in enumerate(made.adapter.layers.items())
    }

    def run(
        arm, grader=None, config=CONFIG, directions=V, seed=1, data_seed=1, pool=pool, refresh=None, file=None,
        shares=HALF,
    ):  # fmt: skip
        fresh = tiny(quarantine_rank=arm.intervention.quarantine_rank)
        inputs = trainer.RunInputs(
            fresh.model, tokenizer, fresh.adapter, problems, Pool(pool), arm, config, seed, data_seed,
            grader or FakeGrader(), MODES, refresh, dict.fromkeys(arm.measures, directions), shares,
        )  # fmt: skip
        log = trainer.train(inputs, directions, file)
        return SimpleNamespace(log=log, knobs=fresh.adapter.state())

    return SimpleNamespace(run=run, V=V, pool=pool, problems=problems)
