"""The verdicts H1, H1s and H2: by the letter of the preregistration, and only where every number is there."""

import dataclasses
import json

import pytest
import synthetic_study as synthetic

from projected_grpo.analysis import judgement, verdicts
from projected_grpo.analysis.statistics import Effect
from projected_grpo.analysis.study import claims_of
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.verdicts import h1
from projected_grpo.reporting.verdicts import said, verdict_lines


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


def effect(estimate, low, high, sem, p=0.01):
    return Effect(estimate, low, high, sem, p, 3)


def test_h1_is_supported_where_the_specific_claim_is_damage(study):
    found = h1(study)
    assert found["holm_family"] == 5
    assert found["claims"]["route"]["H1"]["verdict"] == "supported"
    specific = found["claims"]["route"]["H1s"]
    assert specific["verdict"] == "falsified"
    assert {specific["clauses"][number]["clause"] for number in specific["decided_by"]} == {"early"}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("reduction", "solve", "verdict", "clause"),
    [
        (effect(0.40, 0.3, 0.5, 0.02), effect(-0.05, -0.1, 0.0, 0.01), "supported", "reduction"),
        (effect(0.30, 0.2, 0.4, 0.02), effect(-0.10, -0.2, 0.0, 0.01), "supported", "reduction"),
        (effect(0.20, 0.1, 0.3, 0.02), effect(0.0, -0.1, 0.1, 0.01), "undecided", "reduction"),
        (effect(0.14, 0.1, 0.2, 0.02), effect(0.0, -0.1, 0.1, 0.01), "falsified", "reduction"),
        (effect(0.40, 0.3, 0.5, 0.02), effect(-0.12, -0.2, 0.0, 0.01), "undecided", "solve"),
        (effect(0.40, 0.3, 0.5, 0.02), effect(-0.16, -0.2, 0.0, 0.01), "falsified", "solve"),
        (effect(0.35, -0.2, 0.9, 0.2, 0.2), effect(0.0, -0.1, 0.1, 0.01), "undecided", "noise"),
        (effect(0.35, -0.9, 1.6, 0.4, 0.5), effect(0.0, -0.1, 0.1, 0.01), "falsified", "noise"),
    ],
)
def test_h1_by_the_letter_of_the_preregistration(study, monkeypatch, reduction, solve, verdict, clause):
    monkeypatch.setattr(verdicts, "final_difference", lambda _, a, b, rate: reduction if rate == "hack" else solve)
    result = h1(study)["claims"]["erase"]["H1"]
    assert result["verdict"] == verdict
    deciding = {"supported": "holds", "undecided": "open", "falsified": "fails"}[verdict]
    assert clause in [one["clause"] for one in result["clauses"] if one["answer"] == deciding]


def test_a_control_is_beaten_only_after_holm_and_at_matched_solve(study, monkeypatch):
    hack, solve = effect(0.1, 0.01, 0.19, 0.02, 0.02), effect(-0.2, -0.3, -0.1, 0.02)
    monkeypatch.setattr(verdicts, "final_difference", lambda _, a, b, rate: hack if rate == "hack" else solve)
    clauses = h1(study)["claims"]["erase"]["H1s"]["clauses"]
    beats = [one for one in clauses if one["clause"] == "beats"]
    assert [one["p"] for one in beats] == [0.1] * 3 and {one["answer"] for one in beats} == {"open"}
    assert {one["answer"] for one in clauses if one["clause"] == "matched"} == {"fails"}


def test_the_specific_claim_needs_every_kind_of_control(study):
    def unmeasured(arm):
        clauses = h1(study)["claims"][arm]["H1s"]["clauses"]
        return [one["against"] for one in clauses if (one["clause"], one["answer"]) == ("beats", "not measured")]

    assert unmeasured("erase") == []
    assert unmeasured("erase_update") == ["erase_update with a shuffled V", "erase_update with a nonhack V"]


def test_a_claim_names_the_arms_that_are_missing():
    study = synthetic.make(arms=("vanilla", "erase_k4", "erase"), replicates=(41, 42))
    found = h1(study)
    assert found["claims"]["route"]["H1"]["verdict"] == "undecided"
    assert "reduction, against route: not measured" in verdict_lines(found)
    missing = [one for one in found["claims"]["erase"]["H1s"]["clauses"] if one["answer"] == "not measured"]
    assert {one["against"] for one in missing} >= {"erase_random", "vanilla_slow"}
    assert table1(study)["ceiling_diff"].isna().all()


def test_a_verdict_is_firm_where_an_interval_lies_beyond(study, monkeypatch):
    def judged(hack):
        monkeypatch.setattr(verdicts, "final_difference", lambda _, a, b, rate: hack if rate == "hack" else even)
        return said(h1(study)["claims"]["erase"]["H1"])

    even = effect(0.0, -0.05, 0.05, 0.01)
    assert judged(effect(0.40, 0.35, 0.45, 0.02)) == "supported"
    assert judged(effect(0.40, 0.20, 0.60, 0.02)) == "supported (not firmly)"
    assert judged(effect(0.10, 0.05, 0.14, 0.02)) == "falsified"
    assert judged(effect(0.10, 0.05, 0.20, 0.02)) == "falsified (not firmly)"
    assert judged(effect(0.20, 0.10, 0.28, 0.02)) == "undecided"


def test_a_claim_without_its_random_V_is_never_supported(study):
    arms = {arm: dataclasses.replace(spec, tested=arm == "erase_update") for arm, spec in study.arms.items()}
    claimed = claims_of(arms)
    assert claimed["erase_update"].controls == ["erase_update without information"]
    verdict = h1(dataclasses.replace(study, claims=claimed))["claims"]["erase_update"]["H1s"]
    assert {one["answer"] for one in verdict["clauses"] if one["clause"] == "beats"} == {"not measured"}
    assert verdict["verdict"] != "supported"


def prevention(study, arm="erase"):
    result = h1(study)["claims"][arm]["H2"]
    return result["verdict"], {one["clause"]: one["answer"] for one in result["clauses"]}


def test_prevention_is_measured_from_the_base_model_the_ceiling_and_the_twin(study):
    result = h1(study)["claims"]["erase_update"]["H2"]
    base, ceiling, beats = result["clauses"]
    hack = {arm: study.final(arm)["hack"] for arm in ("erase_update", "base")}  # in full, paired
    assert base["estimate"] == pytest.approx((hack["erase_update"] - hack["base"]).mean(), abs=1e-6)
    assert base["against"] == "base"
    final = {arm: study.final(arm)["solve"].mean() for arm in ("erase_update", "no_loophole")}
    assert ceiling["estimate"] == pytest.approx(final["erase_update"] - final["no_loophole"], abs=1e-6)
    assert ceiling["against"] == "no_loophole" and beats["against"] == "erase_update_random"
    specific = [one for one in h1(study)["claims"]["erase_update"]["H1s"]["clauses"] if one["clause"] == "beats"]
    assert beats == specific[0]


@pytest.mark.parametrize(
    ("hack", "solve", "twin", "verdict"),
    [
        (effect(0.00, -0.03, 0.03, 0.01), effect(0.0, -0.05, 0.05, 0.01), effect(0.3, 0.2, 0.4, 0.02), "supported"),
        (effect(0.00, -0.04, 0.04, 0.01), effect(0.0, -0.05, 0.05, 0.01), effect(0.3, 0.2, 0.4, 0.02), "undecided"),
        (effect(0.00, -0.03, 0.03, 0.01), effect(0.0, -0.06, 0.06, 0.01), effect(0.3, 0.2, 0.4, 0.02), "undecided"),
        (effect(0.10, 0.04, 0.16, 0.01), effect(0.0, -0.05, 0.05, 0.01), effect(0.3, 0.2, 0.4, 0.02), "falsified"),
        (effect(0.00, -0.03, 0.03, 0.01), effect(-0.2, -0.3, -0.06, 0.01), effect(0.3, 0.2, 0.4, 0.02), "falsified"),
        (effect(0.00, -0.03, 0.03, 0.01), effect(0.0, -0.05, 0.05, 0.01), effect(0.0, -0.1, 0.1, 0.02), "falsified"),
        (
            effect(0.00, -0.03, 0.03, 0.01),
            effect(0.0, -0.05, 0.05, 0.01),
            effect(0.3, 0.2, 0.4, 0.02, 0.04),
            "undecided",
        ),
    ],
)
def test_h2_takes_both_margins_by_the_interval_and_the_twin_after_holm(study, monkeypatch, hack, solve, twin, verdict):
    real = verdicts.above_base
    monkeypatch.setattr(verdicts, "above_base", lambda s, arm: hack if arm == "erase" else real(s, arm))
    monkeypatch.setattr(verdicts, "ceiling_distance", lambda _, arm: solve)
    monkeypatch.setattr(verdicts, "final_difference", lambda _, a, b, rate: twin)
    assert prevention(study)[0] == verdict


def test_without_a_ceiling_a_twin_or_a_base_prevention_is_undecided(study):
    bare = synthetic.make(arms=("vanilla", "erase"), claims={"erase": synthetic.CLAIMS["erase"]}, ceiling=None)
    verdict, clauses = prevention(bare)
    assert clauses["ceiling"] == clauses["beats"] == "not measured" and verdict in ("undecided", "falsified")
    assert clauses["base"] == "not measured"  # its own step 0, on a subset of the problems, does not stand in


def test_where_the_baseline_hardly_hacks_there_is_nothing_to_prevent(study):
    claims = {"erase_alone": synthetic.CLAIMS["erase"]}
    alone = synthetic.make(arms=("base", "vanilla_alone", "erase_alone", "erase_random", "no_loophole"), claims=claims)
    assert verdicts.above_base(alone, "vanilla_alone").estimate < judgement.PREVENTABLE
    found = h1(alone)
    for result in found["claims"]["erase_alone"].values():
        assert result["verdict"] == "not measured" and not result["firm"]
        (deciding,) = result["decided_by"]
        assert result["clauses"][deciding]["clause"] == "preventable"
        assert len(result["clauses"]) > 1  # the others are judged all the same
    text = verdict_lines(found)
    points = 100 * (alone.final("vanilla_alone")["hack"] - alone.final("base")["hack"]).mean()
    assert f"nothing to prevent: vanilla_alone hacks {points:.1f} points" in text and "not firmly" not in text
    json.dumps(found, allow_nan=False)
    assert verdicts.above_base(study, "vanilla").estimate > 0.5
    clauses = [one for claim in h1(study)["claims"].values() for one in claim["H1"]["clauses"]]
    assert all(one["clause"] != "preventable" for one in clauses)
