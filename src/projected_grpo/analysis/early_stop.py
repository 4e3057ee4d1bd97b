"""Method 7 (b), the early-stopping difference: what an arm solves beyond its baseline, stopped in time.

1. A baseline may be stopped at any checkpoint at which it hacks no more than the arm does, by `tolerance` at most; it
   is stopped at the one of these where it solves most. Where there is none, its step 0, the base model, stands in.
2. The baseline's checkpoints are `evaluation.stops_every` steps apart, 3 by default; the arm is measured at its last
   step alone. On a coarser grid hacking may rise between two checkpoints, and then only the base model is left to stop
   at. A finer one has more checkpoints to be lucky with, which cross-fitting takes care of.
3. The maximum over noisy checkpoints favours the baseline: chosen and measured on the same 4 samples of 64 problems,
   the difference comes out 4 to 6 points too low with 25 checkpoints, 72 steps of that grid. So it is cross-fitted: the
   checkpoint is chosen on one half of the samples and both arms are measured on the other half, and the other way
   round; (b) is the mean.
4. What (b) is then held against is the stop that could have been found with half of the samples. The best of all
   checkpoints, which nobody could have known, solves 1 to 2 points more where checkpoints differ, nothing where not.
"""

from dataclasses import dataclass

import numpy as np

from projected_grpo.analysis.statistics import Effect, crossed, finite

ROUNDING = 1e-12  # a weighted mean of equal rates may differ by this much between two arms


@dataclass(frozen=True)
class EarlyStop:
    """The difference in solve, where each replicate's baseline was stopped, and where it could not be."""

    effect: Effect
    checkpoint: np.ndarray  # (2, S) index of the baseline's checkpoint that each half of the samples chose
    stand_in: np.ndarray  # (2, S) True where the baseline's hack rate was never that low, so step 0 stands in


def early_stopping(
    arm_hack: np.ndarray,
    arm_solve: np.ndarray,
    baseline_hack: np.ndarray,
    baseline_solve: np.ndarray,
    tolerance: float = 0.0,
) -> EarlyStop:
    """Return (b) from rates by halves of the samples: the arm's (2, S, P) at its last checkpoint, the baseline's
    (2, S, C, P) with step 0 at index 0.

    The choice of the checkpoint is part of the statistic and is made anew for every replicate, half and resampled set
    of problems.
    """
    arm_hack, arm_solve = finite(arm_hack, 3), finite(arm_solve, 3)
    baseline_hack, baseline_solve = finite(baseline_hack, 4), finite(baseline_solve, 4)
    n_problems = arm_solve.shape[-1]

    def differences(weights: np.ndarray) -> np.ndarray:
        solve = _weighted(baseline_solve, weights)
        at, _ = stop(weights)
        other = solve[:, ::-1]  # the half that chose is not the half that measures
        stopped = np.take_along_axis(other, at[..., None], -1)[..., 0]  # (R, 2, S)
        return _weighted(arm_solve, weights).mean(1) - stopped.mean(1)  # either half of the arm measures once

    def stop(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bound = _weighted(arm_hack, weights)[..., None] + tolerance + ROUNDING
        allowed = _weighted(baseline_hack, weights) <= bound  # (R, 2, S, C)
        never = ~allowed.any(-1)
        allowed[..., 0] |= never
        return np.where(allowed, _weighted(baseline_solve, weights), -1.0).argmax(-1), never

    at, never = stop(np.full((1, n_problems), 1 / n_problems))
    return EarlyStop(crossed(differences, n_problems), at[0], never[0])


def _weighted(rates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the means (R, ...) of rates (..., P) under weights (R, P) of the problems."""
    return (weights @ rates.reshape(-1, rates.shape[-1]).T).reshape(len(weights), *rates.shape[:-1])
