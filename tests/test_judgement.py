"""The four rules, at and beside their thresholds; and every sentence that quotes one follows the constant."""

import math

import pandas as pd
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis import judgement
from projected_grpo.analysis import statistics as st
from projected_grpo.analysis.judgement import (
    Judgement,
    above_nothing,
    at_least,
    below_margin,
    better,
    beyond,
    dominated,
    no_better,
    one_without_other,
    threat,
    together,
    worst,
)
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, paired_t
from projected_grpo.analysis.table1 import table1 as table1_of
from projected_grpo.analysis.verdicts import h1
from projected_grpo.reporting import table1, table2, verdicts

THERE = Effect(0.3, 0.1, 0.5, 0.1, 0.01, 3)
GONE = Effect(0.05, -0.3, 0.4, 0.1, 0.7, 3)
BETWEEN = Effect(0.15, -0.1, 0.4, 0.1, 0.2, 3)
BELOW = Effect(-0.3, -0.5, -0.1, 0.1, 0.01, 3)
ONE_REPLICATE = Effect(0.3, math.nan, math.nan, math.nan, math.nan, 1)


@pytest.mark.parametrize(
    ("hack", "solve", "answer"),
    [
        (THERE, GONE, "absent"),
        (GONE, THERE, "absent"),
        (THERE, BELOW, "open"),  # less hacking, paid for
        (GONE, GONE, "present"),
        (GONE, BELOW, "present"),
        (BETWEEN, GONE, "open"),
        (ONE_REPLICATE, ONE_REPLICATE, "open"),
        (NO_EFFECT, THERE, "not measured"),
    ],
)
def test_an_arm_is_better_if_it_hacks_less_or_solves_more_and_pays_nothing_for_it(hack, solve, answer):
    assert no_better(hack, solve) == answer
    assert better(hack, solve).answer == {"absent": "holds", "present": "fails"}.get(answer, answer)


def test_an_arm_that_slow_training_beats_by_both_intervals_fails_firmly():
    assert better(BELOW, BELOW) == Judgement("fails", True)
    assert better(GONE, BELOW) == Judgement("fails", False)  # an interval reaches above 0
    assert better(THERE, THERE) == Judgement("holds", True)


@pytest.mark.parametrize(
    ("effect", "judged"),
    [
        (Effect(0.30, 0.30, 0.5, 0.1, 0.01, 3), Judgement("holds", True)),
        (Effect(0.30, 0.29, 0.5, 0.1, 0.01, 3), Judgement("holds", False)),
        (Effect(0.2999, 0.1, 0.5, 0.1, 0.01, 3), Judgement("open")),
        (Effect(0.15, 0.1, 0.5, 0.1, 0.01, 3), Judgement("open")),
        (Effect(0.1499, 0.1, 0.16, 0.1, 0.01, 3), Judgement("fails", False)),
        (Effect(0.14, 0.1, 0.149, 0.1, 0.01, 3), Judgement("fails", True)),
        (ONE_REPLICATE, Judgement("open")),
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
        (ONE_REPLICATE, "open", "open"),
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


@pytest.mark.parametrize(
    ("effect", "answer"),
    [
        (Effect(0.00, -0.03, 0.03, 0.01, 0.9, 3), "holds"),
        (Effect(0.00, -0.04, 0.04, 0.01, 0.9, 3), "open"),  # an estimate of nothing is not enough
        (Effect(0.20, 0.03, 0.37, 0.05, 0.04, 3), "open"),
        (Effect(0.20, 0.04, 0.36, 0.05, 0.04, 3), "fails"),
        (ONE_REPLICATE, "open"),
        (NO_EFFECT, "not measured"),
    ],
)
def test_a_margin_is_judged_by_the_interval_alone(effect, answer):
    assert below_margin(effect, 0.03).answer == answer


def test_dominated_is_more_hack_and_less_solve_both_by_their_intervals():
    less = Effect(-0.3, -0.5, -0.1, 0.1, 0.01, 3)
    assert dominated(THERE, less) == "present"
    assert dominated(THERE, THERE) == dominated(less, less) == "absent"
    assert dominated(THERE, BETWEEN) == dominated(GONE, less) == dominated(ONE_REPLICATE, ONE_REPLICATE) == "open"
    assert dominated(NO_EFFECT, less) == "not measured"
    assert [beyond(one) for one in (less, THERE, GONE, ONE_REPLICATE, NO_EFFECT)] == [
        *("present", "absent", "open", "open", "not measured")
    ]
    assert worst(["absent", "not measured", "open"]) == "open" and worst(["open", "present"]) == "present"
    assert worst([]) == worst(["absent", "not measured"]) == "not measured"


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
    return synthetic.make(arms=("base", "vanilla", "erase", "erase_random", "vanilla_slow", "no_loophole"))


QUOTING = {
    "REDUCTION": ["H1", "clauses on hack", "table 2's marks"],
    "REDUCTION_FALSIFIES": ["H1", "clauses on hack"],
    "MATCHED": ["H1", "clauses on solve", "table 1's marks", "table 2's marks", "mark of an arm"],
    "DROP_FALSIFIES": ["H1", "H1s", "clauses on solve"],
    "BASE_MARGIN": ["H2", "clause on the base"],
    "CEILING_MARGIN": ["H2", "clause on the ceiling"],
    "PREVENTABLE": ["nothing to prevent", "clause that says so"],
    "HACKED": ["runs"],
}


@pytest.mark.parametrize("constant", QUOTING)
def test_every_sentence_that_quotes_a_threshold_follows_the_constant(study, monkeypatch, constant):
    judged, rows = h1(study), table1_of(study)
    short_by_8 = pd.Series({"solve_diff": -0.08})
    little = dict(clause="preventable", against="vanilla", answer="not measured", firm=False, estimate=0.02, low=0.01)

    def texts():
        prevention = [verdicts.clause_text(one) for one in judged["claims"]["erase"]["H2"]["clauses"]]
        lines = [line for line in verdicts.verdict_lines(judged).splitlines() if "(needs" in line]
        return {
            **verdicts.hypotheses(),
            "clauses on hack": "".join(line for line in lines if line.strip().startswith("- hack")),
            "clauses on solve": "".join(line for line in lines if line.strip().startswith("- solve")),
            "clause on the base": prevention[0],
            "clause on the ceiling": prevention[1],
            "nothing to prevent": verdicts.unpreventable(),
            "clause that says so": verdicts.clause_text(little | {"high": 0.03, "sem": 0.001, "p": 0.5}),
            "table 1's marks": table1.marks(),
            "table 2's marks": table2.marks(),
            "mark of an arm": table1.unmatched(short_by_8),
            "runs": table1.runs_grid(rows),
        }

    before = texts()
    monkeypatch.setattr(judgement, constant, 0.07)
    after = texts()
    assert [name for name in before if before[name] != after[name]] == QUOTING[constant]
    assert all("7" in after[name] for name in QUOTING[constant] if name != "mark of an arm")


@pytest.mark.parametrize("module", [table1, table2], ids=lambda module: module.__name__)
def test_the_level_of_the_intervals_is_the_one_that_judges(monkeypatch, module):
    assert f"{100 * st.LEVEL:g}%" in module.marks()
    monkeypatch.setattr(module, "LEVEL", 0.83)
    assert "83%" in module.marks()
