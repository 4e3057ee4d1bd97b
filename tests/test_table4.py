"""Table 4: an ablation is found by its one setting, and stands beside the arm whose setting it changes."""

import copy

import pytest
import synthetic_study as synthetic
import yaml
from workflow_harness import ROOT

from projected_grpo.analysis.study import sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table4 import table4
from projected_grpo.reporting.table4 import ablation_grid, render_table4
from projected_grpo.workflow.claims import ablations

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
FOUND = {"erase_k4": {"of": "erase", "factor": "k: 4"}, "erase_update": {"of": "erase", "factor": "project: update"}}


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


def test_every_ablation_of_the_config_differs_from_the_original_by_one_setting():
    found = ablations(CONFIG, "table4")
    assert {name: found[name]["of"] for name in ("erase_reverse", "erase_mean", "erase_nogate", "route_onesided")} == {
        "erase_reverse": "erase", "erase_mean": "erase", "erase_nogate": "erase", "route_onesided": "route",
    }  # fmt: skip
    assert (
        found["erase_reverse"]["factor"] == "gate: reverse" and found["route_onesided"]["factor"] == "gate: one_sided"
    )
    tested = [
        name for name in CONFIG["tables"]["table4"] if name.startswith(("erase_", "route_")) and "random" not in name
    ]
    assert set(found) == {*tested} - {"erase_update"}  # which differs from erase by two settings
    assert found["erase_mean"]["factor"] == "direction.normalisation: mean"


def test_a_direction_that_differs_by_two_settings_is_no_ablation():
    config = copy.deepcopy(CONFIG)
    config["directions"]["hack_mean"]["body"] = "matched"
    assert "erase_mean" not in ablations(config, "table4")


def test_a_default_that_is_written_out_is_no_difference_and_another_baseline_is_one():
    config = copy.deepcopy(CONFIG)
    config["arms"]["erase_k4"]["gate"] = "one_sided"
    assert ablations(config, "table4")["erase_k4"] == FOUND["erase_k4"]
    config["arms"]["erase_k4"]["baseline"] = "vanilla_alone"
    assert "erase_k4" not in ablations(config, "table4")


def test_only_an_arm_above_it_is_ablated_and_never_by_another_kind_of_intervention():
    config = copy.deepcopy(CONFIG)
    config["tables"]["table4"] = ["base", "erase_k4", "erase", "route_onesided"]
    assert ablations(config, "table4") == {"erase": {"of": "erase_k4", "factor": "k: None"}}


def test_the_table_has_the_difference_to_the_ablated_arm(study):
    table = table4(study, FOUND)
    assert list(table.columns[: len(table1(study).columns)]) == list(table1(study).columns)
    rows = table.set_index("arm")
    row = rows.loc["erase_k4"]
    assert (row["ablates"], row["factor"]) == ("erase", "k: 4")
    assert row["ablation_diff"] == pytest.approx(row["hack"] - rows.loc["erase", "hack"], abs=2e-6)
    assert row["ablation_solve_diff"] == pytest.approx(row["solve"] - rows.loc["erase", "solve"], abs=2e-6)
    assert row["ablation_diff_low"] < row["ablation_diff"] < row["ablation_diff_high"]
    assert rows.drop(["erase_k4", "erase_update"])["ablation_diff"].isna().all()


def test_the_page_shows_every_ablation_below_its_arm(study):
    table = table4(study, FOUND)
    text = render_table4(table, sizes(study), "A note.")
    lines = [line.split(" | ")[0].strip("| ") for line in ablation_grid(table).splitlines()[2:]]
    assert lines == ["**erase**", "erase_k4", "erase_update"]
    assert "| k: 4 |" in text and "A note." in text and "nan" not in text and "Nothing else on this page is" in text
    assert "No arm here differs" in render_table4(table4(study, {}), sizes(study), "A note.")
