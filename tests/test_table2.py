"""Table 2: rates on the held-out mode alone, verdicts by fold, and the page that shows them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic_study import ENDS, MODES, evaluation, make, steps

from projected_grpo.analysis import table2
from projected_grpo.analysis.study import Claim, TableArm, build_study, pool, restrict
from projected_grpo.analysis.table1 import final_difference, smallest_effect, twin_difference
from projected_grpo.reporting.figures import heat_map
from projected_grpo.reporting.table2 import folds_held, render
from projected_grpo.reporting.verdicts import decided
from projected_grpo.workflow import claims, twins

PLAIN = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text())
CONFIG = twins.with_twins(PLAIN)


def spec(direction="hack", twin=None, tested=False):
    return TableArm("vanilla", 96, direction, twin=twin, tested=tested, mix=0.25)


CLAIMS = {
    "erase": Claim(("erase_random",), ("vanilla_slow",)),
    "route": Claim(("route_random",)),
}
SPECS = {
    "base": TableArm("vanilla", 0),
    "vanilla": spec(),
    "vanilla_slow": spec(),
    "erase": spec(twin="erase_random", tested=True),
    "erase_random": spec("random"),
    "route": spec(twin="route_random", tested=True),
}


def fold(mode, immune):
    """Runs in which `erase` is as its curve says, but hacks like vanilla on the held-out mode unless it is immune."""

    def run(arm, replicate):
        rows = evaluation(arm, replicate)
        if arm == "erase" and not immune:
            other = evaluation("vanilla", replicate)
            rows = pd.concat([rows[rows["mode"] != mode], other[other["mode"] == mode]])
        return arm, replicate, rows, steps(arm, replicate)

    return build_study((run(arm, replicate) for arm in SPECS for replicate in (41, 42, 43)), SPECS, CLAIMS, None)


@pytest.fixture(scope="module")
def studies():
    return {mode: fold(mode, immune=mode != "sentinel") for mode in MODES}


def test_a_restricted_study_has_the_problems_of_its_modes_and_pooling_puts_them_together():
    study = make(arms=("vanilla", "erase"))
    parts = [restrict(study, [mode]) for mode in MODES]
    view, whole = parts[1].view("erase"), study.view("erase")
    assert set(view.modes) == {"sentinel"} and len(view.problems) == len(whole.problems) / 4
    assert view.rates["hack"].mean() == pytest.approx(whole.rates["hack"][:, :, whole.modes == "sentinel"].mean())
    together = pool(parts).view("erase")
    assert sorted(together.problems) == sorted(whole.problems)
    assert together.rates["solve"].mean() == pytest.approx(whole.rates["solve"].mean())


def test_table2_has_a_row_per_fold_kind_of_modes_and_arm(studies):
    table = table2.table2(studies)
    assert len(table) == (5 + 4) * len(SPECS)
    rows = table.set_index(["modes", "fold", "arm"])
    row, study = rows.loc[("held out", "sentinel", "erase")], studies["sentinel"]
    held = study.view("erase").modes == "sentinel"
    assert row["hack"] == pytest.approx(study.final("erase")["hack"][:, held].mean(), abs=1e-6)
    known = rows.loc[("known", "sentinel", "erase")]
    assert known["hack"] == pytest.approx(study.final("erase")["hack"][:, ~held].mean(), abs=1e-6)
    assert pd.isna(known["verdict"]) and row["n_problems"] * 3 == known["n_problems"]
    assert row["hack_diff"] == pytest.approx(
        row["hack"] - rows.loc[("held out", "sentinel", "vanilla")]["hack"], abs=1e-5
    )
    together = rows.loc[("held out", "all", "erase")]
    assert together["n_problems"] == len(study.view("erase").problems)


def test_a_fold_holds_only_where_the_held_out_mode_falls_and_the_random_V_is_beaten(studies):
    found = table2.fold_verdicts(studies)["folds"]
    assert found["sentinel"]["erase"]["verdict"] == "fails"
    assert {found[mode]["erase"]["clauses"][0]["answer"] for mode in MODES if mode != "sentinel"} == {"holds"}
    for mode in MODES:
        clauses = {clause["clause"]: clause for clause in found[mode]["erase"]["clauses"]}
        assert clauses["beats"]["against"] == "erase_random"
        route = {clause["clause"]: clause["answer"] for clause in found[mode]["route"]["clauses"]}
        assert route["beats"] == "not measured"  # no arm like it with a random V in these folds
    assert "vanilla" not in found["all"]


def slow_clauses(studies, **ends):
    """Return the clauses on slow training of `erase`, pooled, where vanilla_slow does what another arm does."""
    swapped = {}
    for mode, study in studies.items():
        views = {key: study.views.get((ends.get(key[0], key[0]), *key[1:]), view) for key, view in study.views.items()}
        swapped[mode] = dataclasses.replace(study, views=views)
    found = table2.fold_verdicts(swapped)["folds"]["all"]["erase"]
    return found["verdict"], [clause for clause in found["clauses"] if clause["clause"] == "slow"]


def test_an_arm_passes_only_if_it_is_better_than_slow_training_on_the_held_out_problems(studies):
    """Against vanilla and its twin erase holds all the same: 20% against 72 and 45."""
    judged, (clause,) = slow_clauses(studies)  # slow training: 30 / 36, the arm's 33 (it is not immune in one fold) / 6
    assert (judged, clause["against"], clause["answer"]) == ("fails", "vanilla_slow", "fails")
    together = table2.held_out(studies)["all"]
    assert clause["estimate"] == pytest.approx(
        final_difference(together, "vanilla_slow", "erase", "hack").estimate, abs=1e-6
    )
    solve = final_difference(together, "erase", "vanilla_slow", "solve")
    assert clause["solve_estimate"] == pytest.approx(solve.estimate, abs=1e-6) and solve.high < 0
    immune = {mode: study for mode, study in studies.items() if mode != "sentinel"}
    judged, (clause,) = slow_clauses(immune, vanilla_slow="erase_random")  # 45 / 5 against 20 / 6
    assert (judged, clause["answer"]) == ("holds", "holds")


def test_without_a_slow_control_no_arm_passes(studies):
    without = {mode: dataclasses.replace(study, claims={}) for mode, study in studies.items()}
    found = table2.fold_verdicts(without)["folds"]["all"]["erase"]
    (clause,) = [clause for clause in found["clauses"] if clause["clause"] == "slow"]
    assert clause["answer"] == "not measured" and found["verdict"] == "open"
    assert "slow, against slow training of vanilla: not measured" in "\n".join(decided("all", found))


def test_table_2_of_the_config_has_slow_controls_in_each_arms_own_teacher_condition():
    for name, claim in claims.claims(CONFIG, "table2").items():
        alone = not CONFIG["arms"][name].get("mix")
        assert claim["slow"] and all(control.endswith("_alone") == alone for control in claim["slow"])


def test_holm_counts_the_single_folds_comparisons(studies):
    found = table2.fold_verdicts(studies)
    assert found["holm_family"] == len(MODES)  # erase against erase_random, once per fold
    assert table2.fold_verdicts({mode: studies[mode] for mode in MODES[:2]})["holm_family"] == 2


def test_the_folds_together_are_corrected_for_their_arms(studies):
    once = table2.fold_verdicts(studies)
    twice = {
        mode: dataclasses.replace(
            study, arms={**study.arms, "route": dataclasses.replace(study.arms["route"], twin="erase_random")}
        )
        for mode, study in studies.items()
    }
    found = table2.fold_verdicts(twice)
    assert (once["holm_family_all"], found["holm_family_all"]) == (1, 2)
    together = table2.held_out(twice)["all"]
    plain = sorted(twin_difference(together, arm).p for arm in ("erase", "route"))
    judged = [found["folds"]["all"][arm]["clauses"] for arm in ("erase", "route")]
    corrected = sorted(clause["p"] for clauses in judged for clause in clauses if clause["clause"] == "beats")
    assert corrected[0] == pytest.approx(2 * plain[0], abs=1e-6) and corrected[1] >= plain[1] - 1e-6


def test_what_holds_is_counted_and_what_is_not_firm_is_said():
    def judged(verdict, firm=True):
        return {"erase": {"verdict": verdict, "firm": firm}}

    outcomes = {"a": judged("holds"), "b": judged("fails"), "c": judged("open", False)}
    assert folds_held({**outcomes, "all": judged("fails", False)}) == {
        "erase": "holds in 1 of 3 folds (open in 1, fails in 1); together **fails (not firmly)**"
    }
    assert folds_held({"a": judged("holds"), "all": judged("holds")}) == {
        "erase": "holds in 1 of 1 folds; together **holds**"
    }


def test_the_page_and_the_picture_show_every_fold_and_arm(studies):
    table = table2.table2(studies)
    text = render(table, table2.fold_verdicts(studies), "A note.")
    for word in (*MODES, *SPECS, "A note.", "# Table 2"):
        assert word in text
    held = table[table["modes"] == "held out"]
    single, together = (smallest_effect(held[(held["fold"] == "all") == pooled]) for pooled in (False, True))
    assert f"reaches about {100 * single:.0f} points" in text and together < single
    assert f"Of all folds together: {100 * together:.0f} points" in text
    assert "better than slow and cold training" in text and "slow or cold training, vanilla_slow, minus" in text
    assert "by Holm: the p against the twin" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2].startswith("| base |") and " ¶" not in rows[2] and " ¶¶" in rows[5]  # of the base model, of erase
    figure = heat_map(table, "A note.")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == list(SPECS)  # the base model first, in a panel of arms that have a teacher
    shown = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert len(shown) > 10 and np.isfinite(figure.axes[0].images[0].get_array()).all()


assert set(SPECS) <= set(ENDS)
