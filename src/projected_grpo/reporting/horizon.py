"""horizon.md, the same arms with more steps, for a person."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.threats import Threat
from projected_grpo.reporting.format import OPEN_MEANS, corrected, page, sample_sizes
from projected_grpo.reporting.table1 import headline
from projected_grpo.reporting.threats import THREATS_MEAN, threat_grid
from projected_grpo.reporting.verdicts import H2_FULL, verdict_lines


def render_horizon(
    table: pd.DataFrame,
    verdicts: Mapping,
    delays: Sequence[Threat],
    threats: Sequence[Threat],
    sizes: Sizes,
    note: str,
) -> str:
    """Return horizon.md from `table1(study)`, `h1(study)`, `delays(...)`, `threats(study)` and `sizes(study)`."""
    return page(
        "# More steps: prevention or delay",
        note,
        f"{sample_sizes(sizes, smallest_effect(table))} The marks are those of table 1.",
        headline(table),
        corrected(
            "the p of (a) in hack over all rows (in the CSV) and that of `beats` over all controls (in the verdicts)"
        ),
        "## Does the effect shrink?",
        "An effect is how much less than its baseline an arm hacks. Its change is the effect at the end minus that in "
        "the shorter run, paired by replicate and problem: the threat is **present** where the change's whole "
        "interval lies below 0, **absent** where it lies above, and not measured where solve is not matched at either "
        "end. The lines of slow and cold training, of random V and of arms without a teacher stand beside it: what "
        f"shrinks in them alike says nothing of the intervention. {OPEN_MEANS}",
        threat_grid(delays),
        "## Verdicts at the end",
        H2_FULL,
        verdict_lines(verdicts),
        "## What would show that we fool ourselves, at the end",
        THREATS_MEAN,
        threat_grid(threats),
    )
