"""More steps (method 7 (d)): is hacking prevented, or only delayed? And the same arms on another base model."""

from collections.abc import Mapping

import pandas as pd

from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import early_stop
from projected_grpo.analysis.threats import matched_without_other
from projected_grpo.analysis.verdicts import in_points
from projected_grpo.reporting.table1 import NOTHING, grid, headline, sample_sizes, verdict_lines


def delays(short: Study, long: Study, shorter: Mapping[str, str | None]) -> pd.DataFrame:
    """Return a line per tested arm of the longer study: is the effect that it has early gone at the end?

    `shorter` names the arm of the shorter study that differs by its steps alone. Columns doubt, arm, against, answer,
    numbers as in doubts.py; arms without a shorter one are left out.
    """
    rows = []
    for arm, spec in long.arms.items():
        early = shorter.get(arm)
        if not spec["tested"] or early not in short.arms:
            continue
        answer, (before, after) = matched_without_other((short, early), (long, arm))
        stops = (early_stop(study, name, study.arms[name]["baseline"]) for study, name in ((short, early), (long, arm)))
        early_b, late_b = (in_points(stop.effect) for stop in stops)
        steps = short.arms[early]["last"], spec["last"]
        numbers = f"hack lower by {before} in a run of {steps[0]} steps, by {after} in one of {steps[1]}"
        rows.append(
            {
                "doubt": f"the effect is gone after {steps[1]} steps",
                "arm": early,
                "against": str(long.baseline(arm)),
                "answer": answer,
                "numbers": f"{numbers}; (b) {early_b}, then {late_b}",
            }
        )
    return pd.DataFrame(rows, columns=["doubt", "arm", "against", "answer", "numbers"])


def render_horizon(study: Study, table: pd.DataFrame, verdicts: Mapping, lines: pd.DataFrame, note: str) -> str:
    """Return horizon.md from `table1(study)`, `h1(study)` and `delays(...)`."""
    return _page(
        "# More steps: prevention or delay",
        f"{note}\n\n{sample_sizes(study, table)} The marks are those of table 1.",
        headline(table),
        "## Is the effect gone at the end?",
        grid(["arm", "gone?", "numbers"], [[row.arm, f"**{row.answer}**", row.numbers] for row in lines.itertuples()]),
        "## Verdicts at the end",
        verdict_lines(verdicts),
    )


def render_bases(studies: Mapping[int, Study], tables: Mapping[int, pd.DataFrame], verdicts: Mapping, note: str) -> str:
    """Return second_base.md: the headline of each base model, by its seed, one after the other."""
    parts = []
    for seed, study in studies.items():
        parts += [f"## Base model of seed {seed}", sample_sizes(study, tables[seed]), headline(tables[seed])]
        parts.append(verdict_lines(verdicts[seed]))
    side = [[arm, *[_difference(table, arm) for table in tables.values()]] for arm in next(iter(studies.values())).arms]
    heads = [f"(a) hack, (a) solve: base {seed}" for seed in tables]
    return _page(
        "# Another base model",
        f"{note}\n\nTeacher pool, pairs and V are made anew from each base model; problems and seeds are the same.",
        grid(["arm", *heads], side),
        *parts,
    )


def _difference(table: pd.DataFrame, arm: str) -> str:
    row = table.set_index("arm").loc[arm]
    if pd.isna(row["hack_diff"]):
        return NOTHING
    return f"{100 * row['hack_diff']:+z.0f}, {100 * row['solve_diff']:+z.0f}"


def _page(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
