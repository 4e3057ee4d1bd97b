"""table4.md: every ablation beside the arm that it is an ablation of, for a person."""

import pandas as pd

from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.reporting.format import (
    NOTHING,
    below_base,
    corrected,
    grid,
    interval,
    page,
    percent,
    sample_sizes,
    unmatched,
)
from projected_grpo.reporting.table1 import headline, marks


def render_table4(table: pd.DataFrame, sizes: Sizes, note: str) -> str:
    """Return table4.md from `table4(study, ablations)` and `sizes(study)`; `note` says what the numbers are of."""
    return page(
        "# Table 4: ablations, one factor at a time",
        note,
        sample_sizes(sizes, smallest_effect(table)),
        "Which arm is ablated is computed: the first intervention above it that differs by one setting alone.",
        ablation_grid(table),
        "Minus the ablated arm's: the difference in hack and in solve to the arm whose setting was changed; an "
        "interval that includes 0 shows no difference. (e) is the hack of the arm's own twin, which has no information "
        "and the same settings, minus the arm's. The other marks are those of all arms, below.",
        corrected("the p of (a) in hack over all rows (in the CSV)"),
        "## All arms",
        headline(table),
        marks(),
    )


def ablation_grid(table: pd.DataFrame) -> str:
    """Return every ablated arm with its ablations below it."""
    head = ["arm", "what differs", "hack %", "solve %", "hack minus the ablated arm's", "solve minus the ablated arm's"]
    head += ["(a) hack", "(a) solve", "(e) twin's hack minus the arm's", "twin"]
    rows = []
    for of in table["ablates"].dropna().unique():
        for _, row in table[(table["arm"] == of) | (table["ablates"] == of)].iterrows():
            rows.append(
                [
                    f"**{of}**" if row["arm"] == of else row["arm"],
                    "" if row["arm"] == of else row["factor"],
                    percent(row["hack"]),
                    percent(row["solve"]) + below_base(row),
                    NOTHING if row["arm"] == of else interval(row, "ablation_diff"),
                    NOTHING if row["arm"] == of else interval(row, "ablation_solve_diff"),
                    interval(row, "hack_diff"),
                    interval(row, "solve_diff") + unmatched(row),
                    interval(row, "twin_diff"),
                    NOTHING if pd.isna(row["twin"]) else row["twin"],
                ]
            )
    return grid(head, rows) if rows else "No arm here differs from another one by one setting alone."
