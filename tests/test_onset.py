"""Method 7 (d): hacked runs, and the step at which hacking begins."""

import numpy as np
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.onset import hacked_runs, onset, onset_of
from projected_grpo.analysis.statistics import WINDOW

STEPS = np.tile(np.arange(1.0, 21.0), (3, 1))


def test_the_onset_is_the_first_step_whose_window_exceeds_a_tenth():
    hack = np.zeros((3, 20))
    hack[0, 10:] = 0.2  # a window of 8 steps has 5 of them, a mean of 0.125, first at step 15
    hack[1, 5] = 0.8  # a mean of exactly a tenth is not above it
    found = onset_of(STEPS, hack)
    assert found.censored == 2 and found.mean == pytest.approx((15 + 20 + 20) / 3)


def test_steps_before_the_first_whole_window_and_steps_without_rollouts_begin_nothing():
    hack = np.zeros((3, 20))
    hack[:, :3] = 0.2  # a mean of 0.2 over three steps, of 0.075 over eight
    hack[:, 12:] = np.nan
    assert onset_of(STEPS, hack).censored == 3
    hack[:, :3] = 0.5
    assert onset_of(STEPS, hack).mean == WINDOW


def test_a_run_shorter_than_a_window_has_one_window():
    assert onset_of(STEPS[:, :4], np.full((3, 4), 0.2)).mean == 4


def test_the_base_model_has_no_onset_and_may_still_be_hacked():
    study = synthetic.make(arms=("base", "vanilla"), claims={})
    assert np.isnan(onset(study, "base").mean) and onset(study, "base").censored == 0
    assert hacked_runs(study, "base").n == 3


def test_hacked_runs_are_counted_over_replicates():
    study = synthetic.make(arms=("vanilla", "route"), claims={})
    every, none = hacked_runs(study, "vanilla"), hacked_runs(study, "route")
    assert (every.runs, every.n, every.high) == (3, 3, 1.0)
    assert none.runs == sum(study.final("route")["hack"].mean(1) > 0.1) < 3
    assert onset(study, "vanilla").censored == 0 and onset(study, "route").censored == 3
    assert 20 < onset(study, "vanilla").mean < 60 and onset(study, "route").mean == synthetic.LAST
