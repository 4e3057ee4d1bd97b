"""The checks: each says what its number says, and nothing where there is none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from detections import detected
from synthetic_study import make

from projected_grpo.analysis import checks
from projected_grpo.analysis.threats import threats
from projected_grpo.method.intervention import overlap, project
from projected_grpo.method.settings import Intervention
from projected_grpo.reporting.checks import CHECKS, check_grid, render


def test_a_signal_is_held_against_the_best_control_on_the_same_rollouts():
    (line, *_) = checks._detects(detected(2.0, random=0.0))
    assert line.of == "hack, known modes" and line.answer == "holds"
    assert "hack against correct 1.00, the best control (random) 0." in check_grid([line])
    (line, *others) = checks._detects(detected(2.0, random=2.0))
    assert line.answer == "fails" and "hack against wrong 1.00, the best control (random) 1.00" in check_grid([line])
    assert not any("random," in other.of for other in others)  # a control is not judged
    (line,) = checks._detects(pd.DataFrame())
    assert line.answer == "not measured" and "no run was looked at" in check_grid([line])


@pytest.mark.parametrize(("follows", "low", "high"), [(0.0, -0.15, 0.15), (0.3, 0.6, 1.0)])
def test_a_common_trend_is_no_sign_that_overlap_follows_hacking(follows, low, high):
    """72 steps in which hacking takes off, in batches of 48 rollouts, and the overlap rises beside it."""
    rng = np.random.default_rng(0)
    trend = 1 / (1 + np.exp(-(np.arange(72) - 36) / 6))
    before, after = [], []
    for _ in range(40):
        hack = rng.binomial(48, 0.05 + 0.6 * trend) / 48
        overlap = 0.35 + 0.15 * trend + follows * (hack - 0.05 - 0.6 * trend) + rng.normal(0, 0.01, 72)
        before.append(checks._correlation(overlap, hack))
        after.append(checks._correlation(np.diff(overlap), np.diff(hack)))
    assert np.mean(before) > 0.9  # what a correlation over the whole run would say of either
    assert low < np.mean(after) < high


def test_overlap_is_held_against_hacking_from_step_to_step(study):
    log, rng = study.training["vanilla"], np.random.default_rng(0)
    (line,) = checks._follows(study)
    assert line.answer != "holds"  # both rise with the run, and that is all
    hack = log["hack_student"]
    log["overlap_student"] = 0.4 + 0.2 * hack + 0.01 * rng.random(hack.shape)
    log["overlap_student"][:, 5] = np.nan  # a step without a gradient
    (line,) = checks._follows(study)
    assert line.answer == "holds" and "correlation of their changes 0.9" in check_grid([line])


FLAGS = ("flagged_student", "flag_precision", "flag_recall", "flag_false_positives")


@pytest.fixture
def study():
    made = make(arms=("vanilla", "erase", "erase_k4", "erase_update", "erase_random"))
    arms = {}
    for arm, spec in made.arms.items():
        project = "update" if arm == "erase_update" else "gradient"
        tested = arm in ("erase", "erase_k4", "erase_update")
        what = "erase" if tested else "none"
        arms[arm] = dataclasses.replace(spec, tested=tested, intervention=what, project=project, gate="no_gate")
    shape = made.training["vanilla"]["step"].shape
    for log in made.training.values():
        log |= dict.fromkeys(FLAGS, np.full(shape, np.nan))
        log |= {"basis_overlap": np.full(shape, np.nan), "frac_reward_zero_std": np.full(shape, 0.25)}
    return dataclasses.replace(made, arms=arms)


def test_an_arm_with_fewer_rows_or_an_update_that_is_projected_has_no_say_about_the_leak(study):
    found = {line.of: line for line in checks._leak(study)}
    assert set(found) == {"erase", "erase_update"}
    assert found["erase_update"].answer is None and "0 by construction" in check_grid([found["erase_update"]])
    assert {line.answer for line in found.values()} == {None}


def test_an_arm_that_neither_projects_V_nor_is_gated_by_it_has_no_say_about_the_leak(study):
    other = dataclasses.replace(study.arms["erase"], intervention="none", signal_kind="probe")
    lines = checks._leak(dataclasses.replace(study, arms={**study.arms, "erase": other}))
    assert [line.of for line in lines] == ["erase_update"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate": "one_sided"}, "the gradient along V is never hack-ward"),
        ({"gate": "reverse"}, "the gradient along V is never hack-ward"),
        ({"gate": "no_gate"}, "the gradient along V is never hack-ward"),
        ({"signal_kind": "overlap"}, "left out by this very overlap"),
        ({"project": "both"}, "0 by construction"),
    ],
)
def test_an_update_that_is_less_hackward_by_construction_is_labelled_and_not_counted(study, changes, words):
    arms = {**study.arms, "erase": dataclasses.replace(study.arms["erase"], **changes)}
    (line,) = [line for line in checks._leak(dataclasses.replace(study, arms=arms)) if line.of == "erase"]
    assert line.answer is None and words in check_grid([line])


def test_projections_of_the_gradient_lower_the_updates_overlap_on_pure_noise():
    """Why that number is no result: the gradients hold nothing hack-ward, and it falls all the same."""
    torch.manual_seed(0)
    V = torch.linalg.qr(torch.randn(32, 4)).Q.T
    noise = torch.randn(60, 32)

    def overlaps(gate):
        knob, found = torch.zeros(32, requires_grad=True), []
        adam = torch.optim.AdamW([knob], lr=0.1, betas=(0.9, 0.99), weight_decay=0.0)
        for g in noise:
            knob.grad = g.clone() if gate is None else project(V, g, Intervention("erase", gate))[0]
            before = knob.detach().clone()
            adam.step()
            found.append(overlap(V, before - knob.detach()))
            if gate == "one_sided":
                assert ((V @ adam.state[knob]["exp_avg"]) < 1e-6).all()  # V m is never positive
        return np.mean(found)

    assert max(overlaps("one_sided"), overlaps("no_gate")) < 0.4 * overlaps(None)


def test_a_signal_is_held_against_the_exploits_among_the_live_rollouts(study):
    log, shape = study.training["erase"], study.training["erase"]["flagged_student"].shape
    log |= {name: np.full(shape, value) for name, value in (("flagged_student", 0.4), ("hack_student", 0.3))}
    log |= {"flag_recall": np.full(shape, 0.5), "flag_false_positives": np.full(shape, 0.1)}
    for precision, answer in ((0.6, "holds"), (0.2, "fails")):
        log["flag_precision"] = precision + 0.01 * np.arange(shape[0])[:, None] + np.zeros(shape)
        (line,) = checks._flags(study)
        assert line.answer == answer and "exploited 30.0%, flagged 40.0%" in check_grid([line])


@pytest.mark.parametrize(("last", "answer"), [(0.9, "holds"), (0.2, "fails"), (np.nan, "not measured")])
def test_a_model_that_hides_from_its_signal_is_seen_by_the_attempts_that_it_misses(study, last, answer):
    log, shape = study.training["erase"], study.training["erase"]["flag_recall_attempted"].shape
    log["flag_recall_attempted"] = np.full(shape, 0.8) + 0.01 * np.arange(shape[0])[:, None]
    log["flag_recall_attempted"][:, -shape[1] // 3 :] += last - 0.8 + 0.005 * np.arange(shape[0])[:, None]
    (line,) = checks._hides(study)
    assert line.of == "erase" and line.answer == answer
    assert np.isnan(last) or f"flagged of the attempts 81.0%, then {100 * last + 1.5:.1f}%" in check_grid([line])


def test_every_check_has_a_line_and_the_page_shows_them(study):
    directions = pd.DataFrame({"subspace_overlap": [0.1], "subspace_chance": [0.2]}, index=["random"])
    found = checks.checks(study, None, detected(1.0, random=0.0), directions)
    assert {line.answer for line in found} <= {"holds", "fails", "open", "not measured", None}
    text = render(threats(study), found, {"table1": 3}, "A note.")
    assert all(CHECKS[line.check][0] in text for line in found) and "nan" not in text
    assert text.count("Nothing here is corrected for the number of lines") == 2  # of threats and of checks
    assert "against a random V alone everything looks specific" in text


def test_of_no_attempts_there_is_no_share_that_exploits(study):
    for name in ("attempted", "hack", "hack_attempted"):
        study.final("erase")[name][:] = 0
    found = {line.of: check_grid([line]) for line in checks._attempts(study)}
    assert "attempted 0.0%, exploited 0.0%, exploited of attempted — |" in found["erase"]
    assert "exploited of attempted —" not in found["vanilla"]
