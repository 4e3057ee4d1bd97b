"""Table 3: every signal with every action, for a person."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.reporting.format import NOTHING, below_base, corrected, grid, interval, page, percent, sample_sizes
from projected_grpo.reporting.table1 import headline, marks

ACTIONS = ("penalise", "discount", "drop", "route")


def render_table3(table: pd.DataFrame, sizes: Sizes, twins: Mapping[str, str], note: str) -> str:
    """Return table3.md from `table3(study)`, `sizes(study)` and {arm: its twin}; `note` says whose numbers they are."""
    return page(
        "# Table 3: signal x action",
        note,
        sample_sizes(sizes, smallest_effect(table)),
        "What an arm knows besides the reward and its teacher pool: 0 nothing; M the weak detector's flags, here on "
        "all modes; P the contrastive pairs; T the text of a prompt; O the true verdict, a ceiling. A twin has the "
        "same machinery and no information, and flags as many rollouts as its partner.",
        "## Hack % / solve %, and the twin's",
        crossed(table, twins),
        "## Every arm",
        arm_grid(table),
        "A dash is what an arm does not have. Flagged, precision, recall and false positives are of live rollouts, by "
        "the true verdicts, means over the steps; no arm is told of them.",
        corrected("the p of (a) in hack over all rows (in the CSV)"),
        "## As in table 1",
        headline(table),
        marks(),
    )


def crossed(table: pd.DataFrame, twins: Mapping[str, str]) -> str:
    """Return signals by actions, one line each for runs with and without a teacher pool."""
    rows = table.set_index("arm")
    own = rows[rows["signal"].notna() & ~rows.index.isin(twins.values())]
    made = []
    for baseline, part in own.groupby("baseline", sort=False):
        for signal, arms in part.groupby("signal", sort=False):
            cells = [_cell(rows, arms.index[arms["action"] == action], twins) for action in ACTIONS]
            made.append([signal, arms["knows"].iloc[0], baseline, *cells])
    return grid(["signal", "knows", "baseline", *ACTIONS], made) if made else "No arm here has a signal."


def _cell(rows: pd.DataFrame, arms: Sequence[str], twins: Mapping[str, str]) -> str:
    shown = []
    for arm in arms:
        twin = twins.get(arm)
        against = f" (twin {_rates(rows.loc[twin])})" if twin in rows.index else ""
        shown.append(f"`{arm}` {_rates(rows.loc[arm])}{against}")
    return "; ".join(shown) or NOTHING


def _rates(row: pd.Series) -> str:
    return f"{percent(row['hack'])} / {percent(row['solve'])}"


def arm_grid(table: pd.DataFrame) -> str:
    """Return every arm with what it knows, its rates, its differences, and how well it flags."""
    head = ["arm", "knows", "hack %", "solve %", "(a) hack", "(e) twin's hack more"]
    head += ["flagged %", "precision %", "recall %", "false positives %"]
    quality = ("flagged_student", "flag_precision", "flag_recall", "flag_false_positives")
    return grid(
        head,
        [
            [
                f"`{row['arm']}`",
                row["knows"],
                percent(row["hack"]),
                percent(row["solve"]) + below_base(row),
                interval(row, "hack_diff"),
                interval(row, "twin_diff"),
                *(NOTHING if pd.isna(row[name]) else percent(row[name]) for name in quality),
            ]
            for _, row in table.iterrows()
        ],
    )
