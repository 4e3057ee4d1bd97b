"""A step's groups: the teacher's share, ablated rollouts, and whose gradient a row is."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from training_harness import ARMS, equal, judge

from projected_grpo.method import groups, trainer
from projected_grpo.method.gradients import TrainingError
from projected_grpo.method.rollouts import Rollout


def test_mixed_groups_take_elicited_rows_of_their_own_prompt(world):
    rows = pd.DataFrame(world.run(ARMS["vanilla"]).log.rollouts)
    taught = rows[rows["source"] == "teacher"]
    assert (rows.groupby("step")["source"].apply(lambda s: (s == "teacher").sum()) == 3).all()  # round(4 * 0.25) each
    elicited = world.pool[world.pool["elicited"]].groupby("problem_id")["completion"].agg(set)
    assert all(row.completion in elicited[row.problem_id] for row in taught.itertuples())
    assert "teacher" not in set(pd.DataFrame(world.run(ARMS["alone"]).log.rollouts)["source"])


def test_a_prompt_without_teacher_rows_takes_a_full_live_group(world):
    some = world.pool[world.pool["problem_id"].isin(["p0", "p1"])]
    rows = pd.DataFrame(world.run(ARMS["vanilla"], pool=some).log.rollouts)
    counts = rows.groupby(["step", "problem_id", "source"]).size()
    for (_, problem, source), n in counts.items():
        assert n == {"teacher": 1, "student": 3 if problem in ("p0", "p1") else 4}[source]


def test_an_empty_pool_is_an_error_unless_no_teacher_is_wanted(world):
    empty = world.pool.iloc[:0]
    with pytest.raises(TrainingError, match=r"arm vanilla: mix is 0.25, but the teacher pool has no elicited row"):
        world.run(ARMS["vanilla"], pool=empty)
    world.run(ARMS["alone"], pool=empty)


def test_the_ablated_share_of_live_rollouts_is_sampled_and_trained_without_the_quarantine(world, monkeypatch):
    seen = []
    real = trainer.backward

    def backward(model, adapter, rows, sources, *rest, ablated, **kwargs):
        found = real(model, adapter, rows, sources, *rest, ablated=ablated, **kwargs)
        seen.append((sources, ablated, found))
        return found

    monkeypatch.setattr(trainer, "backward", backward)
    run = world.run(ARMS["route_ablated"])
    rows = pd.DataFrame(run.log.rollouts)
    assert (rows[rows["source"] == "student"].groupby("step")["ablated"].sum() == round(0.5 * 9)).all()
    assert not rows[rows["source"] == "teacher"]["ablated"].any()
    for sources, ablated, found in seen:
        assert not any(flag for source, flag in zip(sources, ablated, strict=True) if source != "student")
        assert found.ablated.keys() == found.by_source.keys()
    knobs = run.knobs
    assert any(value.any() for key, value in knobs.items() if key.endswith("quarantine"))


@pytest.mark.parametrize("name", ["route", "route_rollout"])
def test_without_ablated_rollouts_nothing_changes(world, monkeypatch, name):
    """Bit for bit what the arm was before the option existed: nothing is run without the quarantine."""
    plain = world.run(ARMS[name])
    monkeypatch.setattr("projected_grpo.method.adapter.Adapter.ablated", lambda self: 1 / 0)
    monkeypatch.setattr(groups, "ablated_counts", lambda counts, share, rng: [0] * len(counts))
    assert equal(plain, world.run(ARMS[name]))
    assert not any(row["ablated"] for row in plain.log.rollouts)


def test_the_ablated_rollouts_are_drawn_without_regard_to_the_group():
    counts = [[6, 8, 6]] * 200
    drawn = [groups.ablated_counts(c, 0.25, np.random.default_rng(i)) for i, c in enumerate(counts)]
    assert {sum(each) for each in drawn} == {5}
    assert np.mean(drawn, axis=0) == pytest.approx([1.5, 2.0, 1.5], abs=0.2)


def test_the_teachers_clean_rows_are_those_that_do_not_attempt(world):
    def row(exploited, attempted):
        verdict = dataclasses.replace(judge(world.problems[0], "1"), exploited=exploited, attempted=attempted)
        return Rollout(world.problems[0], [1], [2], "", verdict, teacher=True)

    assert groups.source(row(True, True), 1.0) == "teacher_hack"
    assert groups.source(row(False, False), 1.0) == "teacher_clean"
    assert groups.source(row(False, True), 1.0) == "teacher_rest"  # it solves, with an exploit that was not needed
    assert groups.source(row(False, False), -1.0) == groups.source(row(True, True), 0.0) == "teacher_rest"
