"""What a run leaves behind (method 6): one row per step and per rollout, seconds per phase, the knobs every N steps."""

import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
import torch

from projected_grpo.method.groups import STRATA, stratum
from projected_grpo.method.rollouts import Rollout

NAN = float("nan")


@dataclass
class RunLog:
    """What a run leaves behind: rows of steps, rollouts and timing, and the knobs every N steps."""

    steps: list[dict] = field(default_factory=list)
    rollouts: list[dict] = field(default_factory=list)
    timing: list[dict] = field(default_factory=list)
    checkpoints: dict[str, torch.Tensor] = field(default_factory=dict)

    @contextmanager
    def phase(self, step: int, name: str):
        start = time.perf_counter()
        yield
        self.timing.append({"step": step, "phase": name, "seconds": time.perf_counter() - start})


def _rate(rows: Sequence[Rollout], name: str) -> float:
    return sum(getattr(row.verdict, name) for row in rows) / len(rows) if rows else NAN


def behaviour(groups: list[list[Rollout]], modes: Sequence[str]) -> dict[str, float]:
    """Return the step's rates of student and teacher, per mode too, and the lengths; for the log only."""
    student = [row for group in groups for row in group if not row.teacher]
    teacher = [row for group in groups for row in group if row.teacher]
    rewards = [torch.tensor([row.verdict.reward for row in group], dtype=torch.float64) for group in groups]
    names = {"hack": "exploited", "solve": "correct", "pass": "passed"}
    numbers = {
        f"{name}_{who}": _rate(rows, attribute)
        for name, attribute in names.items()
        for who, rows in (("student", student), ("teacher", teacher))
    }
    for mode in modes:
        of_mode = [row for row in student if row.problem.mode == mode]
        numbers |= {f"{name}_student/{mode}": _rate(of_mode, names[name]) for name in ("hack", "solve")}
    return numbers | {
        "reward": _rate(student, "reward"),
        "reward_std": sum(r.std().item() for r in rewards) / len(rewards),
        "frac_reward_zero_std": sum(bool((r == r[0]).all()) for r in rewards) / len(rewards),
        "attempted_student": _rate(student, "attempted"),
        "completions/mean_length": sum(len(row.completion_ids) for row in student) / len(student),
        "completions/clipped_ratio": sum(row.clipped for row in student) / len(student),
    }


def gate_quality(rows: Sequence[Rollout], advantage: Sequence[float], flags: Sequence[bool] | None) -> dict[str, float]:
    """Return the flagged share of all rows in the loss and of each of STRATA, and how well a rollout gate finds the
    live exploits among them by their true verdicts; for the log only.

    The last of rows with positive advantage alone, which all exploits in a loss have: a gate that only read the
    advantage's sign would seem to find them. NaN without a gate, and where there is no row.
    """
    triples = [] if flags is None else list(zip(rows, advantage, flags, strict=True))
    live = [(flag, row.verdict.exploited) for row, a, flag in triples if not row.teacher and a > 0]
    flagged, hacks = sum(flag for flag, _ in live), sum(hack for _, hack in live)
    found = sum(flag and hack for flag, hack in live)
    parts = {name: [flag for row, a, flag in triples if stratum(row, a) == name] for name in STRATA}
    return {
        **{f"flagged_share/{name}": sum(flags) / len(flags) if flags else NAN for name, flags in parts.items()},
        "flagged_share": sum(flag for *_, flag in triples) / len(triples) if triples else NAN,
        "gate_share": flagged / len(live) if live else NAN,
        "gate_base": hacks / len(live) if live else NAN,
        "gate_precision": found / flagged if flagged else NAN,
        "gate_recall": found / hacks if hacks else NAN,
    }


def flagged_shares(steps: pd.DataFrame) -> list[dict[str, float]]:
    """Return the flagged share of each of STRATA at every step, in order, of the rows of steps.parquet."""
    ordered = steps.sort_values("step")
    return [{name: row[f"flagged_share/{name}"] for name in STRATA} for _, row in ordered.iterrows()]


def rollout_row(step: int, row: Rollout, advantage: float) -> dict:
    return {
        "step": step,
        "source": "teacher" if row.teacher else "student",
        "problem_id": row.problem.id,
        "mode": row.problem.mode,
        "advantage": advantage,
        "length": len(row.completion_ids),
        "clipped": row.clipped,
        "ablated": row.ablated,
        "completion": row.completion,
    } | row.verdict.to_row()
