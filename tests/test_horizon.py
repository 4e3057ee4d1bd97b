"""More steps: whether an effect shrinks, as a difference of differences paired by replicate."""

import dataclasses

import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.horizon import delays, growth
from projected_grpo.analysis.study import StudyError
from projected_grpo.reporting.threats import threat_grid

SHORTER = {arm: arm for arm in ("erase", "erase_update", "erase_alone", "vanilla_slow", "vanilla")}


@pytest.fixture(scope="module")
def early():
    return synthetic.make()


def later(study, **like):
    """Return the study at the end of longer runs: an arm then does what another arm does in it."""
    views = {key: study.views.get((like.get(key[0], key[0]), *key[1:]), view) for key, view in study.views.items()}
    return dataclasses.replace(study, views=views)


def answers(short, long):
    return {line.arm: line.answer for line in delays(short, long, SHORTER)}


def test_an_effect_that_is_still_there_and_has_shrunk_is_found(early):
    """It hacks 23% where its baseline hacks 72, and in the end 40%: 32 points less, which is above 0, but not 49."""
    long = later(early, erase_update="erase_k4")
    change = growth(early, "erase_update", long, "erase_update")
    by_hand = [study.final("vanilla")["hack"] - study.final("erase_update")["hack"] for study in (early, long)]
    assert change.estimate == pytest.approx((by_hand[1] - by_hand[0]).mean())
    assert change.high < 0 and change.sem > 0
    line = next(line for line in delays(early, long, SHORTER) if line.arm == "erase_update")
    assert line.answer == "present" and "a change of -" in threat_grid([line])


def test_an_effect_that_stays_has_not_shrunk_and_one_that_grows_is_no_threat(early):
    assert answers(early, early)["erase"] == "open"
    assert answers(early, early)["erase_alone"] == "not measured"  # it solves 40 points less than its baseline
    assert answers(later(early, erase_update="erase_k4"), early)["erase_update"] == "absent"


def test_slow_training_and_controls_have_their_lines_too(early):
    assert set(answers(early, early)) == {
        "erase",
        "erase_update",
        "erase_alone",
        "vanilla_slow",
    }  # a baseline has no effect


def test_studies_of_other_replicates_cannot_be_compared(early):
    other = synthetic.make(arms=("vanilla", "erase"), replicates=(41, 42))
    with pytest.raises(StudyError, match=r"^erase and erase: not the same replicates and problems"):
        growth(other, "erase", early, "erase")
