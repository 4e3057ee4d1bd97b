"""Method 7 (d): how many runs hack at the end, and when their students begin to."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np

from projected_grpo.analysis.judgement import is_hacked
from projected_grpo.analysis.statistics import WINDOW, Share, share_of, trailing_means
from projected_grpo.analysis.study import Study


@dataclass(frozen=True)
class Onset:
    """The mean step at which hacking begins, restricted to the horizon, and how many runs it never begins in.

    A run without an onset counts with its last step, so the mean is a lower bound where `censored` is above 0. The base
    model, which has no steps, has no onset: NaN.
    """

    mean: float
    censored: int


def hacked_runs(study: Study, arm: str) -> Share:
    """Return the runs of an arm that are hacked ones: deployed, at the last step, on all problems."""
    return share_of(is_hacked(study.final(arm)["hack"].mean(1)))


def onset(study: Study, arm: str) -> Onset:
    """Return when the student's own hack rate is first that of a hacked run, as the mean of the last WINDOW steps."""
    log = study.training[arm]
    return onset_of(log["step"], log["hack_student"])


def onset_of(steps: np.ndarray, hack: np.ndarray) -> Onset:
    """Return the onset from steps (S, T) and hack rates (S, T)."""
    if not hack.shape[1]:
        return Onset(nan, 0)
    at, began = first_reached(steps, hack, is_hacked)
    return Onset(float(at.mean()), int((~began).sum()))


def first_reached(
    steps: np.ndarray, hack: np.ndarray, reached: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return, per run, the first step at which `reached` is true of the mean of the last WINDOW steps, without one the
    last step, and whether there is one; both (S,).

    A window is WINDOW steps long (all steps, in a shorter run): one step of a few rollouts says too little.
    """
    first = min(WINDOW, hack.shape[1]) - 1
    found = reached(trailing_means(hack)[:, first:])  # NaN is not above anything
    began = found.any(1)
    return np.where(began, steps[:, first:][np.arange(len(steps)), found.argmax(1)], steps[:, -1]), began
