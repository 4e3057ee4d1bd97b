import numpy as np
import pytest

from projected_grpo.analysis import statistics as st

DATASETS, PROBLEMS = 3000, 32


def gaussian(generator, n_seeds, shared):
    """Differences (N, S, P) with mean 0: a seed effect, problem x arm effects shared by the seeds, noise.

    `shared` is the problems' share in the error of the mean relative to the seeds': with 0 the t suffices.
    """
    seeds = generator.standard_normal((DATASETS, n_seeds, 1))
    problems = shared * np.sqrt(PROBLEMS / n_seeds) * generator.standard_normal((DATASETS, 1, PROBLEMS))
    return seeds + problems + 0.5 * generator.standard_normal((DATASETS, n_seeds, PROBLEMS))


def binary(generator, n_seeds):
    """Differences of two arms' means over four yes/no samples; the arms react to each problem in their own way."""
    seeds = 0.5 * generator.standard_normal((2, DATASETS, n_seeds, 1))
    problems = 1.2 * generator.standard_normal((2, DATASETS, 1, PROBLEMS))
    rates = generator.binomial(4, 1 / (1 + np.exp(-seeds - problems))) / 4
    return rates[0] - rates[1]


def coverage(data):
    zeros = np.zeros(data.shape[1:])
    effects = [st.difference(sample, zeros) for sample in data]
    return np.mean([effect.low <= 0 <= effect.high for effect in effects])


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("shared", [0.0, 1.0, 2.0])
def test_interval_covers_with_and_without_shared_problem_effects(n_seeds, shared):
    assert coverage(gaussian(np.random.default_rng(7), n_seeds, shared)) >= 0.93


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_interval_covers_on_rates_of_few_samples(n_seeds):
    assert coverage(binary(np.random.default_rng(8), n_seeds)) >= 0.93


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
    assert st.difference(arm, arm) == st.Effect(0.0, 0.0, 0.0, 0.0, 1.0, 3)


def test_p_and_interval_agree():
    for sample in gaussian(np.random.default_rng(11), 3, 1.0)[:200] + 1.0:
        effect = st.difference(sample, np.zeros_like(sample))
        assert (effect.p < 0.05) == (not effect.low <= 0 <= effect.high)


def test_one_seed_has_no_interval():
    effect = st.difference(np.array([[0.1, 0.3]]), np.array([[0.5, 0.5]]))
    assert effect.estimate == pytest.approx(-0.3)
    assert np.isnan([effect.low, effect.high, effect.sem, effect.p]).all()


def test_without_problem_spread_the_interval_is_the_t():
    effect = st.difference(np.repeat([[0.1], [0.2], [0.6]], 20, 1), np.zeros((3, 20)))
    by_t = st.paired_t([0.1, 0.2, 0.6])
    assert effect.sem == pytest.approx(0.152753, abs=1e-6)
    assert by_t.high - by_t.estimate == pytest.approx(4.302653 * 0.152753, abs=1e-5)
    assert effect.low == pytest.approx(by_t.low, rel=0.05)


def test_holm_by_hand():
    # sorted .01 .02 .03 .04: 4 x .01 = .04, 3 x .02 = .06, 2 x .03 = .06, 1 x .04 = .04, raised to .06
    assert st.holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert st.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    adjusted = st.holm([np.nan, 0.01])
    assert np.isnan(adjusted[0]) and adjusted[1] == pytest.approx(0.02)


def rates(*values):
    """Checkpoints of one seed as (C, P) with two equal problems."""
    return np.repeat(np.array(values, float)[:, None], 2, 1)


def test_early_stopping_by_hand():
    hack = np.stack([rates(0.05, 0.2, 0.6), rates(0.05, 0.3, 0.7)])  # (2 seeds, 3 checkpoints, 2 problems)
    solve = np.stack([rates(0.4, 0.5, 0.9), rates(0.4, 0.6, 0.1)])
    arm_hack, arm_solve = rates(0.25, 0.01), rates(0.45, 0.6)
    result = st.early_stopping(arm_hack, arm_solve, hack, solve)
    # seed 0 may stop at the second checkpoint (hack 0.2, solve 0.5); seed 1 never was at 0.01: step 0 (solve 0.4)
    assert result.effect.estimate == pytest.approx((0.45 - 0.5 + 0.6 - 0.4) / 2)
    assert result.checkpoint.tolist() == [1, 0]
    assert result.stand_in.tolist() == [False, True]


def test_a_baseline_against_itself_is_never_above_zero():
    generator = np.random.default_rng(12)
    hack, solve = generator.binomial(4, 0.4, (2, 3, 5, 24)) / 4
    assert st.early_stopping(hack[:, -1], solve[:, -1], hack, solve).effect.estimate <= 0


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
