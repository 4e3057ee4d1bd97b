"""The two rules, at and beside their thresholds; and every sentence that quotes one follows the constant."""

import math

import pandas as pd
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis import judgement
from projected_grpo.analysis import statistics as st
from projected_grpo.analysis.judgement import Judgement, above_nothing, at_least, one_without_other, threat, together
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, paired_t
from projected_grpo.analysis.verdicts import h1
from projected_grpo.documents import readme
from projected_grpo.reporting import table1, table2, verdicts

THERE = Effect(0.3, 0.1, 0.5, 0.1, 0.01, 3)
GONE = Effect(0.05, -0.3, 0.4, 0.1, 0.7, 3)
BETWEEN = Effect(0.15, -0.1, 0.4, 0.1, 0.2, 3)
ONE_SEED = Effect(0.3, math.nan, math.nan, math.nan, math.nan, 1)


@pytest.mark.parametrize(
    ("effect", "judged"),
    [
        (Effect(0.30, 0.30, 0.5, 0.1, 0.01, 3), Judgement("holds", True)),
        (Effect(0.30, 0.29, 0.5, 0.1, 0.01, 3), Judgement("holds", False)),
        (Effect(0.2999, 0.1, 0.5, 0.1, 0.01, 3), Judgement("open")),
        (Effect(0.15, 0.1, 0.5, 0.1, 0.01, 3), Judgement("open")),
        (Effect(0.1499, 0.1, 0.16, 0.1, 0.01, 3), Judgement("fails", False)),
        (Effect(0.14, 0.1, 0.149, 0.1, 0.01, 3), Judgement("fails", True)),
        (ONE_SEED, Judgement("open")),
        (NO_EFFECT, Judgement("not measured")),
    ],
)
def test_a_threshold_is_judged_on_the_estimate_and_firm_by_the_interval(effect, judged):
    assert at_least(effect, 0.30, 0.15) == judged


@pytest.mark.parametrize(
    ("effect", "answer", "threatens"),
    [
        (THERE, "holds", "absent"),
        (GONE, "fails", "present"),
        (BETWEEN, "open", "open"),
        (ONE_SEED, "open", "open"),
        (NO_EFFECT, "not measured", "not measured"),
    ],
)
def test_above_nothing_takes_an_interval_and_a_threat_is_its_reverse(effect, answer, threatens):
    assert above_nothing(effect).answer == answer
    assert threat(effect) == threatens


def test_an_adjusted_p_can_take_away_what_the_interval_gives():
    assert above_nothing(THERE, 0.04).answer == "holds"
    assert above_nothing(THERE, 0.06).answer == "open"


def test_an_interval_excludes_nothing_exactly_where_its_p_says_so():
    for values in ([0.1, 0.2, 0.15], [0.1, -0.2, 0.15], [0.2, 0.2, 0.2], [0.0, 0.0, 0.0]):
        effect = paired_t(values)
        assert (above_nothing(effect).answer == "holds") == (effect.low > 0)


def test_one_effect_without_the_other():
    assert one_without_other(THERE, GONE) == "present"
    assert one_without_other(THERE, THERE) == one_without_other(GONE, GONE) == "absent"
    assert one_without_other(THERE, BETWEEN) == "open"
    assert one_without_other(THERE, NO_EFFECT) == "not measured"


def test_a_claim_fails_by_one_clause_and_holds_by_all():
    holds, loosely, fails = Judgement("holds", True), Judgement("holds"), Judgement("fails")
    assert together([holds, holds]) == holds
    assert together([holds, loosely]) == loosely
    assert together([holds, fails, Judgement("open")]) == fails
    assert together([fails, Judgement("fails", True)]) == Judgement("fails", True)
    assert together([holds, Judgement("not measured")]) == Judgement("open")


@pytest.fixture(scope="module")
def study():
    return synthetic.make(arms=("vanilla", "erase", "erase_random", "vanilla_slow"))


QUOTING = {
    "REDUCTION": ["H1", "clauses on hack", "table 2's marks"],
    "REDUCTION_FALSIFIES": ["H1", "clauses on hack"],
    "MATCHED": ["H1", "clauses on solve", "table 1's marks", "table 2's marks", "mark of an arm", "the README's marks"],
    "DROP_FALSIFIES": ["H1", "H1s", "clauses on solve"],
}


@pytest.mark.parametrize("constant", QUOTING)
def test_every_sentence_that_quotes_a_threshold_follows_the_constant(study, monkeypatch, constant):
    judged = h1(study)
    short_by_8 = pd.Series({"solve_diff": -0.08})

    def texts():
        lines = [line for line in verdicts.verdict_lines(judged).splitlines() if "(needs" in line]
        return {
            **verdicts.hypotheses(),
            "clauses on hack": "".join(line for line in lines if line.strip().startswith("- hack")),
            "clauses on solve": "".join(line for line in lines if line.strip().startswith("- solve")),
            "table 1's marks": table1.marks(),
            "table 2's marks": table2.marks(),
            "mark of an arm": table1.unmatched(short_by_8),
            "the README's marks": readme.marks(),
        }

    before = texts()
    monkeypatch.setattr(judgement, constant, 0.07)
    after = texts()
    assert [name for name in before if before[name] != after[name]] == QUOTING[constant]
    assert all("7" in after[name] for name in QUOTING[constant] if name != "mark of an arm")


@pytest.mark.parametrize("module", [table1, table2, readme], ids=lambda module: module.__name__)
def test_the_level_of_the_intervals_is_the_one_that_judges(monkeypatch, module):
    assert f"{100 * st.LEVEL:g}%" in module.marks()
    monkeypatch.setattr(module, "LEVEL", 0.83)
    assert "83%" in module.marks()
