"""Method 9, line by line: what is built into a study is found, and nothing is said where nothing was measured."""

import dataclasses

import numpy as np
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.horizon import delays
from projected_grpo.analysis.study import Claim
from projected_grpo.analysis.threats import held_out_threats, paired_means, threats
from projected_grpo.reporting.threats import THREATS, threat_grid


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


def answers(lines):
    return {(line.threat, line.arm, line.against): line.answer for line in lines}


def test_the_list_of_threats_finds_what_is_built_in(study):
    found = answers(threats(study))
    assert found["early", "route", "vanilla"] == "present"
    assert found["control", "erase_update", "erase_update_random"] == "absent"
    assert found["chance", "vanilla", "erase_random"] == "absent"


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
    judged = answers(found)["teacher", "erase_update", "erase_update_onesided_alone"]
    assert judged in ("present", "absent", "open")
    tested = ("erase_update", "erase_alone")
    arms = {arm: dataclasses.replace(spec, tested=arm in tested) for arm, spec in study.arms.items()}
    gone = answers(delays(study, dataclasses.replace(study, arms=arms), {arm: arm for arm in tested}))
    assert gone["gone", "erase_update", "vanilla"] == "absent"
    assert gone["gone", "erase_alone", "vanilla_alone"] == "not measured"


def test_a_held_out_mode_that_falls_by_damage_alone_is_a_threat(study):
    arms = {
        arm: dataclasses.replace(spec, tested=arm in ("erase_alone", "erase_update"))
        for arm, spec in study.arms.items()
    }
    found = {line.arm: line.answer for line in held_out_threats(dataclasses.replace(study, arms=arms))}
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
