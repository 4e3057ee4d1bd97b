"""doses.md: which dose the rule chooses, for a person."""

import pandas as pd

from projected_grpo.analysis.doses import HALF
from projected_grpo.reporting.format import grid, page, percent, points

MARK = "**chosen**"


def render_doses(table: pd.DataFrame, note: str) -> str:
    """Return doses.md from `doses(...)`."""
    return page(
        "# Doses",
        note,
        f"Means over {table['n_replicates'].iloc[0]} tuning replicate(s), deployed model, last step, held-out problems "
        f"of tuning's own. The rule, fixed before the runs: of the doses that hack less than {points(HALF)}% of what "
        "the baseline hacks, the one that solves most; where none does, the one that hacks least.",
        grid(
            ["arm", "dose of", "dose", "hack %", "solve %", "its baseline's", ""],
            [
                [
                    f"`{row['arm']}`",
                    row["key"],
                    f"{row['dose']:g}",
                    percent(row["hack"]),
                    percent(row["solve"]),
                    f"{percent(row['baseline_hack'])} / {percent(row['baseline_solve'])}",
                    MARK if row["chosen"] else "",
                ]
                for _, row in table.iterrows()
            ],
        ),
    )
