"""Method 7 (b): by hand, and against the truth that only a simulation knows."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from projected_grpo.analysis import early_stop
from projected_grpo.analysis.early_stop import early_stopping
from projected_grpo.analysis.statistics import paired_t

PROBLEMS, SAMPLES, CHECKPOINTS, REPETITIONS = 64, 4, 25, 1000


def rates(*values):
    """Checkpoints of one replicate as (C, P) with two equal problems."""
    return np.repeat(np.array(values, float)[:, None], 2, 1)


def test_early_stopping_by_hand():
    hack = np.stack([rates(0.05, 0.2, 0.6), rates(0.05, 0.3, 0.7)])  # (2 replicates, 3 checkpoints, 2 problems)
    solve = np.stack([rates(0.4, 0.5, 0.9), rates(0.4, 0.6, 0.1)])
    arm_hack, arm_solve = rates(0.25, 0.01), rates(0.45, 0.6)
    result = early_stopping(*(np.stack([each, each]) for each in (arm_hack, arm_solve, hack, solve)))
    # replicate 0 may stop at the second checkpoint (hack 0.2, solve 0.5); replicate 1 never was at 0.01: its base model
    assert result.effect.estimate == pytest.approx((0.45 - 0.5 + 0.6 - 0.4) / 2)
    assert result.checkpoint.tolist() == [[1, 0]] * 2
    assert result.stand_in.tolist() == [[False, True]] * 2


def test_one_half_chooses_and_the_other_measures():
    hack = np.zeros((2, 1, 3, 2))
    solve = np.stack([rates(0.4, 0.9, 0.5), rates(0.4, 0.2, 0.6)])[:, None]  # the halves prefer checkpoints 1 and 2
    arm = np.stack([rates(0.8), rates(0.6)])
    result = early_stopping(np.zeros((2, 1, 2)), arm, hack, solve)
    assert result.checkpoint.tolist() == [[1], [2]]
    assert result.effect.estimate == pytest.approx(((0.6 - 0.2) + (0.8 - 0.5)) / 2)


def test_a_tolerance_lets_the_baseline_hack_more():
    hack, solve = rates(0.05, 0.07, 0.11)[None], rates(0.4, 0.5, 0.6)[None]
    arm_hack, arm_solve = rates(0.06), rates(0.45)
    halves = [np.stack([each, each]) for each in (arm_hack, arm_solve, hack, solve)]
    found = [early_stopping(*halves, tolerance).effect.estimate for tolerance in (0.0, 0.02, 0.05)]
    assert found == pytest.approx([0.45 - 0.4, 0.45 - 0.5, 0.45 - 0.6])


@pytest.fixture
def no_bootstrap(monkeypatch):
    """Leave the estimate alone: the simulations ask for its bias over many repetitions."""
    monkeypatch.setattr(early_stop, "crossed", lambda statistic, n: paired_t(statistic(np.full((1, n), 1 / n))[0]))


def bias(hack, solve, arm_hack, arm_solve):
    """Return how far (b) is from the truth on average, in points: in sample, and cross-fitted.

    hack and solve (C,) are the baseline's true rates. The truth is the best true solve at a checkpoint whose true hack
    is not above the arm's. Problems differ in how often they are solved.
    """
    generator = np.random.default_rng(3)
    allowed = hack <= arm_hack
    truth = arm_solve - solve[allowed].max()
    easy = generator.uniform(-0.25, 0.25, (REPETITIONS, 1, PROBLEMS))

    def sampled(hack, solve):
        """Return rates of 0 or 1 per sample of two halves, (2, samples, N, C, P)."""
        shape = (2, SAMPLES // 2, REPETITIONS, len(hack), PROBLEMS)
        uniform = generator.random(shape)
        hacked = uniform < hack[:, None]
        return hacked, ~hacked & (uniform < hack[:, None] + solve[:, None] + easy)

    baseline, arm = sampled(hack, solve), sampled(np.array([arm_hack]), np.array([arm_solve]))
    whole = [[each.mean((0, 1), keepdims=True)[0] for each in rates] for rates in (baseline, arm)]
    halves = [[each.mean(1) for each in rates] for rates in (baseline, arm)]

    def measured(baseline, arm):
        """Take the repetitions as replicates: the estimate is their mean."""
        both = [np.concatenate([each] * (2 // len(each))) for each in (*arm, *baseline)]
        return 100 * (early_stopping(both[0][:, :, 0], both[1][:, :, 0], *both[2:]).effect.estimate - truth)

    return measured(*whole), measured(*halves)


def test_the_grid_is_the_one_of_the_default_config():
    config = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text())
    assert config["train"]["steps"] // config["evaluation"]["stops_every"] + 1 == CHECKPOINTS
    assert (config["evaluation"]["subset"], config["evaluation"]["subset_samples"]) == (PROBLEMS, SAMPLES)


def test_the_best_of_noisy_checkpoints_is_too_good_and_the_cross_fitted_one_is_not(no_bootstrap):
    in_sample, cross_fitted = bias(np.full(CHECKPOINTS, 0.05), np.full(CHECKPOINTS, 0.45), 0.20, 0.45)
    assert -6.5 < in_sample < -5
    assert abs(cross_fitted) < 1


def test_along_a_curve_the_cross_fitted_stop_is_within_two_points_of_the_best(no_bootstrap):
    share = np.linspace(0, 1, CHECKPOINTS)
    in_sample, cross_fitted = bias(0.05 + 0.15 * share, 0.44 + 0.08 * share, 0.30, 0.50)
    assert in_sample < -3
    assert 0 < cross_fitted < 2  # the half that chooses does not always find the best checkpoint


def test_hacking_that_rises_between_the_checkpoints_of_a_coarse_grid_leaves_the_base_model_alone():
    """A baseline learns, then hacks, within 12 steps: every third step there is a stop, every twelfth there is none."""
    hack = rates(0.05, 0.05, 0.05, 0.2, 0.6, 0.7)[None]
    solve = rates(0.4, 0.45, 0.5, 0.5, 0.3, 0.1)[None]
    arm = [np.stack([each, each]) for each in (rates(0.1), rates(0.45))]
    fine, coarse = (
        early_stopping(*arm, *(np.stack([each[:, ::step]] * 2) for each in (hack, solve))).effect.estimate
        for step in (1, 4)
    )
    assert fine == pytest.approx(0.45 - 0.5) and coarse == pytest.approx(0.45 - 0.4)
