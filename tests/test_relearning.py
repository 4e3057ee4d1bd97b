"""Relearning: when hacking is back, beside the baseline."""

import dataclasses

import numpy as np
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.relearning import relearning, when_back
from projected_grpo.reporting.relearning import render_relearning


@pytest.fixture(scope="module")
def study():
    """vanilla ends at some hack rate; `erase` is said to start anew: it hacks from step 20 on, or never."""
    made = synthetic.make(("base", "vanilla", "erase"), claims={}, ceiling=None)
    step = made.training["erase"]["step"]
    hack = np.where(step >= 20, 1.0, 0.0)
    hack[2] = 0.0
    log = made.training["erase"] | {"hack_student": hack}
    return dataclasses.replace(made, training={**made.training, "erase": log})


def test_hacking_is_back_where_the_last_steps_exceed_half_of_the_baselines_end(study):
    at, back = when_back(study, "erase")
    half = study.final("vanilla")["hack"].mean(1) / 2
    for run in (0, 1):
        needed = int(np.floor(8 * half[run])) + 1  # of the last 8 steps, each all hacks
        assert at[run] == 20 + needed - 1
    assert back.tolist() == [True, True, False] and at[2] == study.arms["erase"].last


def test_the_page_holds_it_against_the_baseline_from_the_base_model(study, monkeypatch):
    table = relearning(study, {"base": None, "vanilla": None, "erase": "route"})
    rows = table.set_index("arm")
    assert list(rows.index) == ["vanilla", "erase"] and rows.loc["erase", "never_back"] == 1
    later = when_back(study, "erase")[0] - when_back(study, "vanilla")[0]
    assert rows.loc["erase", "later"] == pytest.approx(later.mean(), abs=1e-6) and np.isnan(
        rows.loc["vanilla", "later"]
    )
    monkeypatch.setattr("projected_grpo.reporting.relearning.HALF", 0.25)
    monkeypatch.setattr("projected_grpo.reporting.relearning.WINDOW", 5)
    text = render_relearning(table, "A note.")
    assert "the first step at which the student's own hack rate, mean of the last 5 steps, is above 25% of" in text
    assert "| `erase` | `route` |" in text and "| `vanilla` | the base model |" in text and "nan" not in text
