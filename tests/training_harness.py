"""A world small enough to train every arm in: problems, a pool, a tokenizer and a grader that need no sandbox."""

import contextlib
import copy
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
from projected_grpo.method.signals import Followed, Signal
from projected_grpo.rng import random_rows

HALF = (dict.fromkeys(STRATA, Followed(0.5, 0.7)),) * 6  # of every stratum, at every step

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


def told(kind, known=("run_tests",)):
    """The one bit that a signal of this kind is told of a rollout."""
    if kind == "detector":
        return lambda row: row.verdict.channel_fired and row.problem.mode in known
    return (lambda row: row.verdict.exploited) if kind == "truth" else None


def signal(kind, made, V, twin=False):
    """A signal of the kind that fits the tiny model, as if fitted; its twin differs by its seed."""
    generator = torch.Generator().manual_seed(7 + twin)
    hidden = made.model.config.hidden_size
    state = {"w": torch.randn(1, hidden, generator=generator), "layers": torch.tensor([1.0])}
    weights = {
        "overlap": {f"{name}.V": rows.flip(1) if twin else rows for name, rows in V.items()},
        "probe": state | {"bias": torch.zeros(1)},
        "activation": state | {"spread": torch.ones(1)},
        "fingerprint": {side: torch.randn(1024, generator=generator) / 32 for side in ("hack", "clean")},
    }
    threshold = {"overlap": 0.16, "probe": 6.0, "detector": 0.5, "truth": 0.5}
    return Signal(kind, weights.get(kind, {}), threshold.get(kind, 0.0), twin=twin)


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
    "probe_penalise": Arm("probe_penalise", How(signal="probe", action="penalise", strength=2.0), mix=0.25),
    "probe_penalise_twin": Arm(
        "probe_penalise_twin",
        How(signal="probe", action="penalise", strength=2.0),
        mix=0.25,
        twin_of="probe_penalise",
    ),
    "activation_discount": Arm("activation_discount", How(signal="activation", action="discount", alpha=0.5), mix=0.25),
    "overlap_drop": Arm("overlap_drop", How(signal="overlap", action="drop"), mix=0.25),
    "overlap_drop_twin": Arm(
        "overlap_drop_twin", How(signal="overlap", action="drop"), mix=0.25, twin_of="overlap_drop"
    ),
    "route_rollout": Arm("route_rollout", How(signal="overlap", action="route", quarantine_rank=3), mix=0.25),
    "fingerprint_erase": Arm("fingerprint_erase", How("erase", signal="fingerprint", action="drop"), mix=0.25),
    "trusted": Arm("trusted", How("trusted", project="both"), mix=0.25),
    "recontext": Arm("recontext", How(), mix=0.25, sample_prompt="unhinted", update_prompt="asked"),
    "warmstart": Arm("warmstart", How(), mix=0.25, warmstart=2),
    "gradreg": Arm("gradreg", How(), mix=0.25, gradreg=0.1),
    "route_ablated": Arm("route_ablated", How("route", "no_gate", ablated=0.5), mix=0.25),
    "route_rollout_ablated": Arm(
        "route_rollout_ablated",
        How(signal="overlap", action="route", quarantine_rank=3, ablated=0.5),
        mix=0.25,
    ),
    "alone": Arm("alone", How("none")),
    "no_loophole": Arm("no_loophole", How("none"), loopholes=False),
}


def without_adapter(made):
    """A copy of the model with its own Linears in the adapted ones' places."""
    base = copy.deepcopy(made.model)
    for name, layer in made.adapter.layers.items():
        parent, _, leaf = name.rpartition(".")
        setattr(base.get_submodule(parent), leaf, layer.base)
    return base


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
        partner=HALF, kind=None, known=MODES, suspect=None,
    ):  # fmt: skip
        """`kind` is that of the arm's signal, where it is not its name; `suspect` a signal in its place."""
        fresh = tiny(quarantine_rank=arm.intervention.quarantine_rank)
        kind = kind or arm.intervention.signal
        if kind and suspect is None:
            suspect = signal(kind, fresh, V, arm.twin_of is not None)
        inputs = trainer.RunInputs(
            fresh.model, tokenizer, fresh.adapter, problems, Pool(pool), arm, config, seed, data_seed,
            grader or FakeGrader(), MODES, refresh, dict.fromkeys(arm.measures, directions), suspect, told(kind),
            partner, known,
        )  # fmt: skip
        log = trainer.train(inputs, directions, file)
        return SimpleNamespace(log=log, knobs=fresh.adapter.state())

    return SimpleNamespace(run=run, V=V, pool=pool, problems=problems)
