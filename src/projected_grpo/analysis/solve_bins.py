"""Hack in bins of solve along training (method 7): descriptive, beside table 1."""

from collections.abc import Mapping
from functools import reduce

import numpy as np
import pandas as pd

from projected_grpo.analysis.statistics import WINDOW, trailing_means
from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import STUDENT

BIN, BIN_WINDOWS = 0.05, 3  # width of a bin of solve, windows it needs


def solve_bins(study: Study) -> pd.DataFrame:
    """Return method 7, descriptive only: mean hack of an arm and of its baseline per 5-point bin of solve.

    A point is a trailing 8-step window of a run's live rollouts; for an arm with a quarantine, and then for its
    baseline too, a checkpoint of the deployed model that both have. It is rising or falling by its solve against the
    window 8 steps (or the checkpoint) before. Replicates are pooled; bins where both arms have three points. The base
    model has no points.
    """
    rows = []
    for arm in study.arms:
        baseline = study.baseline(arm)
        if baseline is None or arm == study.base:
            continue
        deployed = _common_steps(study, arm, baseline) if study.has_quarantine(arm) else None
        own, other = (_binned(_points(study, name, deployed)) for name in (arm, baseline))
        both = own.add_suffix("_arm").join(other.add_suffix("_baseline"), how="inner")
        both = both[(both[["n_arm", "n_baseline"]] >= BIN_WINDOWS).all(axis=1)].reset_index()
        both.insert(0, "source", "windows" if deployed is None else "checkpoints")
        both.insert(0, "baseline", baseline)
        both.insert(0, "arm", arm)
        rows.append(both)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _common_steps(study: Study, *arms: str) -> np.ndarray:
    """Return the checkpoints that all of some arms have: a baseline has more of them than an arm held against it."""
    return reduce(np.intersect1d, [study.view(arm, scope="subset").steps for arm in arms])


def _points(study: Study, arm: str, deployed: np.ndarray | None) -> Mapping[str, np.ndarray]:
    """Return hack, solve and the solve before, each (S, points): of windows, or of the `deployed` checkpoints."""
    if deployed is not None:
        view, lag = study.view(arm, scope="subset"), 1
        hack, solve = (view.rates[name][:, np.isin(view.steps, deployed)].mean(2) for name in ("hack", "solve"))
    else:
        log, lag = study.training[arm], WINDOW
        hack, solve = (trailing_means(log[name])[:, WINDOW - 1 :] for name in STUDENT)
    return {"hack": hack[:, lag:].ravel(), "solve": solve[:, lag:].ravel(), "before": solve[:, :-lag].ravel()}


def _binned(points: Mapping[str, np.ndarray]) -> pd.DataFrame:
    frame = pd.DataFrame(points)
    frame["phase"] = np.where(frame["solve"] >= frame["before"], "rising", "falling")
    frame["solve_from"] = (np.floor(frame["solve"] / BIN + 1e-9) * BIN).round(2)
    return frame.groupby(["phase", "solve_from"])["hack"].agg(hack="mean", n="size")
