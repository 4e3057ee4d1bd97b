"""Method 9, line by line: what is built into a study is found, and nothing is said where nothing was measured."""

import dataclasses
import re

import numpy as np
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.horizon import delays
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.study import Claim
from projected_grpo.analysis.threats import held_out_threats, paired_means, threats
from projected_grpo.reporting.threats import THREATS, THREATS_MEAN, threat_grid


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


def answers(lines):
    return {(line.threat, line.arm, line.against): line.answer for line in lines}


def test_the_list_of_threats_finds_what_is_built_in(study):
    found = answers(threats(study))
    assert found["early", "route", "vanilla"] == "present"
    assert found["control", "erase_update", "erase_update_random"] == "absent"
    assert found["chance", "vanilla", "nonhack"] == "absent"


def test_the_list_says_how_often_an_absence_comes_by_chance():
    """An interval lies above 0 by chance half as often as it excludes 0."""
    assert f"one absence in {round(2 / (1 - LEVEL))} comes by chance alone" in THREATS_MEAN


def test_overlaps_are_compared_in_the_steps_that_both_have():
    nan = np.nan
    one = np.array([[1.0, nan, 5.0, 9.0], [2.0, nan, 6.0, 9.0]])
    other = np.array([[0.5, 7.0, nan], [1.5, 7.0, nan]])
    assert paired_means(one, other).estimate == pytest.approx(0.5)  # of the first step alone
    assert np.isnan(paired_means(one[:, 1:3], other[:, 1:]).estimate)


def test_a_model_that_can_do_nothing_says_nothing_about_teacher_or_steps(study):
    found = threats(study)
    assert answers(found)["teacher", "erase", "erase_alone"] == "not measured"
    assert "not matched" in threat_grid([line for line in found if line.arm == "erase" and line.threat == "teacher"])
    judged = answers(found)["teacher", "erase_update", "erase_update_alone"]
    assert judged in ("present", "absent", "open")
    shrinks = answers(delays(study, study, {arm: arm for arm in ("erase_update", "erase_alone")}))
    assert shrinks["shrinks", "erase_update", "vanilla"] == "open"
    assert shrinks["shrinks", "erase_alone", "vanilla_alone"] == "not measured"


def test_a_held_out_mode_that_falls_by_damage_alone_is_a_threat(study):
    arms = {
        arm: dataclasses.replace(spec, tested=arm in ("erase_alone", "erase_update"))
        for arm, spec in study.arms.items()
    }
    lines = held_out_threats(dataclasses.replace(study, arms=arms))
    found = {line.arm: line.answer for line in lines if line.threat == "held out"}
    assert found == {"erase_alone": "present", "erase_update": "absent"}  # erase_alone solves 40 points less


def test_every_line_has_its_words(study):
    found = threats(study)
    assert {line.threat for line in found} <= set(THREATS)
    text = threat_grid(found)
    assert text.count("\n") == len(found) + 1 and "nan" not in text


def test_an_answer_that_is_not_measured_says_why(study):
    claimed = dataclasses.replace(study, claims={"erase_alone": Claim()})  # which solves 40 points less
    (line,) = [line for line in threats(claimed) if line.threat == "baseline"]
    assert line.answer == "not measured"
    assert threat_grid([line]).endswith(" points: not matched |")


def line_of(study, threat, arm):
    (line,) = [line for line in threats(study) if (line.threat, line.arm) == (threat, arm)]
    return line


def with_arm(study, name, like, **changes):
    """Return the study with one more arm that measured what another did."""
    views = {(name, *key[1:]): view for key, view in study.views.items() if key[0] == like}
    arms = {name: dataclasses.replace(study.arms[like], **changes), **study.arms}
    training = {**study.training, name: study.training[like]}
    return dataclasses.replace(study, arms=arms, views={**study.views, **views}, training=training)


def test_v_is_held_against_the_best_of_the_other_kinds_on_the_same_gradients(study):
    line = line_of(study, "chance", "vanilla")
    assert line.against == "nonhack" and set(line.numbers["others"]) == {"random", "shuffled", "nonhack"}
    text = threat_grid([line])
    assert re.search(r"own V 0\.4\d+; random 0\.3\d+, shuffled 0\.\d+, nonhack 0\.4\d+; above the best", text), text
    logs = {arm: dict(log) for arm, log in study.training.items()}
    logs["vanilla"]["overlap_student/nonhack"] = logs["vanilla"]["overlap_student"] + 0.01  # a random V stays far below
    found = {line.arm: line for line in threats(dataclasses.replace(study, training=logs)) if line.threat == "chance"}
    assert found["vanilla"].answer == "present"
    assert set(found) == {"vanilla"}  # no intervention is judged by what its own run measured


def test_a_run_that_measures_no_other_v_says_nothing_about_chance(study):
    logs = {arm: {name: x for name, x in log.items() if "/" not in name} for arm, log in study.training.items()}
    assert line_of(dataclasses.replace(study, training=logs), "chance", "vanilla").answer == "not measured"
    logs["vanilla"]["overlap_student/random"] = np.full_like(logs["vanilla"]["overlap_student"], np.nan)
    assert line_of(dataclasses.replace(study, training=logs), "chance", "vanilla").answer == "not measured"


def test_an_arm_is_held_against_training_as_slow_as_it_takes(study):
    assert line_of(study, "slow", "erase").answer == "not measured"  # nothing was matched to it

    def matched(arm, slow):
        arms = {**study.arms, arm: dataclasses.replace(study.arms[arm], slow=slow)}
        return line_of(dataclasses.replace(study, arms=arms), "slow", arm)

    line = matched("erase", "vanilla_slow")  # 20 / 6 beside 30 / 36
    assert (line.against, line.answer) == ("vanilla_slow", "open")
    assert "reduction in hack " in threat_grid([line]) and "gain in solve -" in threat_grid([line])
    assert matched("route", "erase_update").answer == "open"  # 2 / 9 beside 23 / 40
    assert matched("erase_update", "erase_random").answer == "absent"  # 23 / 40 beside 45 / 5
    assert matched("erase", "erase_update_alone").answer == "present"  # 20 / 6 beside 10 / 50


def test_the_line_on_the_teacher_says_on_how_many_steps_it_rests(study):
    logs = {arm: dict(log) for arm, log in study.training.items()}
    logs["vanilla"]["overlap_teacher_clean"] = np.full_like(logs["vanilla"]["overlap_teacher_clean"], np.nan)
    logs["vanilla"]["overlap_teacher_clean"][:, :5] = 0.1
    text = threat_grid([line_of(dataclasses.replace(study, training=logs), "teacher overlap", "vanilla")])
    assert "on the 15 of 288 steps that have both" in text


def test_an_arm_is_held_against_the_control_that_hacks_least(study):
    line = line_of(study, "best control", "erase")  # its controls hack 45, 35 and 48%
    assert line.against == "erase_shuffled" and "solve" in threat_grid([line])
    weak = dataclasses.replace(study, claims={"erase": Claim(("erase_shuffled", "vanilla_slow", "no_loophole"))})
    line = line_of(weak, "best control", "erase")
    assert (line.against, line.answer) == ("no_loophole", "present")
    alone = dataclasses.replace(study, claims={"erase": Claim(("gone",))})
    assert line_of(alone, "best control", "erase").answer == "not measured"


def test_a_quarantine_that_its_gate_does_not_need_is_a_threat(study):
    def judged(like):
        claimed = dataclasses.replace(study, claims={"route": Claim(("route_random",), screen="screen")})
        return line_of(with_arm(claimed, "screen", like), "action", "route").answer

    assert judged("route") == "present"  # the same numbers: 2 / 9
    assert judged("erase_random") == "absent"  # 45 / 5
    assert judged("erase_update") == "open"  # 23 / 40: less hack, and less solve
    missing = line_of(dataclasses.replace(study, claims={"route": Claim()}), "action", "route")
    assert missing.answer == "not measured" and "no arm in the table decides it" in threat_grid([missing])
    assert not [line for line in threats(study) if (line.threat, line.arm) == ("action", "erase")]


def test_an_arm_that_solves_no_more_than_the_base_model_is_what_not_training_gives(study):
    def judged(like):
        more = with_arm(study, "untrained", like, last=0)
        key = ("untrained", "full", "deployed", True, "sample")
        at_zero = dataclasses.replace(more.views[key], steps=np.array([0]))
        return line_of(dataclasses.replace(more, views={**more.views, key: at_zero}), "untrained", "erase_update")

    assert (judged("no_loophole").against, judged("no_loophole").answer) == ("untrained", "present")  # 60, not 40
    assert judged("erase").answer == "absent"  # it solves 6
    trained = {arm: spec for arm, spec in study.arms.items() if spec.last}
    assert line_of(dataclasses.replace(study, arms=trained), "untrained", "erase_update").answer == "not measured"


def test_an_arm_with_a_teacher_and_no_counterpart_without_one_is_not_measured(study):
    line = line_of(study, "teacher", "route")
    assert line.answer == "not measured" and "no arm in the table decides it" in threat_grid([line])
    claimed = dataclasses.replace(study, claims={"erase_alone": Claim()})
    assert not [line for line in threats(claimed) if line.threat == "teacher"]  # it has no teacher to depend on


def test_a_held_out_mode_is_held_against_every_slow_control():
    claims = {"erase_update": Claim((), ("vanilla_slow", "erase_random")), "erase_k4": Claim()}
    study = synthetic.make(arms=("vanilla", "erase_update", "erase_k4", "vanilla_slow", "erase_random"), claims=claims)
    arms = {arm: dataclasses.replace(spec, tested=arm in claims) for arm, spec in study.arms.items()}
    found = answers(held_out_threats(dataclasses.replace(study, arms=arms)))
    assert found["held out slow", "erase_update", "erase_random"] == "absent"  # 23 / 40 against 45 / 5
    assert found["held out slow", "erase_update", "vanilla_slow"] in ("absent", "open")  # 30 / 36
    assert found["held out slow", "erase_k4", None] == "not measured"
    claims["erase_k4"] = Claim((), ("vanilla_slow",))
    found = answers(held_out_threats(dataclasses.replace(study, arms=arms, claims=claims)))
    assert found["held out slow", "erase_k4", "vanilla_slow"] == "present"  # 40 / 17
    assert found["held out", "erase_k4", "vanilla"] == "absent"  # which alone would have passed


def dominance(study, arm):
    (line,) = [line for line in threats(study) if (line.threat, line.arm) == ("dominated", arm)]
    return line


def test_an_arm_that_a_slow_control_and_an_early_stop_dominate_is_named_with_them():
    claims = {"erase_k4": Claim(("erase_nonhack",), ("erase_update", "vanilla_slow"))}
    study = synthetic.make(arms=("vanilla", "erase_k4", "erase_nonhack", "erase_update", "vanilla_slow"), claims=claims)
    line = dominance(study, "erase_k4")  # 40 / 17, where erase_update has 23 / 40, and vanilla_slow 30 / 36
    assert line.answer == "present" and line.numbers["by"] == ["erase_update"]
    assert line.numbers["open"] == ["vanilla_slow"] and line.numbers["early answer"] == "present"
    assert line.against == "erase_update, vanilla, stopped early"
    text = threat_grid([line])
    assert "present: erase_update; not ruled out: vanilla_slow; stopping vanilla early: present, (b) -" in text


def test_an_early_stop_alone_is_enough_to_dominate(study):
    line = dominance(study, "erase")  # 20 / 6: its controls hack more
    assert line.numbers["by"] == [] and line.answer == "present" and line.against == "vanilla, stopped early"


def test_an_arm_is_not_dominated_where_every_interval_says_the_opposite():
    claims = {"erase_update": Claim(("erase_update_random",), ("erase_k4",))}
    study = synthetic.make(arms=("vanilla", "erase_update", "erase_update_random", "erase_k4"), claims=claims)
    line = dominance(study, "erase_update")
    assert line.numbers["by"] == line.numbers["open"] == []
    assert "ruled out for every control in the table; stopping vanilla early: " in threat_grid([line])


def test_a_rival_that_is_missing_keeps_dominance_from_being_ruled_out():
    claims = {"erase_update": Claim(("erase_update_random",), ("vanilla_cold",))}
    study = synthetic.make(arms=("vanilla", "erase_update", "erase_update_random"), claims=claims)
    line = dominance(study, "erase_update")
    assert line.numbers["open"] == ["vanilla_cold"] and line.answer != "absent"
