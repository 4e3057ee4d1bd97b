"""Statistics of the tables (method 7): paired differences, their decision interval, Holm, an interval for a share.

The unit of data is an array (replicates, problems) of per-problem means over the samples of a problem. A replicate has
a base model, teacher pool, V, order of prompts and noise of its own; all arms of a replicate share them, and arms are
paired by it. Problems are the same, in the same order, everywhere. Rates are fractions; a positive difference means
that the first arm is higher.

1. The decision interval at 95% is the wider of two, both centred on the estimate:
   - the paired t over the replicates: t(n - 1) x SEM, the SEM being that of the paired differences;
   - a crossed bootstrap: replicates and problems are resampled independently, the same problems for all replicates
     and both arms, the same replicates for both arms, and the half-width is t(df) x the resamples' standard deviation.
2. Two corrections keep that interval honest with few replicates; with neither, its coverage falls to 0.92:
   - a resample draws n - 1 of n replicates and P - 1 of P problems (with replacement), because the variance over
     draws of n is too small by (n - 1) / n: a third with three replicates;
   - df is Satterthwaite's, SEM^2 counted with n - 1 degrees of freedom and the rest of the variance with P - 1.
   Only the bootstrap sees that another set of problems could have been drawn; the t does not.
3. p is the larger of the two tests' p, so p < 0.05 says exactly that the interval excludes 0.
4. `bound` is one-sided, for non-inferiority: the lower of the two lower bounds that hold at 95%.
5. With one replicate there is no interval: low, high, sem, p and bound are NaN, and what rests on them is undecided.

Intervals speak of base models of this kind where every replicate has its own, and of one base model where it is shared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import nan

import numpy as np
from scipy import stats

from projected_grpo.rng import numpy_generator

LEVEL = 0.95
RESAMPLES = 2000
WINDOW = 8  # training steps per window of a trailing mean (method 7)


@dataclass(frozen=True)
class Effect:
    """A difference in the mean over replicates, its 95% decision interval, the SEM over replicates, a two-sided p, and
    the one-sided 95% lower bound."""

    estimate: float
    low: float
    high: float
    sem: float
    p: float
    n_replicates: int
    bound: float = nan


NO_EFFECT = Effect(nan, nan, nan, nan, nan, 0)


@dataclass(frozen=True)
class Share:
    """How many of n runs, and Clopper-Pearson's 95% interval of the share."""

    runs: int
    n: int
    low: float
    high: float


@cache
def _resamples(n_replicates: int, n_problems: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the replicates (R, S) and of the problems (R, P) in every resample; rows sum to 1."""
    generator = numpy_generator(0, 0, f"bootstrap/{n_replicates}/{n_problems}")
    replicates, problems = (
        generator.multinomial(n - 1, np.full(n, 1 / n), RESAMPLES) / (n - 1) for n in (n_replicates, n_problems)
    )
    return replicates, problems


def _t_test(estimate: float, error: float, df: float) -> tuple[float, float, float]:
    """Return the half-widths of the interval and of the one-sided bound, and the two-sided p.

    Without any spread the estimate is certain.
    """
    if error == 0:
        return 0.0, 0.0, float(estimate == 0)
    half, one_sided = (float(stats.t.ppf(level, df) * error) for level in ((1 + LEVEL) / 2, LEVEL))
    return half, one_sided, float(2 * stats.t.sf(abs(estimate) / error, df))


def paired_t(values: Sequence[float]) -> Effect:
    """Return the mean of per-replicate differences (S,) with its t interval: for what has no problems to resample."""
    values = finite(values, 1)
    estimate, n = float(values.mean()), len(values)
    if n == 1:
        return Effect(estimate, nan, nan, nan, nan, n)
    sem = float(values.std(ddof=1) / np.sqrt(n))
    half, one_sided, p = _t_test(estimate, sem, n - 1)
    return Effect(estimate, estimate - half, estimate + half, sem, p, n, estimate - one_sided)


def crossed(statistic: Callable[[np.ndarray], np.ndarray], n_problems: int) -> Effect:
    """Return the decision interval of a statistic that is computed per replicate on a weighted set of problems.

    `statistic` takes weights of the problems (R, P), rows summing to 1, and returns one number per resample
    and replicate (R, S); it may be nonlinear in the weights. Fewer than two problems are a ValueError.
    """
    if n_problems < 2:
        raise ValueError(f"a bootstrap over problems needs at least 2 problems, not {n_problems}")
    by_t = paired_t(statistic(np.full((1, n_problems), 1 / n_problems))[0])
    estimate, sem, n = by_t.estimate, by_t.sem, by_t.n_replicates
    if n == 1:
        return by_t
    replicate_weights, problem_weights = _resamples(n, n_problems)
    resampled = (replicate_weights * statistic(problem_weights)).sum(1)  # (R,)
    error = float(resampled.std(ddof=1))
    rest = max(error**2 - sem**2, 0.0)  # what the problems add to the variance over the replicates
    df = (sem**2 + rest) ** 2 / (sem**4 / (n - 1) + rest**2 / (n_problems - 1)) if error > 0 else 1.0
    half, one_sided, p = _t_test(estimate, error, df)
    half = max(half, by_t.high - estimate)
    bound = min(estimate - one_sided, by_t.bound)
    return Effect(estimate, estimate - half, estimate + half, sem, max(p, by_t.p), n, bound)


def difference(arm: np.ndarray, other: np.ndarray) -> Effect:
    """Return the decision interval of mean(arm) - mean(other), both (S, P); another shape is a ValueError."""
    arm, other = finite(arm, 2), finite(other, 2)
    if arm.shape != other.shape:
        raise ValueError(f"arms to compare have (replicates, problems) {arm.shape} and {other.shape}")
    paired = arm - other
    return crossed(lambda weights: weights @ paired.T, paired.shape[1])


def share_of(flags: Sequence[bool]) -> Share:
    """Return how many of the runs are flagged, with Clopper-Pearson's interval: exact, so never too narrow."""
    n, runs = len(flags), int(np.sum(flags))
    tail = (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, runs, n - runs + 1)) if runs > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, runs + 1, n - runs)) if runs < n else 1.0
    return Share(runs, n, low, high)


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


def least_sems(comparisons: int, n_replicates: int) -> float:
    """Return how many SEMs a paired difference takes, before the smallest p of so many comparisons passes Holm."""
    return float(stats.t.isf((1 - LEVEL) / (2 * comparisons), n_replicates - 1))


def finite(values, ndim: int) -> np.ndarray:
    """Return the values as an array; another number of dimensions, or a number that is none, is a ValueError."""
    array = np.asarray(values, float)
    if array.ndim != ndim or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"rates to compare: need finite numbers in {ndim} dimensions, got shape {array.shape}")
    return array
