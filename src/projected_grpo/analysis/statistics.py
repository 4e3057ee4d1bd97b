"""Statistics of the tables (method 7): paired differences, their decision interval, early stopping, Holm.

The unit of data is an array (seeds, problems) of per-problem means over the samples of a problem; seeds and
problems are the same, in the same order, in every arm. Rates are fractions; a positive difference means
that the first arm is higher.

1. The decision interval at 95% is the wider of two, both centred on the estimate:
   - the paired t over the seeds: t(n - 1) x SEM, the SEM being that of the paired differences;
   - a crossed bootstrap: seeds and problems are resampled independently, the same problems for all seeds and
     both arms, the same seeds for both arms, and the half-width is t(df) x the replicates' standard deviation.
2. Two corrections keep that interval honest with few seeds; with neither, its coverage falls to 0.92:
   - a replicate draws n - 1 of n seeds and P - 1 of P problems (with replacement), because the variance over
     draws of n is too small by (n - 1) / n: a third with three seeds;
   - df is Satterthwaite's, SEM^2 counted with n - 1 degrees of freedom and the rest of the variance with P - 1.
   Only the bootstrap sees that another set of problems could have been drawn; the t does not.
3. p is the larger of the two tests' p, so p < 0.05 says exactly that the interval excludes 0.
4. With one seed there is no interval: low, high, sem and p are NaN, and what rests on them is undecided.

Intervals are conditional on the base model, the direction and the teacher pool, of which there is one each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import nan

import numpy as np
from scipy import stats

from projected_grpo.rng import numpy_generator

LEVEL = 0.95
REPLICATES = 2000
WINDOW = 8  # training steps per window of a trailing mean (method 7)
ROUNDING = 1e-12  # a weighted mean of equal rates may differ by this much between two arms


@dataclass(frozen=True)
class Effect:
    """A difference in the mean over seeds, its 95% decision interval, the SEM over seeds and a two-sided p."""

    estimate: float
    low: float
    high: float
    sem: float
    p: float
    n_seeds: int


NO_EFFECT = Effect(nan, nan, nan, nan, nan, 0)


@dataclass(frozen=True)
class EarlyStop:
    """Method 7 (b): the difference in solve, where each seed's baseline was stopped, and where it could not be."""

    effect: Effect
    checkpoint: np.ndarray  # (seeds,) index of the baseline's checkpoint the arm is held against
    stand_in: np.ndarray  # (seeds,) True where the baseline's hack rate was never that low, so step 0 stands in


@cache
def _resamples(n_seeds: int, n_problems: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the seeds (R, S) and of the problems (R, P) in every replicate; rows sum to 1."""
    generator = numpy_generator(0, 0, f"bootstrap/{n_seeds}/{n_problems}")
    seeds, problems = (
        generator.multinomial(n - 1, np.full(n, 1 / n), REPLICATES) / (n - 1) for n in (n_seeds, n_problems)
    )
    return seeds, problems


def _t_test(estimate: float, error: float, df: float) -> tuple[float, float]:
    """Return the half-width of the interval and the two-sided p; without any spread the estimate is certain."""
    if error == 0:
        return 0.0, float(estimate == 0)
    return float(stats.t.ppf((1 + LEVEL) / 2, df) * error), float(2 * stats.t.sf(abs(estimate) / error, df))


def paired_t(values: Sequence[float]) -> Effect:
    """Return the mean of per-seed differences (S,) with its t interval: for what has no problems to resample."""
    values = _finite(values, 1)
    estimate, n = float(values.mean()), len(values)
    if n == 1:
        return Effect(estimate, nan, nan, nan, nan, n)
    sem = float(values.std(ddof=1) / np.sqrt(n))
    half, p = _t_test(estimate, sem, n - 1)
    return Effect(estimate, estimate - half, estimate + half, sem, p, n)


def crossed(statistic: Callable[[np.ndarray], np.ndarray], n_problems: int) -> Effect:
    """Return the decision interval of a statistic that is computed per seed on a weighted set of problems.

    `statistic` takes weights of the problems (R, P), rows summing to 1, and returns one number per replicate
    and seed (R, S); it may be nonlinear in the weights. Fewer than two problems are a ValueError.
    """
    if n_problems < 2:
        raise ValueError(f"a bootstrap over problems needs at least 2 problems, not {n_problems}")
    over_seeds = paired_t(statistic(np.full((1, n_problems), 1 / n_problems))[0])
    estimate, sem, n = over_seeds.estimate, over_seeds.sem, over_seeds.n_seeds
    if n == 1:
        return over_seeds
    seed_weights, problem_weights = _resamples(n, n_problems)
    replicates = (seed_weights * statistic(problem_weights)).sum(1)  # (R,)
    error = float(replicates.std(ddof=1))
    rest = max(error**2 - sem**2, 0.0)  # what the problems add to the variance over the seeds
    df = (sem**2 + rest) ** 2 / (sem**4 / (n - 1) + rest**2 / (n_problems - 1)) if error > 0 else 1.0
    half, p = _t_test(estimate, error, df)
    half = max(half, over_seeds.high - estimate)
    return Effect(estimate, estimate - half, estimate + half, sem, max(p, over_seeds.p), n)


def difference(arm: np.ndarray, other: np.ndarray) -> Effect:
    """Return the decision interval of mean(arm) - mean(other), both (S, P); another shape is a ValueError."""
    arm, other = _finite(arm, 2), _finite(other, 2)
    if arm.shape != other.shape:
        raise ValueError(f"arms to compare have (seeds, problems) {arm.shape} and {other.shape}")
    paired = arm - other
    return crossed(lambda weights: weights @ paired.T, paired.shape[1])


def early_stopping(
    arm_hack: np.ndarray, arm_solve: np.ndarray, baseline_hack: np.ndarray, baseline_solve: np.ndarray
) -> EarlyStop:
    """Return method 7 (b): the arm's solve minus the best solve of the baseline at no more than the arm's hack rate.

    The arm is (S, P) at its last checkpoint, the baseline (S, C, P) with step 0 at index 0. The choice of the
    checkpoint is part of the statistic and is made anew for every seed and every resampled set of problems.
    The maximum over noisy checkpoints favours the baseline: simulated with 64 problems x 4 samples and 13
    checkpoints, the difference comes out 3 to 5 points too low. It errs against the arm.
    """
    arm_hack, arm_solve = _finite(arm_hack, 2), _finite(arm_solve, 2)
    baseline_hack, baseline_solve = _finite(baseline_hack, 3), _finite(baseline_solve, 3)

    def stop(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hack, solve = (np.einsum("rp,scp->rsc", weights, rates) for rates in (baseline_hack, baseline_solve))
        allowed = hack <= (weights @ arm_hack.T)[..., None] + ROUNDING  # (R, S, C)
        never = ~allowed.any(-1)
        allowed[..., 0] |= never
        at = np.where(allowed, solve, -1.0).argmax(-1)  # (R, S)
        return np.take_along_axis(solve, at[..., None], -1)[..., 0], at, never

    n_problems = arm_solve.shape[1]
    _, at, never = stop(np.full((1, n_problems), 1 / n_problems))
    effect = crossed(lambda weights: weights @ arm_solve.T - stop(weights)[0], n_problems)
    return EarlyStop(effect, at[0], never[0])


def trailing_means(values: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Return the means (S, T) over the last `window` of values (S, T) that are finite; the first windows are shorter.

    NaN where a window has none.
    """
    windows = [values[:, max(0, end - window) : end] for end in range(1, values.shape[1] + 1)]
    counts = np.stack([np.isfinite(window).sum(1) for window in windows], 1)
    sums = np.stack([np.nansum(window, 1) for window in windows], 1)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return Holm's adjusted p-values in the order given; a NaN is counted in the family and stays NaN."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")  # NaN last
    steps = p[order] * (len(p) - np.arange(len(p)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _finite(values, ndim: int) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != ndim or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"rates to compare: need finite numbers in {ndim} dimensions, got shape {array.shape}")
    return array
