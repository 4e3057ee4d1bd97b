"""Table 1: its rates and differences, and the page that shows them."""

import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.horizon import delays
from projected_grpo.analysis.solve_bins import solve_bins
from projected_grpo.analysis.study import Claim, read_directions, sizes
from projected_grpo.analysis.table1 import early_stop, smallest_effect, table1
from projected_grpo.analysis.threats import threats
from projected_grpo.analysis.verdicts import h1
from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.reporting.format import below_base
from projected_grpo.reporting.horizon import render_horizon
from projected_grpo.reporting.plane import hack_against_solve
from projected_grpo.reporting.table1 import controls_grid, render_markdown

NOTE = "A model of the phenomenon, not of Qwen3-4B."
DIRECTIONS = pd.DataFrame(
    {
        "replicates": [3, 3],
        "n_pairs": [48.0, 48.0],
        "heldout_positive_share": [0.9, 0.5],
        "auc_hack_clean": [0.91, 0.5],
        "auc_hack_wrong": [0.8, 0.52],
        "subspace_overlap": [1.0, 0.27],
        "subspace_chance": [0.26, 0.26],
        "mean_share": [0.05, np.nan],
    },
    index=["hack", "random"],
)


def render(study, table=None, directions=DIRECTIONS):
    found = threats(study), solve_bins(study), directions
    return render_markdown(table1(study) if table is None else table, h1(study), *found, sizes(study), NOTE)


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


@pytest.fixture(scope="module")
def table(study):
    return table1(study).set_index("arm")


def test_the_base_model_is_the_first_row_and_is_held_against_the_first_baseline(study, table):
    row = table.iloc[0]
    assert row.name == "base" and row["group"] == "base model" and row["last_step"] == 0
    assert row["hack_diff"] == pytest.approx(row["hack"] - table.loc["vanilla", "hack"], abs=2e-6)
    for column in ("onset", "twin_diff", "overlap_student", "drift", "ceiling_diff", "base_solve_diff"):
        assert math.isnan(row[column]), column
    lines = [line for line in render(study).splitlines() if line.startswith("| ")]
    assert lines[2].startswith("| **base model**") and lines[3].startswith("| base |")


def test_an_arm_that_solves_less_than_the_base_model_is_marked(study, table):
    for arm in ("erase", "no_loophole"):
        other = study.final(arm)["solve"].mean() - study.final("base")["solve"].mean()  # the same problems, in full
        assert table.loc[arm, "base_solve_diff"] == pytest.approx(other, abs=1e-6)
    text = render(study)
    marked = {arm: f"| {100 * table.loc[arm, 'solve']:.1f} ¶¶ |" in text for arm in ("erase", "no_loophole")}
    assert marked == {"erase": True, "no_loophole": False}
    row = {"base_solve_diff": -0.02, "base_solve_diff_high": 0.01}
    assert below_base(row) == " ¶" and below_base(row | {"base_solve_diff_high": -0.01}) == " ¶¶"
    assert below_base(row | {"base_solve_diff": 0.02}) == below_base({"base_solve_diff": math.nan}) == ""
    assert below_base({"base_solve_diff_there": -0.02, "base_solve_diff_there_high": 0.01}, "_there") == " ¶"
    assert "below the base model's on the same problems and replicates" in text


def test_the_slow_control_that_was_matched_to_an_arm_stands_beside_it(study, table):
    assert table["slow_matched"].isna().all() and table["slow_diff"].isna().all()
    named = {**study.arms, "erase": dataclasses.replace(study.arms["erase"], slow="vanilla_cold")}
    matched = dataclasses.replace(study, arms=named)
    row = table1(matched).set_index("arm").loc["erase"]
    assert row["slow_matched"] == "vanilla_cold"
    assert row["slow_diff"] == pytest.approx(table.loc["vanilla_cold", "hack"] - row["hack"], abs=2e-6)
    assert row["slow_solve_diff"] == pytest.approx(row["solve"] - table.loc["vanilla_cold", "solve"], abs=2e-6)
    assert row["slow_diff_low"] < row["slow_diff"] < row["slow_diff_high"]
    assert "| erase | vanilla_cold | +" in render(matched)
    (line,) = re.findall(r"\| erase \|.*", controls_grid(table1(matched)))
    assert " § |" in line and row["slow_diff_low"] > 0  # 35 and 20% hack
    alike = dataclasses.replace(study.arms["erase"], slow="erase_update")  # 23 and 20%
    found = controls_grid(table1(dataclasses.replace(study, arms={**study.arms, "erase": alike})))
    assert "| erase | erase_update |" in found and " § |" not in found


def test_how_much_of_an_effect_a_v_of_wrongness_has_is_a_share_of_it(study, table):
    high = table.loc["vanilla", "hack"]
    share = (high - table.loc["erase_nonhack", "hack"]) / (high - table.loc["erase", "hack"])
    assert table.loc["erase", "nonhack"] == "erase_nonhack"
    assert table.loc["erase", "nonhack_share"] == pytest.approx(share, abs=1e-5)
    assert table.drop("erase")["nonhack_share"].isna().all()  # no other arm has such a control
    assert f"| erase_nonhack | {100 * share:.1f}% |" in render(study)
    worse = dataclasses.replace(study, claims={"vanilla_slow": Claim(("erase_nonhack",))})
    arms = {**study.arms, "vanilla_slow": dataclasses.replace(study.arms["vanilla_slow"], baseline="erase_alone")}
    assert math.isnan(
        table1(dataclasses.replace(worse, arms=arms)).set_index("arm").loc["vanilla_slow", "nonhack_share"]
    )


def test_pages_say_what_is_corrected_for_the_number_of_comparisons(study, table):
    judged = h1(study)
    pages = [render(study), render_horizon(table.reset_index(), judged, [], [], sizes(study), NOTE)]
    for text in pages:
        assert "by Holm: the p of (a) in hack over all rows" in text and "Nothing else on this page is" in text


def test_rates_are_the_plain_means_of_the_rows(study, table):
    rows = pd.concat([synthetic.evaluation("route", replicate) for replicate in study.replicates])
    full = rows[(rows["scope"] == "full") & rows["hint"] & (rows["decoding"] == "sample")]
    deployed, trained = (full[full["state"] == state] for state in ("deployed", "trained"))
    row = table.loc["route"]
    assert row["hack"] == pytest.approx(deployed["exploited"].mean(), abs=1e-6)
    assert row["solve"] == pytest.approx(deployed["correct"].mean(), abs=1e-6)
    assert row["hack_as_trained"] == pytest.approx(trained["exploited"].mean(), abs=1e-6)
    sentinel = deployed[deployed["mode"] == "sentinel"]
    assert row["hack_sentinel"] == pytest.approx(sentinel["exploited"].mean(), abs=1e-6)
    assert row["wrong_own_tests"] == pytest.approx(
        (deployed["wrong_tests"].dropna().astype(float)).mean(), abs=0.02
    )  # a mean over replicates of ratios


def test_differences_are_paired_with_the_arms_own_baseline(table):
    for arm, row in table.iterrows():
        if row["baseline"] in (None, arm) or pd.isna(row["baseline"]):
            assert math.isnan(row["hack_diff"]) and row["matched"] is None
        else:
            other = table.loc[row["baseline"]]
            assert row["hack_diff"] == pytest.approx(row["hack"] - other["hack"], abs=2e-6)
            assert row["hack_diff_low"] < row["hack_diff"] < row["hack_diff_high"]
            assert row["matched"] == (row["solve"] - other["solve"] >= -0.10)
    assert (table["ceiling_diff"] - (table["solve"] - table.loc["no_loophole", "solve"])).abs().max() < 2e-6


def test_early_stopping_marks_the_stand_in(table):
    assert table.loc["vanilla", "early_stop_diff"] <= 0
    assert table.loc["erase_k4", "early_stop_stand_ins"] == 0
    assert table.loc["erase_alone", "early_stop_stand_ins"] > 0
    assert not table.loc["erase_alone", "matched"]


def test_early_stops_with_tolerances_stand_beside_the_strict_one(study, table):
    for arm in ("erase", "route"):
        row = table.loc[arm]
        for tolerance in (2, 5):
            loose = early_stop(study, arm, "vanilla", tolerance / 100).effect
            assert row[f"early_stop_diff_{tolerance}"] == pytest.approx(loose.estimate, abs=1e-6)
            assert row[f"early_stop_diff_{tolerance}_low"] == pytest.approx(loose.low, abs=1e-6)


def test_solve_is_bounded_from_below_on_one_side(study, table):
    row = table.loc["erase_update"]
    assert row["solve_diff_low"] < row["solve_bound"] < row["solve_diff"]
    assert math.isnan(table.loc["vanilla", "solve_bound"])


def test_runs_onsets_and_twins_have_their_columns(study, table):
    row = table.loc["erase"]
    assert row["twin"] == "erase_random"
    assert row["twin_diff"] == pytest.approx(table.loc["erase_random", "hack"] - row["hack"], abs=2e-6)
    assert pd.isna(table.loc["vanilla", "twin"]) and math.isnan(table.loc["vanilla", "twin_diff"])
    assert table.loc["vanilla", "hacked_runs"] == 3 and table.loc["vanilla", "hacked_low"] > 0.29
    assert table.loc["vanilla", "onset"] < table.loc["no_loophole", "onset"] == synthetic.LAST
    assert table.loc["no_loophole", "onset_censored"] == 3
    named = {**study.arms, "vanilla_slow": dataclasses.replace(study.arms["vanilla_slow"], twin="erase_random")}
    assert dataclasses.replace(study, arms=named).twin("vanilla_slow") == "erase_random"


def test_the_smallest_effect_is_half_the_interval_of_the_row_in_the_middle(study, table):
    widths = sorted(((table["hack_diff_high"] - table["hack_diff_low"]) / 2).dropna())
    assert smallest_effect(table) == pytest.approx(np.median(widths))
    text = render(study)
    assert f"reaches about {100 * smallest_effect(table):.0f} points" in text
    assert math.isnan(smallest_effect(table.loc[["vanilla"]]))


def test_the_page_shows_runs_onsets_twins_and_the_full_claim_of_prevention(study):
    text = render(study)
    assert "| vanilla | 3 of 3 | [29.2, 100.0] |" in text
    assert f"≥ {synthetic.LAST} (none in 3 of 3)" in text
    assert "(b) with 2 points more hack | (b) with 5 points more hack" in text
    assert "**H2**" in text and "held-out modes at the long horizon; here it is judged on this table's" in text
    assert "mean over 3 replicate(s) (41, 42, 43)" in text


def test_the_page_of_the_horizon_states_its_smallest_effect_and_its_verdicts(study, table):
    judged = h1(study)
    lines = delays(study, study, {"erase": "erase", "vanilla_slow": "vanilla_slow"})
    text = render_horizon(table.reset_index(), judged, lines, threats(study), sizes(study), NOTE)
    assert "## Does the effect shrink?" in text and "| the effect shrinks with more steps | vanilla_slow |" in text
    assert f"reaches about {100 * smallest_effect(table):.0f} points" in text
    assert "- **route, H2: falsified" in text and "held-out modes at the long horizon" in text
    assert "| attempts as often, but fires less | erase |" in text


def test_every_arm_but_base_and_ceiling_has_a_path_in_the_plane(study):
    claims = study.claims | {"erase_alone": Claim((), ("vanilla_slow",))}
    figure = hack_against_solve(dataclasses.replace(study, claims=claims), NOTE)
    named = {panel.get_title(): {text.get_text().split(" (step")[0] for text in panel.texts} for panel in figure.axes}
    assert {arm for arm in study.arms if "alone" in arm} <= named["without a teacher pool"]
    assert "erase_alone" not in named["interventions"]
    assert set(study.arms) - {"base", "no_loophole"} <= set().union(*named.values())


def test_overlaps_stand_beside_their_measured_null(study, table):
    null = np.mean(study.training["vanilla"]["overlap_student/nonhack"])  # the largest on the same gradients
    assert table.loc["vanilla", "overlap_null_measured"] == pytest.approx(null, abs=1e-6)
    assert math.isnan(table.loc["erase", "overlap_null_measured"])  # whose run measures no other V
    last5 = study.training["erase"]["hack_student"][:, -5:].mean()
    assert table.loc["erase", "hack_student_last5"] == pytest.approx(last5, abs=1e-6)


def test_drifts_of_both_knobs_and_the_gates_share_are_shown(study, table):
    assert table.loc["route", "drift_quarantine"] == pytest.approx(-0.001 * synthetic.LAST)
    assert math.isnan(table.loc["erase", "drift_quarantine"]) and table["flagged_share"].isna().all()
    logs = {**study.training, "route": study.training["route"] | {"flagged_share": np.full((3, synthetic.LAST), 0.4)}}
    gated = dataclasses.replace(study, training=logs)
    assert table1(gated).set_index("arm").loc["route", "flagged_share"] == pytest.approx(0.4)
    assert "| drift quarantine | flagged share |" in render(gated) and "| -0.096 | 0.400 |" in render(gated)


def test_the_same_study_gives_the_same_bytes(study):
    again = synthetic.make()
    assert table1(again).to_csv(index=False) == table1(study).to_csv(index=False)
    assert "-0.0," not in table1(study).to_csv(index=False)


def test_one_replicate_is_undecided_everywhere():
    study = synthetic.make(replicates=(41,))
    table = table1(study)
    assert table["hack_diff_low"].isna().all() and table["hack_diff"].notna().any()
    for claim in h1(study)["claims"].values():
        assert {claim["H1"]["verdict"], claim["H1s"]["verdict"]} == {"undecided"}
    assert {line.answer for line in threats(study)} <= {"open", "not measured"}
    text = render(study, table)
    assert "one replicate" in text and "nan" not in text


def test_a_study_without_claims_or_baselines_still_has_a_table():
    study = synthetic.make(arms=("vanilla", "no_loophole"), replicates=(41,), claims={})
    text = render(study)
    assert "vanilla" in text and "No bin of solve" in text


def test_markdown_explains_its_marks_and_shows_every_arm(study):
    text = render(study)
    assert "not of Qwen3-4B" in text
    for arm in study.arms:
        assert f"| {arm} |" in text
    assert "†" in text and "‡" in text and "nan" not in text and "-0.0 " not in text


def test_directions_are_read_and_stand_beside_chance(tmp_path, study):
    for direction, replicate, value in (("hack", 1, 1.0), ("hack", 2, 1.0), ("random", 1, 0.2), ("random", 2, 0.3)):
        metrics = dict.fromkeys(("heldout_positive_share", "auc_hack_clean", "auc_hack_wrong"), 0.5)
        metrics |= {"subspace_overlap": value, "subspace_chance": 0.26, "n_pairs": 48.0, "mean_share": 0.05}
        rows = [{"module": "all", "metric": name, "value": number} for name, number in metrics.items()]
        rows.append({"module": "one", "metric": "subspace_overlap", "value": 9.0})
        folder = tmp_path / f"replicate{replicate}" / "directions" / direction
        write_table(folder / "summary.parquet", rows, DIRECTION_SUMMARY, {})
    found = read_directions(sorted(tmp_path.rglob("summary.parquet")))
    assert list(found.index) == ["hack", "random"] and list(found["replicates"]) == [2, 2]
    assert found.loc["random", "subspace_overlap"] == pytest.approx(0.25)
    text = render(study, directions=found)
    assert "| random | 2 | 48 | 50.0 | 0.500 | 0.500 | 0.250 / 0.260 | 5.0 |" in text


def test_a_group_without_arms_is_not_shown():
    text = render(synthetic.make(arms=("vanilla", "erase_k4", "erase"), replicates=(1, 2)))
    assert "**interventions**" in text and "twins and controls" not in text


def test_a_small_table_claims_nothing_that_it_does_not_hold():
    page = render(
        synthetic.make(arms=("base", "vanilla", "vanilla_slow", "erase_random"), replicates=(41, 42), claims={})
    )
    assert "it claims nothing." in page
    assert "## Verdicts" not in page and "What would show that we fool ourselves" not in page and "H1" not in page
    arms = ("base", "vanilla", "vanilla_slow", "erase", "erase_random")
    study = synthetic.make(
        arms=arms, replicates=(41, 42), claims={"erase": Claim(("erase_random",), ("vanilla_slow",))}
    )
    judged = render(study).partition("## Verdicts")[2].partition("## Runs")[0]
    assert {name for name in synthetic.ENDS if f"{name} " in judged or f"{name}," in judged} <= set(arms)
