"""Doses (method 7): what every dose of an arm did on the tuning replicates, and which one the rule chooses."""

from collections.abc import Mapping

import pandas as pd

from projected_grpo.analysis.study import Study, mean
from projected_grpo.analysis.table1 import rounded

HALF = 0.5  # of the baseline's hack


def doses(study: Study, families: Mapping[str, Mapping]) -> pd.DataFrame:
    """Return one row per arm that is a dose, {arm: family, key, dose}: its rates, its baseline's, and whether the rule
    chooses it."""
    rows = []
    for arm, own in families.items():
        baseline = study.arms[arm].baseline
        row = {**own, "arm": arm, "baseline": baseline, "n_replicates": len(study.replicates)}
        row |= {name: mean(study.final(arm)[name]) for name in ("hack", "solve")}
        rows.append(row | {f"baseline_{name}": mean(study.final(baseline)[name]) for name in ("hack", "solve")})
    table = pd.DataFrame(rows)
    chosen = [choose(part) for _, part in table.groupby("family", sort=False)]
    return rounded(table.assign(chosen=table["arm"].isin(chosen)))


def choose(family: pd.DataFrame) -> str:
    """Return the arm that the rule chooses: of those that hack less than HALF of what the baseline does the one that
    solves most, where none does the one that hacks least; of equal ones the one with the smaller dose."""
    ordered = family.sort_values("dose")
    held = ordered[ordered["hack"] < HALF * ordered["baseline_hack"]]
    best = held["solve"].idxmax() if len(held) else ordered["hack"].idxmin()
    return str(family.loc[best, "arm"])
