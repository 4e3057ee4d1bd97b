"""The one word for what an intervention did, by hand-worked cases of each."""

import pytest
from synthetic_study import make

from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import word
from projected_grpo.analysis.statistics import NO_EFFECT, Effect
from projected_grpo.analysis.threats import Reduction
from projected_grpo.analysis.verdicts import h1
from projected_grpo.reporting.verdicts import outcome_lines

LESS, MORE = (Effect(sign * 0.4, *sorted((sign * 0.3, sign * 0.5)), 0.02, 0.001, 3) for sign in (1, -1))
SAME = Effect(0.01, -0.05, 0.07, 0.02, 0.7, 3)
LITTLE = Effect(0.05, -0.01, 0.11, 0.02, 0.06, 3)  # neither shown nor shown to be nothing
UNKNOWN, AS_SLOW, BETTER = Reduction(NO_EFFECT, NO_EFFECT), Reduction(SAME, SAME), Reduction(SAME, LESS)


@pytest.mark.parametrize(
    ("prevented", "less", "solve", "twin", "slow", "said"),
    [
        (HOLDS, LESS, LESS, LESS, UNKNOWN, "prevents"),
        (HOLDS, LESS, MORE, LESS, AS_SLOW, "prevents"),
        (UNMEASURED, LESS, MORE, LESS, AS_SLOW, "not measured"),
        (FAILS, LESS, MORE, LESS, UNKNOWN, "damages"),
        (OPEN, LESS, MORE, SAME, AS_SLOW, "damages"),
        (OPEN, LITTLE, MORE, LESS, UNKNOWN, "open"),
        (OPEN, SAME, LESS, LESS, UNKNOWN, "adds nothing"),
        (FAILS, LESS, LESS, SAME, AS_SLOW, "adds nothing"),
        (FAILS, MORE, LESS, LESS, UNKNOWN, "adds nothing"),
        (OPEN, LESS, LESS, LESS, AS_SLOW, "delays"),
        (OPEN, LITTLE, LESS, LESS, AS_SLOW, "open"),
        (OPEN, LESS, LESS, LESS, BETTER, "open"),
        (OPEN, LESS, SAME, LITTLE, UNKNOWN, "open"),
        (OPEN, LESS, LESS, NO_EFFECT, UNKNOWN, "open"),
    ],
)
def test_the_first_word_that_fits_is_said(prevented, less, solve, twin, slow, said):
    assert word(prevented, less, solve, twin, slow) == said


def test_the_verdicts_have_a_word_for_every_intervention():
    study = make()
    found = h1(study)
    assert found["outcomes"].keys() == found["claims"].keys()
    assert found["outcomes"]["route"] == "damages"  # it hacks 2% and solves 9%, the base model 44%
    assert found["outcomes"]["erase_update"] == "open" and study.arms["erase_update"].slow is None


def test_with_one_replicate_everything_is_open():
    assert set(h1(make(replicates=(41,)))["outcomes"].values()) == {"open"}


def test_a_line_per_word_and_what_prevents_always():
    lines = outcome_lines({"a": "open", "b": "delays", "c": "open"}).splitlines()
    assert lines == ["- **prevents**: none", "- **delays**: `b`", "- **open**: `a`, `c`"]
