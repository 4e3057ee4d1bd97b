"""What the figures draw: means and ranges over the seeds, paths in the plane of solve and hack, and early stops."""

from dataclasses import dataclass

import numpy as np

from projected_grpo.analysis.statistics import trailing_means
from projected_grpo.analysis.study import Study


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest seed at every x, in the figure's units."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def top(self) -> float:
        """The highest number anywhere."""
        return float(np.nanmax(self.high))


@dataclass(frozen=True)
class Frontier:
    """What stopping a baseline early reaches, percent: at most `solve`, hacking from one `hack` up to the next."""

    hack: np.ndarray
    solve: np.ndarray


def curve(x: np.ndarray, values: np.ndarray) -> Curve:
    """Return the curve of values (S, X)."""
    return Curve(x, values.mean(0), values.min(0), values.max(0))


def rate_curve(study: Study, arm: str, rate: str) -> Curve:
    """Return a rate in percent against the step, deployed, on the subset that is evaluated along the run."""
    view = study.view(arm, scope="subset")
    return curve(view.steps, 100 * view.rates[rate].mean(2))


def overlap_curve(study: Study, arm: str, column: str) -> Curve | None:
    """Return an overlap's trailing means against the step; None where a run never had one."""
    log = study.training[arm]
    return curve(log["step"][0], trailing_means(log[column])) if np.isfinite(log[column]).any() else None


def overlap_bound(study: Study, arm: str) -> float:
    """Return the mean over the run of the bound on a chance overlap."""
    return float(np.nanmean(study.training[arm]["overlap_null"]))


def path(study: Study, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Return solve and hack in percent at every checkpoint, means over seeds."""
    rates = study.view(arm, scope="subset").rates
    return 100 * rates["solve"].mean((0, 2)), 100 * rates["hack"].mean((0, 2))


def frontier(study: Study, baseline: str) -> Frontier:
    """Return the best solve that the baseline reached at any checkpoint with no more hacking, step 0 where it never
    hacked that little.

    Of the means over seeds: the table's (b) chooses the stop for every seed apart.
    """
    solve, hack = path(study, baseline)
    order = np.argsort(hack, kind="stable")
    return Frontier(hack[order], np.concatenate([[solve[0]], np.maximum.accumulate(solve[order])]))
