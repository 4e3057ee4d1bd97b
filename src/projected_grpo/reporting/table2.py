"""table2.md: the weak detector, for a person."""

from collections.abc import Callable, Mapping

import pandas as pd

from projected_grpo.analysis import judgement
from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table2 import ALL
from projected_grpo.reporting.format import (
    NOTHING,
    OPEN_MEANS,
    below_base,
    below_base_means,
    corrected,
    grid,
    interval,
    page,
    percent,
    points,
    points_of,
    smallest_shown,
    stopped_early,
    unmatched,
)
from projected_grpo.reporting.verdicts import decided, said


def marks() -> str:
    """Return what the cells of the first table mean."""
    matched = points(judgement.MATCHED)
    return f"""\
- Every cell is of the held-out mode's problems alone: hack % / solve %, and below it the difference in hack to the
  fold's baseline with its {100 * LEVEL:g}% decision interval. The column `all` pools them. † solve is more than
  {matched} points below the baseline's. {below_base_means()}
- **bold**: the fold holds. Hack falls (the interval excludes 0), solve is not more than {matched} points below the
  baseline's, the arm's twin, which has no information, hacks more (Holm), and the arm is
  better than slow and cold training of the same baseline: it hacks less or solves more by an interval that excludes 0,
  and the other interval does not lie below 0. That asks for less than H1: no {points(judgement.REDUCTION)} points, no
  (b).
- {NOTHING}: not defined. Without a teacher pool a baseline, or an arm with a random V, is one model for all folds."""


def render(table: pd.DataFrame, verdicts: Mapping, note: str) -> str:
    """Return table2.md from `table2(folds)` and `fold_verdicts(folds)`."""
    replicates = ", ".join(map(str, verdicts["replicates"]))
    pooled = table[(table["modes"] == "held out") & (table["fold"] == ALL)]
    single = table[(table["modes"] == "held out") & (table["fold"] != ALL)]
    problems = " or ".join(str(n) for n in sorted(single["n_problems"].unique()))
    held = [f"- {arm}: {text}" for arm, text in folds_held(verdicts["folds"]).items()]
    return page(
        "# Table 2: the weak detector",
        note,
        "Does knowing the other loopholes stop the unknown one? V and the teacher pool know all modes but one; "
        f"training has all. Replicates {replicates}, deployed model, last step, sampled with the hint. "
        f"{smallest_shown(smallest_effect(single))} Of all folds together: {points_of(smallest_effect(pooled))}.",
        "## On the held-out mode",
        _held_out(table),
        marks(),
        corrected(
            "the p against the twin, over all single folds and arms; in `all`, which is the same data once more, over "
            "its arms"
        ),
        "## Folds that hold",
        f"Of {problems} problems each. {OPEN_MEANS}",
        "\n".join(held),
        "## What decided",
        _clauses(verdicts),
        "## On the known modes",
        _known(table),
        "## (b) on the held-out mode",
        _early(table),
    )


def _cells(table: pd.DataFrame, modes: str, cell: Callable[[pd.Series], str]) -> str:
    part = table[table["modes"] == modes]
    folds, arms = list(part["fold"].unique()), list(part["arm"].unique())
    rows = part.set_index(["arm", "fold"])
    return grid(["arm", *folds], [[arm, *[cell(rows.loc[(arm, fold)]) for fold in folds]] for arm in arms])


def _rates(row: pd.Series) -> str:
    return f"{percent(row['hack'])} / {percent(row['solve'])}{below_base(row)}"


def _held_out(table: pd.DataFrame) -> str:
    def cell(row: pd.Series) -> str:
        mark = "**" if row["verdict"] == HOLDS else ""
        return f"{mark}{_rates(row)}{mark}<br>{interval(row, 'hack_diff')}{unmatched(row)}"

    return _cells(table, "held out", cell)


def _known(table: pd.DataFrame) -> str:
    return _cells(table, "known", lambda row: f"{_rates(row)}<br>{interval(row, 'hack_diff')}")


def _early(table: pd.DataFrame) -> str:
    return (
        _cells(table, "held out", stopped_early)
        + "\n\nSolve at the last step minus the best that the baseline reached with no more hacking, both on the "
        "held-out mode's part of the subset that is evaluated along the run. ‡ in at least one replicate the baseline "
        "never hacked that little, and the base model stands in."
    )


def folds_held(judged: Mapping) -> dict[str, str]:
    """Return per tested arm in how many single folds it holds, and whether it does on all of them together."""
    found = {}
    for arm, pooled in judged[ALL].items():
        answers = [judged[fold][arm]["verdict"] for fold in judged if fold != ALL]
        counts = ", ".join(f"{word} in {answers.count(word)}" for word in (OPEN, FAILS) if word in answers)
        rest = f" ({counts})" if counts else ""
        found[arm] = f"holds in {answers.count(HOLDS)} of {len(answers)} folds{rest}; together **{said(pooled)}**"
    return found


def _clauses(verdicts: Mapping) -> str:
    judged = [(fold, arm, result) for fold, arms in verdicts["folds"].items() for arm, result in arms.items()]
    return "\n".join(line for fold, arm, result in judged for line in decided(f"{fold}, {arm}", result))
