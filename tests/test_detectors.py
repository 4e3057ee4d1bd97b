"""Signals as detectors: AUC within steps, the best control on the same rollouts, folds, calibration along the run."""

import math

import pandas as pd
import pytest
from detections import detected

from projected_grpo.analysis import detectors
from projected_grpo.analysis.detectors import against_control, with_families
from projected_grpo.analysis.study import StudyError
from projected_grpo.reporting.detectors import render_detectors


def test_the_auc_is_taken_within_steps_so_that_time_alone_detects_nothing():
    own, _, _ = against_control(detected(0.0, random=0.0), "hack", "known", "correct")
    assert (own - 0.5).abs().max() < 0.25
    own, best, rival = against_control(detected(2.0, random=0.0), "hack", "known", "correct")
    assert (own == 1).all() and best == "random" and (rival < 0.8).all()


def test_the_best_control_is_the_one_with_the_highest_mean():
    _, best, rival = against_control(detected(2.0, random=0.0, nonhack=2.0), "hack", "known", "wrong")
    assert best == "nonhack" and (rival == 1).all()
    _, best, rival = against_control(detected(2.0), "hack", "known", "wrong")
    assert best is None and rival.isna().all()


def rows(name, subset, control, hack, honest, flags=(None, None), steps=(1, 2, 3), mode="sentinel", replicate=1):
    """One hack and one correct rollout per step, with these scores and flags."""
    return [
        {
            "detector": name,
            "subset": subset,
            "control": control,
            "step": step,
            "mode": mode,
            "kind": kind,
            "score": value,
            "flagged": flag(step) if callable(flag) else flag,
            "replicate": replicate,
        }
        for step in steps
        for kind, value, flag in (("hack", hack, flags[0]), ("correct", honest, flags[1]))
    ]


def test_a_fold_is_asked_about_the_mode_that_it_lacks_beside_a_control_on_the_same_modes():
    found = with_families(
        pd.DataFrame(
            [
                *rows("probe_without_sentinel", "without_sentinel", False, 0.0, 1.0),  # wrong on what it does not know
                *rows("probe_without_sentinel", "without_sentinel", False, 1.0, 0.0, mode="run_tests"),
                *rows("probe_without_sentinel_twin", "without_sentinel", True, 1.0, 0.0),
                *rows("probe_without_sentinel_twin", "without_sentinel", True, 0.0, 1.0, mode="run_tests"),
                *rows("random", "all", True, 0.0, 1.0),
                *rows("random", "all", True, 1.0, 0.0, mode="run_tests"),
            ]
        )
    )
    table = detectors.detectors(found).set_index(["detector", "modes"])
    assert list(table.index) == [("probe", "known"), ("probe", "held out")]
    known, held = table.loc[("probe", "known")], table.loc[("probe", "held out")]
    assert (known["auc_correct"], known["best_control_correct"], known["control_auc_correct"]) == (1, "random", 1)
    assert (held["auc_correct"], held["best_control_correct"], held["control_auc_correct"]) == (0, "probe_twin", 1)
    assert math.isnan(held["auc_wrong"]) and math.isnan(held["recall"])


@pytest.mark.parametrize(
    ("name", "subset", "family"),
    [
        ("probe_all", "all", "probe_all"),
        ("probe_allowed", "all", "probe_allowed"),
        ("probe_all_twin", "all", "probe_all_twin"),
        ("probe_all_without_sentinel", "without_sentinel", "probe_all"),
        ("probe_without_sentinel_2", "without_sentinel", "probe_without_sentinel_2"),
        ("probe_without_sentinel_twin", "without_sentinel", "probe_twin"),
        ("probe_2_without_sentinel", "without_sentinel", "probe_2"),
    ],
)
def test_a_family_is_named_by_what_stands_before_its_fold(name, subset, family):
    found = with_families(pd.DataFrame(rows(name, subset, False, 1.0, 0.0)))
    assert set(found["family"]) == {family}


def test_recall_and_false_positives_are_shown_early_and_late():
    flags = (lambda step: step <= 3, lambda step: step > 6)  # it forgets hacks, and begins to flag the others
    found = with_families(pd.DataFrame(rows("probe", "all", False, 1.0, 0.0, flags, steps=range(1, 10))))
    (row,) = detectors.detectors(found).to_dict("records")
    assert row["recall"] == pytest.approx(3 / 9, abs=1e-6) and row["recall_first"] == 1 and row["recall_last"] == 0
    assert row["false_positives_first"] == 0 and row["false_positives_last"] == 1
    text = render_detectors(detectors.detectors(found), "A note.")
    assert "| `probe` | known |" in text and "100.0 → 0.0" in text and "nan" not in text


def test_detections_are_told_apart_by_the_replicate_in_their_path(tmp_path, monkeypatch):
    made = pd.DataFrame(rows("probe", "all", False, 1.0, 0.0)).drop(columns="replicate")
    monkeypatch.setattr(detectors, "read_table", lambda path, schema: made)
    found = detectors.read_detected(
        [tmp_path / "replicate1/detection.parquet", tmp_path / "detection/replicate2.parquet"]
    )
    assert sorted(found["replicate"].unique()) == [1, 2]
    with pytest.raises(StudyError, match="no part of the path names a replicate"):
        detectors.read_detected([tmp_path / "detection.parquet"])
