"""Method 7: which knobs are evaluated, on what, and how."""

import pytest
import torch
from test_trainer import FakeGrader, WordTokenizer

from projected_grpo.environment.problems import Problem
from projected_grpo.evaluation import Condition, EvaluationConfig, conditions, evaluate, knobs_at

CONFIG = EvaluationConfig(samples=3, subset=2, subset_samples=2, every=4, temperature=1.0, max_new_tokens=5)


@pytest.fixture
def problems():
    return [Problem(f"p{i}", f"task {i}", "f", (((1,), {}, 2),), mode="sentinel") for i in range(4)]


def checkpoints(adapter, steps, quarantine):
    generator = torch.Generator().manual_seed(0)
    return {
        f"step{step}.{name}": torch.randn(value.shape, generator=generator) * (quarantine or name.endswith("delta"))
        for step in steps
        for name, value in adapter.state().items()
    }


def test_conditions_cover_the_run_and_both_states_only_where_they_differ():
    plain = list(conditions(10, 4, quarantined=False))
    assert [c.step for c in plain if c.scope == "subset"] == [0, 4, 8, 10]
    full = [c for c in plain if c.scope == "full"]
    assert {(c.state, c.hint, c.decoding) for c in full} == {
        ("deployed", hint, decoding) for hint in (True, False) for decoding in ("sample", "greedy")
    }
    routed = [c for c in conditions(10, 4, quarantined=True) if c.scope == "full"]
    assert len(routed) == 8 and Condition(10, "full", "trained", True, "sample") in routed


def test_deployed_knobs_have_no_quarantine_and_step_0_is_the_base_model(tiny):
    saved = checkpoints(tiny().adapter, [4], quarantine=True)
    assert all(key.endswith(".delta") for key in knobs_at(saved, 4, "deployed"))
    assert any(key.endswith(".quarantine") for key in knobs_at(saved, 4, "trained"))
    assert knobs_at(saved, 0, "deployed") == {}
    with pytest.raises(KeyError, match="no checkpoint of step 5"):
        knobs_at(saved, 5, "deployed")


@pytest.mark.parametrize("quarantine", [False, True])
def test_rows(tiny, problems, quarantine):
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine)
    rows = evaluate(made.model, WordTokenizer(), made.adapter, FakeGrader(), problems, saved, 6, CONFIG, seed=1)
    again = evaluate(made.model, WordTokenizer(), made.adapter, FakeGrader(), problems, saved, 6, CONFIG, seed=1)
    assert rows == again
    subset = [row for row in rows if row["scope"] == "subset"]
    assert {row["problem_id"] for row in subset} == {"p0", "p1"}
    assert len(subset) == 3 * 2 * 2
    states = 2 if quarantine else 1
    assert len(rows) - len(subset) == states * 2 * 4 * (3 + 1)
    if quarantine:  # the quarantine matters when it is kept, and only then
        made.adapter.load(knobs_at(saved, 6, "deployed"), partial=True)
        sampled = {
            state: [
                r["completion"]
                for r in rows
                if r["scope"] == "full" and r["state"] == state and r["decoding"] == "greedy" and r["hint"]
            ]
            for state in ("deployed", "trained")
        }
        assert sampled["deployed"] != sampled["trained"]


def test_arms_share_their_sampling_noise(tiny, problems):
    """Two runs that saved the same knobs are evaluated to the same rows."""
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine=False)
    rows = evaluate(made.model, WordTokenizer(), made.adapter, FakeGrader(), problems, saved, 6, CONFIG, seed=1)
    other = evaluate(made.model, WordTokenizer(), made.adapter, FakeGrader(), problems, saved, 6, CONFIG, seed=2)
    assert [r["completion"] for r in rows] != [r["completion"] for r in other]
