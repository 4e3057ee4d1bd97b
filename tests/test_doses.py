"""Doses: which arms are a family, and which one the rule chooses."""

import copy
from pathlib import Path

import pandas as pd
import pytest
import synthetic_study as synthetic
import yaml

from projected_grpo.analysis.doses import choose, doses
from projected_grpo.analysis.study import Claim
from projected_grpo.reporting.doses import render_doses
from projected_grpo.reporting.signals import dose_curves
from projected_grpo.workflow.claims import dose_families
from projected_grpo.workflow.config import ConfigError, check
from projected_grpo.workflow.twins import with_twins

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def family(*rows):
    """Rates of doses: (dose, hack, solve), the baseline's hack being 0.6."""
    return pd.DataFrame(
        [{"arm": f"at {dose}", "dose": dose, "hack": hack, "solve": solve} for dose, hack, solve in rows]
    ).assign(baseline_hack=0.6)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([(1, 0.29, 0.4), (2, 0.2, 0.5), (4, 0.0, 0.1)], "at 2"),  # of those under half the one that solves most
        ([(1, 0.30, 0.9), (2, 0.2, 0.5), (4, 0.0, 0.1)], "at 2"),  # half is not less than half
        ([(1, 0.5, 0.4), (2, 0.4, 0.5), (4, 0.35, 0.1)], "at 4"),  # none is: the least hack
        ([(4, 0.2, 0.4), (1, 0.2, 0.4)], "at 1"),  # the same: the smaller
    ],
)
def test_the_rule(rows, chosen):
    assert choose(family(*rows)) == chosen


def with_doses(**arms):
    config = copy.deepcopy(CONFIG)
    config["arms"]["probe_penalise"]["strength"] = 2
    config["signals"]["probe"]["fpr"] = 0.05
    config["arms"] |= arms
    config["tables"]["doses"] = ["base", "vanilla", "probe_penalise", *arms]
    return config


def test_arms_that_differ_by_a_number_alone_are_a_family():
    own = {"signal": "probe", "action": "penalise", "mix": 0.25}
    config = with_doses(weak={**own, "strength": 1}, strict={**own, "strength": 2, "signal": "probe_01"})
    config["signals"]["probe_01"] = {"kind": "probe", "fpr": 0.01}
    check(config, SCHEMA)
    found = dose_families(with_twins(config))
    assert found["weak"] == {"family": "probe_penalise", "key": "strength", "dose": 1}
    assert found["probe_penalise"]["dose"] == 2 and "probe_penalise_twin" not in found
    assert "probe_penalise_twin" not in with_twins(config)["tables"]["doses"]  # nothing is claimed
    alone = with_doses(strict={**own, "strength": 2, "signal": "probe_01"})
    alone["signals"]["probe_01"] = {"kind": "probe", "fpr": 0.01}
    assert dose_families(alone)["strict"] == {"family": "probe_penalise", "key": "fpr", "dose": 0.01}


def test_an_arm_that_is_no_dose_of_another_is_an_error():
    config = with_doses()
    with pytest.raises(
        ConfigError, match=r"tables\.doses: probe_penalise differs from no other arm there by a dose alone"
    ):
        check(config, SCHEMA)


def test_the_table_names_the_chosen_dose_beside_its_baseline(monkeypatch):
    arms = ("vanilla", "erase", "erase_update")
    study = synthetic.make(arms, claims={"erase": Claim(())}, ceiling=None)
    own = {"family": "erase", "key": "strength"}
    table = doses(study, {"erase": {**own, "dose": 1}, "erase_update": {**own, "dose": 2}})
    rows = table.set_index("arm")
    assert rows.loc["erase", "baseline_hack"] == pytest.approx(study.final("vanilla")["hack"].mean(), abs=1e-6)
    assert list(rows.index[rows["chosen"]]) == ["erase_update"]  # it solves more
    monkeypatch.setattr("projected_grpo.reporting.doses.HALF", 0.25)
    text = render_doses(table, "A note.")
    assert "hack less than 25% of what the baseline hacks" in text
    assert text.count("**chosen**") == 1 and "| `erase` | strength | 1 |" in text
    figure = dose_curves(table, "A note.")
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.axison] == ["erase"]
