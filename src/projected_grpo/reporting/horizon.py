"""horizon.md, the same arms with more steps, for a person."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.threats import Threat
from projected_grpo.reporting.format import page, sample_sizes
from projected_grpo.reporting.table1 import headline
from projected_grpo.reporting.threats import THREATS_MEAN, threat_grid
from projected_grpo.reporting.verdicts import H2_FULL, verdict_lines


def render_horizon(table: pd.DataFrame, verdicts: Mapping, delays: Sequence[Threat], sizes: Sizes, note: str) -> str:
    """Return horizon.md from `table1(study)`, `h1(study)`, `delays(...)` and `sizes(study)`."""
    return page(
        "# More steps: prevention or delay",
        note,
        f"{sample_sizes(sizes, smallest_effect(table))} The marks are those of table 1.",
        headline(table),
        "## Is the effect gone at the end?",
        THREATS_MEAN,
        threat_grid(delays),
        "## Verdicts at the end",
        H2_FULL,
        verdict_lines(verdicts),
    )
