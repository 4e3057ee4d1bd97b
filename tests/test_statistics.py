import numpy as np
import pytest

from projected_grpo.analysis import statistics as st

DATASETS, COVERED, PROBLEMS = 3000, 2000, 32


def gaussian(generator, n_replicates, shared):
    """Differences (N, S, P) with mean 0: a replicate effect, problem x arm effects shared by the replicates, noise.

    `shared` is the problems' share in the error of the mean relative to the replicates': with 0 the t suffices.
    """
    replicates = generator.standard_normal((DATASETS, n_replicates, 1))
    problems = shared * np.sqrt(PROBLEMS / n_replicates) * generator.standard_normal((DATASETS, 1, PROBLEMS))
    return replicates + problems + 0.5 * generator.standard_normal((DATASETS, n_replicates, PROBLEMS))


def binary(generator, n_replicates):
    """Differences of two arms' means over four yes/no samples; the arms react to each problem in their own way."""
    replicates = 0.5 * generator.standard_normal((2, DATASETS, n_replicates, 1))
    problems = 1.2 * generator.standard_normal((2, DATASETS, 1, PROBLEMS))
    rates = generator.binomial(4, 1 / (1 + np.exp(-replicates - problems))) / 4
    return rates[0] - rates[1]


def replicates_as_measured(generator, n_replicates, spread):
    """Differences of two arms' means over four yes/no samples (N, S, P), true mean 0.3, in points as measured.

    Every replicate has a base model of its own: its rate is shifted (sd 0.10) in both arms, and the difference of the
    arms is its own too (sd `spread`). Problems differ (sd 0.15), and arms react to each in their own way (sd 0.06).
    Uniform effects keep the rates inside [0, 1], so that the truth is known exactly.
    """

    def effect(sd, *shape):
        return generator.uniform(-1, 1, (COVERED, *shape)) * sd * np.sqrt(3)

    problems = effect(0.12, 1, PROBLEMS) + effect(0.08, n_replicates, 1)
    own = [effect(spread / np.sqrt(2), n_replicates, 1) + effect(0.05, 1, PROBLEMS) for _ in range(2)]
    arms = [np.clip(level + problems + each, 0, 1) for level, each in zip((0.65, 0.35), own, strict=True)]
    return np.subtract(*[generator.binomial(4, rates) / 4 for rates in arms]) - 0.3


def coverage(data):
    zeros = np.zeros(data.shape[1:])
    effects = [st.difference(sample, zeros) for sample in data]
    return np.mean([effect.low <= 0 <= effect.high for effect in effects])


@pytest.mark.parametrize("n_replicates", [3, 5, 10])
@pytest.mark.parametrize("shared", [0.0, 1.0, 2.0])
def test_interval_covers_with_and_without_shared_problem_effects(n_replicates, shared):
    assert coverage(gaussian(np.random.default_rng(7), n_replicates, shared)) >= 0.93


@pytest.mark.parametrize("n_replicates", [3, 5, 10])
def test_interval_covers_on_rates_of_few_samples(n_replicates):
    assert coverage(binary(np.random.default_rng(8), n_replicates)) >= 0.93


@pytest.mark.parametrize("n_replicates", [3, 5, 8])
@pytest.mark.parametrize("spread", [0.05, 0.10])
def test_interval_covers_where_base_models_differ(n_replicates, spread):
    assert coverage(replicates_as_measured(np.random.default_rng(6), n_replicates, spread)) >= 0.93


def test_the_one_sided_bound_covers_and_is_nearer_than_the_interval():
    data = replicates_as_measured(np.random.default_rng(5), 3, 0.10)
    effects = [st.difference(sample, np.zeros_like(sample)) for sample in data]
    assert np.mean([effect.bound <= 0 for effect in effects]) >= 0.93
    assert all(effect.low < effect.bound < effect.estimate for effect in effects)


def test_the_t_alone_would_not_cover():
    data = gaussian(np.random.default_rng(9), 10, 2.0)
    effects = [st.paired_t(sample.mean(1)) for sample in data]
    assert np.mean([effect.low <= 0 <= effect.high for effect in effects]) < 0.7


def test_a_known_effect_is_found_and_no_effect_is_not():
    generator = np.random.default_rng(10)
    other = generator.binomial(8, 0.7, (3, 64)) / 8
    arm = generator.binomial(8, 0.3, (3, 64)) / 8
    effect = st.difference(arm, other)
    assert effect.low < -0.4 < effect.high < -0.3
    assert effect.p < 0.01
    assert st.difference(arm, arm) == st.Effect(0.0, 0.0, 0.0, 0.0, 1.0, 3, 0.0)


def test_p_and_interval_agree():
    for sample in gaussian(np.random.default_rng(11), 3, 1.0)[:200] + 1.0:
        effect = st.difference(sample, np.zeros_like(sample))
        assert (effect.p < 0.05) == (not effect.low <= 0 <= effect.high)


def test_one_replicate_has_no_interval():
    effect = st.difference(np.array([[0.1, 0.3]]), np.array([[0.5, 0.5]]))
    assert effect.estimate == pytest.approx(-0.3)
    assert np.isnan([effect.low, effect.high, effect.sem, effect.p, effect.bound]).all()


def test_without_problem_spread_the_interval_is_the_t():
    effect = st.difference(np.repeat([[0.1], [0.2], [0.6]], 20, 1), np.zeros((3, 20)))
    by_t = st.paired_t([0.1, 0.2, 0.6])
    assert effect.sem == pytest.approx(0.152753, abs=1e-6)
    assert by_t.high - by_t.estimate == pytest.approx(4.302653 * 0.152753, abs=1e-5)
    assert effect.low == pytest.approx(by_t.low, rel=0.05)
    assert by_t.estimate - by_t.bound == pytest.approx(2.919986 * 0.152753, abs=1e-5)
    noisy = np.repeat([[0.1], [0.2], [0.6]], 20, 1) + np.tile([0.01, -0.01], 10)
    effect = st.difference(noisy, np.zeros((3, 20)))
    assert effect.low <= by_t.low + 1e-9 and effect.bound <= by_t.bound + 1e-9


def test_shares_of_runs_have_clopper_and_pearsons_interval():
    none, some, all_of_3 = (st.share_of([True] * k + [False] * (n - k)) for k, n in ((0, 3), (2, 8), (3, 3)))
    assert (none.runs, none.low, none.high) == (0, 0.0, pytest.approx(1 - 0.025 ** (1 / 3)))
    assert (some.runs, some.n) == (2, 8) and (some.low, some.high) == pytest.approx((0.0319, 0.6509), abs=1e-4)
    assert (all_of_3.low, all_of_3.high) == (pytest.approx(0.025 ** (1 / 3)), 1.0)


def test_holm_by_hand():
    # sorted .01 .02 .03 .04: 4 x .01 = .04, 3 x .02 = .06, 2 x .03 = .06, 1 x .04 = .04, raised to .06
    assert st.holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert st.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    adjusted = st.holm([np.nan, 0.01])
    assert np.isnan(adjusted[0]) and adjusted[1] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("arm", "other", "message"),
    [
        (np.zeros((3, 4)), np.zeros((3, 5)), "arms to compare have"),
        (np.zeros((3, 1)), np.zeros((3, 1)), "at least 2 problems"),
        (np.full((3, 4), np.nan), np.zeros((3, 4)), "need finite numbers in 2 dimensions"),
    ],
)
def test_bad_input_gets_one_clear_line(arm, other, message):
    with pytest.raises(ValueError, match=message):
        st.difference(arm, other)


@pytest.mark.parametrize(("comparisons", "replicates"), [(1, 3), (34, 3), (34, 8)])
def test_a_difference_of_that_many_sems_is_the_smallest_that_passes_holm(comparisons, replicates):
    values = np.random.default_rng(0).standard_normal(replicates)
    values = (values - values.mean()) / values.std(ddof=1) * np.sqrt(replicates)  # mean 0, SEM 1
    sems = st.least_sems(comparisons, replicates)
    for shift, passes in ((1.001, True), (0.999, False)):
        p = [st.paired_t(values + shift * sems).p, *[1.0] * (comparisons - 1)]
        assert (st.holm(p)[0] < 1 - st.LEVEL) == passes
