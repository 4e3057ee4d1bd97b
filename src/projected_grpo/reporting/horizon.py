"""horizon.md, more steps, and second_base.md, the same arms on another base model, for a person."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.threats import Threat
from projected_grpo.reporting.format import NOTHING, grid, page, sample_sizes
from projected_grpo.reporting.table1 import headline
from projected_grpo.reporting.threats import THREATS_MEAN, threat_grid
from projected_grpo.reporting.verdicts import verdict_lines


def render_horizon(table: pd.DataFrame, verdicts: Mapping, delays: Sequence[Threat], sizes: Sizes, note: str) -> str:
    """Return horizon.md from `table1(study)`, `h1(study)`, `delays(...)` and `sizes(study)`."""
    return page(
        "# More steps: prevention or delay",
        note,
        f"{sample_sizes(sizes)} The marks are those of table 1.",
        headline(table),
        "## Is the effect gone at the end?",
        THREATS_MEAN,
        threat_grid(delays),
        "## Verdicts at the end",
        verdict_lines(verdicts),
    )


def render_bases(
    tables: Mapping[int, pd.DataFrame], verdicts: Mapping[int, Mapping], sizes: Mapping[int, Sizes], note: str
) -> str:
    """Return second_base.md: the headline of each base model, by its seed, one after the other."""
    parts = []
    for seed, table in tables.items():
        parts += [f"## Base model of seed {seed}", sample_sizes(sizes[seed]), headline(table)]
        parts.append(verdict_lines(verdicts[seed]))
    arms = next(iter(tables.values()))["arm"]
    side = [[arm, *[_difference(table, arm) for table in tables.values()]] for arm in arms]
    heads = [f"(a) hack, (a) solve: base {seed}" for seed in tables]
    return page(
        "# Another base model",
        note,
        "Teacher pool, pairs and V are made anew from each base model; problems and seeds are the same.",
        grid(["arm", *heads], side),
        *parts,
    )


def _difference(table: pd.DataFrame, arm: str) -> str:
    row = table.set_index("arm").loc[arm]
    if pd.isna(row["hack_diff"]):
        return NOTHING
    return f"{100 * row['hack_diff']:+z.0f}, {100 * row['solve_diff']:+z.0f}"
