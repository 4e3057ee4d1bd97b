"""Table 3: signals by actions with their twins, what each arm knows, and how well its signal flags."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import synthetic_study as synthetic

from projected_grpo.analysis.checks import of_signals
from projected_grpo.analysis.statistics import Effect
from projected_grpo.analysis.study import StudyError, in_turn, restrict, sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table3 import primary, table3, verdicts
from projected_grpo.analysis.threats import held_out_threats, threats
from projected_grpo.reporting.checks import check_grid
from projected_grpo.reporting.table3 import arm_grid, crossed, primary_grid, render_table3
from projected_grpo.reporting.threats import threat_grid

ARMS = synthetic.WITH_SIGNALS
TWINS = {"erase": "erase_random"}
MODES_BACK = synthetic.MODES[2], synthetic.MODES[1], synthetic.MODES[0]
TURNS = dict(zip((41, 42, 43), synthetic.MODES, strict=False))


@pytest.fixture(scope="module")
def study():
    return synthetic.with_signals()


def test_it_is_table_1_with_what_the_arm_knows_and_how_well_it_flags(study):
    table = table3(study, TURNS, verdicts(study, TURNS))
    plain = table1(study)
    assert table[list(plain.columns)].equals(plain)
    rows = table.set_index("arm")
    assert rows.loc["erase", ["signal", "action", "knows"]].tolist() == ["probe", "drop", "P"]
    assert rows.loc["vanilla", "knows"] == "0" and rows.loc["erase_random", "knows"] == "0"
    assert rows.loc["erase", "flag_recall"] == 0.25 and math.isnan(rows.loc["vanilla", "flag_recall"])


def test_the_grid_has_each_signal_once_with_its_twins_rates(study):
    table = table3(study, TURNS, verdicts(study, TURNS))
    rows = table.set_index("arm")
    hack, solve = (f"{100 * rows.loc['erase_random', f'{rate}_held_out']:.1f}" for rate in ("hack", "solve"))
    lines = [line for line in crossed(table, TWINS).splitlines() if "| probe" in line or "| truth" in line]
    assert len(lines) == 2
    assert f"(twin {hack} / {solve})" in lines[0] and "| `erase` " in lines[0] and "| P | vanilla | — | — |" in lines[0]
    assert "twin" not in lines[1] and "| O |" in lines[1]
    own = table.assign(action=table["action"].where(table["arm"] != "erase", "mine:halve"))
    assert "| route | mine:halve |" in crossed(own, TWINS).splitlines()[0]
    assert "No arm here has a signal" in crossed(table[table["signal"].isna()], TWINS)


def test_the_page_names_every_arm_and_says_what_the_columns_mean(study):
    table = table3(study, TURNS, verdicts(study, TURNS))
    held_out, everything = sizes(in_turn(study, TURNS)), sizes(study)
    unknown = in_turn(study, TURNS)
    doubts = [*threats(unknown), *held_out_threats(unknown)], of_signals(study)
    text = render_table3(table, verdicts(study, TURNS), held_out, everything, TURNS, TWINS, *doubts, "A note.")
    assert held_out.problems < everything.problems
    assert f"On the held-out modes: Percent, mean over 3 replicate(s) (41, 42, 43) x {held_out.problems} held" in text
    assert f"\n\nPercent, mean over 3 replicate(s) (41, 42, 43) x {everything.problems} held-out problems" in text
    for word in (*ARMS, "# Table 3", "A note.", "O the true verdict, a ceiling", "25.0", f"41 {TURNS[41]}"):
        assert word in text
    assert "nan" not in text and arm_grid(table) in text
    assert all(grid in text for grid in (threat_grid(doubts[0]), check_grid(doubts[1])))
    assert {line.arm for line in doubts[0]} >= unknown.claims.keys() & set(ARMS)
    assert {line.of for line in doubts[1]} >= {"erase", "erase_update"}


def test_held_out_numbers_are_of_each_replicates_own_mode(study):
    rows = table3(study, TURNS, verdicts(study, TURNS)).set_index("arm")
    for arm in ARMS:
        own = [
            restrict(study, [mode]).final(arm)["hack"][study.replicates.index(replicate)].mean()
            for replicate, mode in TURNS.items()
        ]
        assert rows.loc[arm, "hack_held_out"] == pytest.approx(np.mean(own), abs=1e-6)
    solves = rows["solve_held_out"] - rows.at["base", "solve_held_out"]
    assert rows.at["erase", "base_solve_diff_held_out"] == pytest.approx(solves["erase"], abs=2e-6)
    less = rows.loc["erase_random", "hack_held_out"] - rows.loc["erase", "hack_held_out"]
    assert rows.loc["erase", "twin_diff_held_out"] == pytest.approx(less, abs=2e-6)
    assert rows.loc["erase", "outcome_held_out"] == verdicts(study, TURNS)["outcomes"]["erase"]
    assert pd.isna(rows.loc["vanilla", "outcome_held_out"])


def effect(estimate, sem=0.05):
    return Effect(estimate, estimate - 3 * sem, estimate + 3 * sem, sem, 0.04, 3)


@pytest.mark.parametrize(
    ("less", "p", "solve", "answer"),
    [
        (0.3, 0.01, 0.0, "holds"),
        (0.3, 0.01, -0.10, "holds"),  # matched: at most 10 points below
        (0.3, 0.01, -0.12, "open"),
        (0.3, 0.01, -0.16, "fails"),
        (0.3, 0.06, 0.0, "open"),  # by the Holm-adjusted p, though its own is 0.04
        (0.04, 0.9, 0.0, "fails"),  # within one SEM
    ],
)
def test_the_primary_comparison_is_the_twins_at_matched_solve(less, p, solve, answer):
    assert primary(effect(less), p, effect(solve)) == answer


def test_the_primary_comparison_of_every_arm_with_a_twin_is_in_table_and_page(study):
    table = table3(study, TURNS, verdicts(study, TURNS))
    rows = table.set_index("arm")
    assert list(rows.index[rows["primary"].notna()]) == ["erase"] and rows.loc["erase", "primary"] == "holds"
    line = next(line for line in primary_grid(table).splitlines() if line.startswith("| `erase` |"))
    assert line.endswith("| holds |") and f"| {rows.loc['erase', 'twin_diff_held_out_p_holm']:.3f} |" in line
    assert primary_grid(table.assign(primary=None)) == "With one replicate there is none."


def test_another_mode_may_stand_in_another_order_of_replicates(study):
    one, other = (
        in_turn(study, dict(zip(study.replicates, turn, strict=True))) for turn in (TURNS.values(), MODES_BACK)
    )
    same = one.final("erase")["hack"][1] == other.final("erase")["hack"][1]
    assert same.all() and one.view("erase").problems == other.view("erase").problems


def test_modes_with_unequal_numbers_of_problems_cannot_stand_in_turn(study):
    view = study.view("erase")
    fewer = dataclasses.replace(view, modes=np.array(["another", *view.modes[1:]]))
    broken = dataclasses.replace(study, views={("erase", "full", "deployed", True, "sample"): fewer})
    with pytest.raises(StudyError, match="different numbers of held-out problems"):
        in_turn(broken, dict(zip(study.replicates, synthetic.MODES, strict=False)))
