"""What a run leaves behind (method 6): one row per step and per rollout, seconds per phase, the knobs every N steps."""

import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
import torch

from projected_grpo.method.groups import STRATA
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.signals import Followed
from projected_grpo.method.suspicion import Suspicion

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


def flag_quality(rows: Sequence[Rollout], found: Suspicion | None, known: Sequence[str]) -> dict[str, float]:
    """Return the flagged share of all rows, of each of STRATA (there with the weight of the flagged, the mean of
    sigmoid(score)) and of the live rows, and how well the flags find the
    live exploits by their true verdicts, on `known` modes and on the others apart; for the log only.

    NaN without a signal, and where there is no row.
    """
    marked = list(zip(rows, found.flags, found.strata, strict=True)) if found else []
    live = [(row, flag) for row, flag, _ in marked if not row.teacher]
    numbers = {f"flagged_share/{name}": _share([flag for _, flag, own in marked if own == name]) for name in STRATA}
    numbers |= {f"flagged_weight/{name}": _weight(found, name) for name in STRATA}
    numbers["flagged_share"] = _share([flag for _, flag, _ in marked])
    numbers["flagged_student"] = _share([flag for _, flag in live])
    numbers["groups_flagged"] = found.groups if found else NAN
    numbers["flag_recall_attempted"] = _share([flag for row, flag in live if row.verdict.attempted])
    for scope, of in (("", (True, False)), ("/known", (True,)), ("/heldout", (False,))):
        part = [(flag, row.verdict.exploited) for row, flag in live if (row.problem.mode in known) in of]
        numbers[f"flag_precision{scope}"] = _share([hack for flag, hack in part if flag])
        numbers[f"flag_recall{scope}"] = _share([flag for flag, hack in part if hack])
        numbers[f"flag_false_positives{scope}"] = _share([flag for flag, hack in part if not hack])
    return numbers


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else NAN


def _weight(found: Suspicion | None, name: str) -> float:
    """Return the mean of sigmoid(score) over a stratum's flagged rows, as an action gets their scores."""
    marked = list(zip(found.heavy, found.flags, found.strata, strict=True)) if found else []
    flagged = [score for score, flag, own in marked if flag and own == name]
    return torch.tensor(flagged, dtype=torch.float64).sigmoid().mean().item() if flagged else NAN


def followed(steps: pd.DataFrame) -> list[dict[str, Followed]]:
    """Return what a twin follows in each of STRATA at every step, in order, of its arm's rows of steps.parquet."""
    ordered = steps.sort_values("step")
    return [
        {name: Followed(row[f"flagged_share/{name}"], row[f"flagged_weight/{name}"]) for name in STRATA}
        for _, row in ordered.iterrows()
    ]


def rollout_row(step: int, row: Rollout, advantage: float, score: float = NAN, flagged: bool = False) -> dict:
    return {
        "step": step,
        "source": "teacher" if row.teacher else "student",
        "problem_id": row.problem.id,
        "mode": row.problem.mode,
        "advantage": advantage,
        "score": score,
        "flagged": flagged,
        "length": len(row.completion_ids),
        "clipped": row.clipped,
        "ablated": row.ablated,
        "completion": row.completion,
    } | row.verdict.to_row()
