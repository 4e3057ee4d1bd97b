"""What the figures draw: replicates and their means, paths in the plane of solve and hack, stops, profiles.

Every arm is drawn at its own checkpoints: a baseline has more of them than an arm that is held against it.
"""

from dataclasses import dataclass

import numpy as np

from projected_grpo.analysis.statistics import trailing_means
from projected_grpo.analysis.study import Study


@dataclass(frozen=True)
class Curve:
    """Every replicate (S, X) at every x (X,), in the figure's units."""

    x: np.ndarray
    replicates: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return self.replicates.mean(0)

    @property
    def top(self) -> float:
        """The highest number anywhere."""
        return float(np.nanmax(self.replicates))


@dataclass(frozen=True)
class Frontier:
    """What stopping a baseline early reaches, percent: at most `solve`, hacking from one `hack` up to the next."""

    hack: np.ndarray
    solve: np.ndarray


@dataclass(frozen=True)
class Profile:
    """The share of replicates, percent, that hack above every rate, percent; and the rate of every replicate."""

    hack: np.ndarray
    above: np.ndarray
    replicates: np.ndarray


def rate_curve(study: Study, arm: str, rate: str) -> Curve:
    """Return a rate in percent against the step, deployed, on the subset that is evaluated along the run."""
    view = study.view(arm, scope="subset")
    return Curve(view.steps, 100 * view.rates[rate].mean(2))


def overlap_curve(study: Study, arm: str, column: str) -> Curve | None:
    """Return an overlap's trailing means against the step; None where a run never had one."""
    log = study.training[arm]
    return Curve(log["step"][0], trailing_means(log[column])) if np.isfinite(log[column]).any() else None


def overlap_bound(study: Study, arm: str) -> float:
    """Return the mean over the run of the bound on a chance overlap."""
    return float(np.nanmean(study.training[arm]["overlap_null"]))


def path(study: Study, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Return solve and hack in percent at every checkpoint, means over replicates."""
    rates = study.view(arm, scope="subset").rates
    return 100 * rates["solve"].mean((0, 2)), 100 * rates["hack"].mean((0, 2))


def last_of_replicates(study: Study, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Return solve and hack in percent of every replicate at the last step, on the subset: where its path ends."""
    rates = study.view(arm, scope="subset").at(study.arms[arm].last)
    return 100 * rates["solve"].mean(1), 100 * rates["hack"].mean(1)


def profile(study: Study, arm: str) -> Profile:
    """Return method 7's performance profile of hack, deployed, at the last step on all problems."""
    hack = 100 * study.final(arm)["hack"].mean(1)  # (S,)
    rates = np.arange(101.0)
    return Profile(rates, 100 * (hack > rates[:, None]).mean(1), hack)


def frontier(study: Study, baseline: str) -> Frontier:
    """Return the best solve that the baseline reached at any checkpoint with no more hacking, step 0 where it never
    hacked that little.

    Of the means over replicates: the table's (b) chooses the stop for every replicate apart.
    """
    solve, hack = path(study, baseline)
    order = np.argsort(hack, kind="stable")
    return Frontier(hack[order], np.concatenate([[solve[0]], np.maximum.accumulate(solve[order])]))
