"""Table 3: signals by actions with their twins, what each arm knows, and how well its signal flags."""

import dataclasses
import math

import numpy as np
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.study import Claim, sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table3 import QUALITY, table3
from projected_grpo.reporting.table3 import arm_grid, crossed, render_table3

ARMS = ("base", "vanilla", "vanilla_slow", "erase", "erase_random", "erase_update", "erase_update_random")
SIGNALS = {"erase": ("probe", "drop"), "erase_random": ("probe", "drop"), "erase_update": ("truth", "penalise")}
KNOWS = {"erase": "P", "erase_update": "O"}
TWINS = {"erase": "erase_random"}


@pytest.fixture(scope="module")
def study():
    """A study whose arms are said to have signals."""
    made = synthetic.make(ARMS, claims={"erase": Claim(("erase_random",), ("vanilla_slow",))}, ceiling=None)
    arms = dict(made.arms)
    for name, (signal, action) in SIGNALS.items():
        arms[name] = dataclasses.replace(arms[name], signal=signal, action=action, knows=KNOWS.get(name, "0"))
    training = {}
    for name, log in made.training.items():
        shape = log["step"].shape
        value = 0.25 if name in SIGNALS else math.nan
        training[name] = log | {column: np.full(shape, value) for column in QUALITY}
    return dataclasses.replace(made, arms=arms, training=training)


def test_it_is_table_1_with_what_the_arm_knows_and_how_well_it_flags(study):
    table = table3(study)
    plain = table1(study)
    assert table[list(plain.columns)].equals(plain)
    rows = table.set_index("arm")
    assert rows.loc["erase", ["signal", "action", "knows"]].tolist() == ["probe", "drop", "P"]
    assert rows.loc["vanilla", "knows"] == "0" and rows.loc["erase_random", "knows"] == "0"
    assert rows.loc["erase", "flag_recall"] == 0.25 and math.isnan(rows.loc["vanilla", "flag_recall"])


def test_the_grid_has_each_signal_once_with_its_twins_rates(study):
    table = table3(study)
    rows = table.set_index("arm")
    hack, solve = (f"{100 * rows.loc['erase_random', rate]:.1f}" for rate in ("hack", "solve"))
    lines = [line for line in crossed(table, TWINS).splitlines() if "| probe" in line or "| truth" in line]
    assert len(lines) == 2
    assert f"(twin {hack} / {solve})" in lines[0] and "| `erase` " in lines[0] and "| P | vanilla | — | — |" in lines[0]
    assert "twin" not in lines[1] and "| O |" in lines[1]
    assert "No arm here has a signal" in crossed(table[table["signal"].isna()], TWINS)


def test_the_page_names_every_arm_and_says_what_the_columns_mean(study):
    table = table3(study)
    text = render_table3(table, sizes(study), TWINS, "A note.")
    for word in (*ARMS, "# Table 3", "A note.", "O the true verdict, a ceiling", "25.0"):
        assert word in text
    assert "nan" not in text and arm_grid(table) in text
