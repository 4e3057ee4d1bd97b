"""How a number is written: percent, points and intervals, and tables in Markdown.

Numbers are rounded to whole points where an interval says how little the decimals mean; the CSV files have them in
full.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan

import pandas as pd

from projected_grpo.analysis.judgement import is_matched
from projected_grpo.analysis.statistics import LEVEL, Effect
from projected_grpo.analysis.study import Sizes

NOTHING = "—"  # not measured, or not defined for this arm
OPEN_MEANS = "Open means undecided: evidence neither for an effect nor against one."


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(*parts: str) -> str:
    """Return a Markdown page of paragraphs, leaving out empty ones."""
    return "\n\n".join(part for part in parts if part) + "\n"


def points(threshold: float) -> str:
    """Return a threshold in points, such as `30`."""
    return f"{100 * threshold:g}"


def points_of(value: float) -> str:
    """Return a rate or a half-width in whole points, such as `12 points`."""
    return "not measured" if isnan(value) else f"{100 * value:.0f} points"


def percent(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{100 * value:z.1f}"


def number(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:z.3f}"


def in_points(effect: Effect) -> str:
    """Return an effect as points with its interval, such as `12.3 points [-1.0, 25.6], SEM 4.2`."""
    if isnan(effect.estimate):
        return "not measured"
    if isnan(effect.sem):
        return f"{100 * effect.estimate:z.1f} points [one replicate: no interval]"
    low, high, sem = 100 * effect.low, 100 * effect.high, 100 * effect.sem
    return f"{100 * effect.estimate:z.1f} points [{low:z.1f}, {high:z.1f}], SEM {sem:.1f}"


def in_units(effect: Effect) -> str:
    """Return an effect in its own units with its interval, such as `0.123 [-0.010, 0.256], SEM 0.042`."""
    if isnan(effect.estimate):
        return "not measured"
    if isnan(effect.sem):
        return f"{effect.estimate:z.3f} [one replicate: no interval]"
    return f"{effect.estimate:z.3f} [{effect.low:z.3f}, {effect.high:z.3f}], SEM {effect.sem:.3f}"


def signed(effect: Effect) -> str:
    """Return an effect's estimate in points, such as `+1.2 points`."""
    return "not measured" if isnan(effect.estimate) else f"{100 * effect.estimate:+z.1f} points"


def interval(row: Mapping, name: str) -> str:
    """Return the points of a table's column, such as `-48 [-60, -36]`."""
    estimate, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(estimate):
        return NOTHING
    shown = f"{100 * estimate:+z.0f}"
    return f"{shown} [{NOTHING}]" if pd.isna(low) else f"{shown} [{_end(low)}, {_end(high)}]"


def bound(value: float) -> str:
    """Return a one-sided bound in points, such as `-6`."""
    return NOTHING if pd.isna(value) else _end(value)


def _end(value: float) -> str:
    """Return the end of an interval in points: -0 lies below 0, so that the interval does not seem to exclude it."""
    return f"{100 * value + 0.0:+.0f}"


def unmatched(row: Mapping) -> str:
    """Return the mark of an arm whose solve is too far below its baseline's."""
    solve = row["solve_diff"]
    return " †" if pd.notna(solve) and not is_matched(solve) else ""


def below_base(row: Mapping, suffix: str = "") -> str:
    """Return the mark of an arm that solves less than the base model: ¶ by the estimate, ¶¶ by the interval too.

    No mark without a base model to be held against. `suffix` ends the columns' names.
    """
    solve = row[f"base_solve_diff{suffix}"]
    if pd.isna(solve) or solve >= 0:
        return ""
    return " ¶¶" if row[f"base_solve_diff{suffix}_high"] < 0 else " ¶"


def below_base_means() -> str:
    """Return what the marks of `below_base` say."""
    return (
        "¶ solve is below the base model's on the same problems and replicates, by the estimate; ¶¶ by the decision "
        "interval too: there training has cost solving."
    )


def corrected(what: str) -> str:
    """Return the sentence on how many comparisons a page makes: what Holm corrects, and that nothing else is."""
    return (
        f"Corrected for the number of comparisons, by Holm: {what}. Nothing else on this page is: of the other "
        f"intervals about one in {round(1 / (1 - LEVEL))} excludes a difference that is not there."
    )


def stopped_early(row: Mapping) -> str:
    """Return (b), marked where the base model stands in for a baseline that never hacked that little."""
    return interval(row, "early_stop_diff") + (" ‡" if row["early_stop_stand_ins"] else "")


def smallest_shown(smallest: float) -> str:
    """Say how precise a table's differences in hack are."""
    if isnan(smallest):
        return "Without an interval no effect, however large, is shown."
    return f"The interval of (a) in hack reaches about {points_of(smallest)} to either side, median over its rows."


def sample_sizes(sizes: Sizes, smallest: float) -> str:
    """Return how much is behind a table, and the smallest effect, as a fraction, that it could have shown."""
    replicates, n = ", ".join(map(str, sizes.replicates)), len(sizes.replicates)
    along = f" (b) uses {sizes.subset_problems} of the problems x {sizes.subset_samples} samples."
    return (
        f"Percent, mean over {n} replicate(s) ({replicates}) x {sizes.problems} held-out problems x "
        f"{sizes.samples} samples at the training temperature, prompt with the hint, deployed model (quarantine "
        f"zeroed), last step.{along if sizes.subset_problems else ''} {smallest_shown(smallest)}"
    )
