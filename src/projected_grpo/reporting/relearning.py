"""relearning.md: how soon hacking is back, for a person."""

import pandas as pd

from projected_grpo.analysis.relearning import HALF
from projected_grpo.analysis.statistics import WINDOW
from projected_grpo.reporting.format import NOTHING, grid, page, percent, points


def render_relearning(table: pd.DataFrame, note: str) -> str:
    """Return relearning.md from `relearning(...)`."""
    return page(
        "# Relearning: training goes on from the deployed model",
        note,
        "Each arm here trains without an intervention, from the deployed model of another arm; means over "
        f"{table['n_replicates'].iloc[0]} replicate(s). Hacking is back at the first step at which the student's own "
        f"hack rate, mean of the last {WINDOW} steps, is above {points(HALF)}% of what the baseline, which starts from "
        "the base model, hacks at its end. Later than the baseline is what the first training still protects from.",
        grid(
            ["arm", "starts from", "back at step", "never back, runs", "later than the baseline", "hack %", "solve %"],
            [
                [
                    f"`{row['arm']}`",
                    f"`{row['start']}`" if pd.notna(row["start"]) else "the base model",
                    f"{row['back']:.0f}",
                    f"{row['never_back']}",
                    _steps(row),
                    percent(row["hack"]),
                    percent(row["solve"]),
                ]
                for _, row in table.iterrows()
            ],
        ),
    )


def _steps(row: pd.Series) -> str:
    if pd.isna(row["later"]):
        return NOTHING
    ends = f"[{row['later_low']:+.0f}, {row['later_high']:+.0f}]" if pd.notna(row["later_low"]) else f"[{NOTHING}]"
    return f"{row['later']:+.0f} {ends}"
