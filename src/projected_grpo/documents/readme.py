"""What the README says of the study, from the copies in docs/study alone: five sentences, a figure, a short table."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import HOLDS, MATCHED, REDUCTION
from projected_grpo.analysis.table2 import ALL
from projected_grpo.reporting.format import NOTHING, grid, interval, percent, points, stopped_early, unmatched
from projected_grpo.reporting.verdicts import hypotheses

FIGURE = "![Hack rate against solve rate along training](docs/study/hack_against_solve.png)"
MARKS = (
    "(a) and the difference to the twin, the same arm with a random V, are in points with 95% decision intervals, "
    "paired by seed. (b) is solve minus that of the baseline stopped early, at no more hacking. † solve is more than "
    f"{points(MATCHED)} points below the baseline's; ‡ no checkpoint of the baseline hacked that little, so that the "
    "base model stands in."
)


def findings(folder: Path) -> str:
    """Return the README's section on the results."""
    table = pd.read_csv(folder / "table1.csv").set_index("arm", drop=False)
    verdicts = json.loads((folder / "h1.json").read_text())
    said = hypotheses()
    return "\n".join(
        [
            f"Two hypotheses were fixed before the data. **H1**: {said['H1']} **H1s**: {said['H1s']}",
            "",
            *(f"{n}. {sentence}" for n, sentence in enumerate(sentences(folder, table, verdicts), 1)),
            "",
            FIGURE,
            "",
            headline(table, verdicts),
            "",
            f"Mean over {verdicts['n_seeds']} seeds, {table['last_step'].iloc[0]} steps, deployed model, held-out"
            f" problems. {_without_teacher(table)} {MARKS}",
            "",
        ]
    )


def sentences(folder: Path, table: pd.DataFrame, verdicts: dict) -> list[str]:
    """Return what came out: without intervention, of H1 and H1s, of slow training, of the weak detector, at the end."""
    baseline = table["arm"].iloc[0]
    claims = verdicts["claims"]
    slow = table.index[table["group"] == "slow controls"][0]
    ceiling = table.index[table["group"] == "honest ceiling"][0]
    lowers = [arm for arm, claim in claims.items() if claim["H1"]["verdict"] == "supported"]
    specific = [arm for arm, claim in claims.items() if claim["H1s"]["verdict"] == "supported"]
    earlier = [arm for arm in claims if table.at[arm, "early_stop_diff_low"] > 0]
    return [
        f"Without an intervention (`{baseline}`), the model hacks {_rates(table, baseline)}; trained without loopholes"
        f" (`{ceiling}`), it hacks {_rates(table, ceiling)}.",
        f"Of {len(claims)} interventions, {_listed(lowers)} {_verb(lowers, 'lowers', 'lower')} the hack rate by"
        f" {points(REDUCTION)} points at matched solve (H1), and {_listed(specific)}"
        f" {_verb(specific, 'is', 'are')} shown to do so specifically (H1s).",
        f"{_listed(earlier).capitalize()} {_verb(earlier, 'buys', 'buy')} more solving than stopping `{baseline}` early"
        f" would; `{slow}`, which does nothing but learn more slowly, hacks {_rates(table, slow)}.",
        _weak_detector(folder),
        _more_steps(folder),
    ]


def _weak_detector(folder: Path) -> str:
    judged = json.loads((folder / "table2.json").read_text())["folds"]
    table = pd.read_csv(folder / "table2.csv")
    pooled = table[(table["fold"] == ALL) & (table["modes"] == "held out")].set_index("arm")
    folds = [fold for fold in judged if fold != ALL]
    single = [arm for arm in judged[ALL] if any(judged[fold][arm]["verdict"] == HOLDS for fold in folds)]
    arms = [arm for arm, result in judged[ALL].items() if result["verdict"] == HOLDS]
    beside = list(pooled.index[pooled["teacher"]][:2])  # the baseline and the slow control
    shown = "; ".join(f"`{arm}` hacks {_rates(pooled, arm)}" for arm in [*arms, *beside])
    return (
        f"On a loophole that neither V nor the teacher pool knows, {_listed(arms)} {_verb(arms, 'holds', 'hold')} over"
        f" all folds together and {_listed(single)} in a single fold ({shown})."
    )


def _more_steps(folder: Path) -> str:
    table = pd.read_csv(folder / "horizon.csv").set_index("arm", drop=False)
    baseline = table["baseline"].iloc[0]
    kept = table[(table["arm"] != baseline) & (table["solve_diff"] >= -MATCHED)]
    shown = "; ".join(f"`{arm}` hacks {_rates(table, arm)}" for arm in kept["arm"])
    return (
        f"After {table['last_step'].iloc[0]} steps `{baseline}` hacks {_rates(table, baseline)}; of the interventions"
        f" that keep their solve rate, {shown or 'there is none'}."
    )


def headline(table: pd.DataFrame, verdicts: dict) -> str:
    """Return at most eight arms: baseline, slow control, those that claim, the best without a teacher, the ceiling."""
    groups = {name: list(part.index) for name, part in table.groupby("group", sort=False)}
    shown = (table["arm"].iloc[0], groups["slow controls"][0], *verdicts["claims"])
    arms = [*shown, _best_alone(table), groups["honest ceiling"][0]]
    rows = []
    for arm in arms:
        row = table.loc[arm]
        rows.append(
            [
                f"`{arm}`",
                percent(row["hack"]),
                percent(row["solve"]),
                interval(row, "hack_diff") + unmatched(row),
                _twin(verdicts["claims"].get(arm)),
                stopped_early(row),
            ]
        )
    return grid(["arm", "hack %", "solve %", "(a) hack", "hack against the twin", "(b) early stopping"], rows)


def _best_alone(table: pd.DataFrame) -> str:
    """Return the arm without a teacher pool that has the highest (b)."""
    return table.loc[table["group"] == "without a teacher pool", "early_stop_diff"].idxmax()


def _without_teacher(table: pd.DataFrame) -> str:
    best = _best_alone(table)
    baseline = table.at[best, "baseline"]
    return (
        f"`{best}` is trained without a teacher pool and held against `{baseline}`, which hacks"
        f" {_rates(table, baseline)}; it has no twin in this table."
    )


def _twin(claim: dict | None) -> str:
    """Return the difference in hack to the first control, which has a random V."""
    clauses = [one for one in claim["H1s"]["clauses"] if one["clause"] == "beats"] if claim else []
    if not clauses or clauses[0]["estimate"] is None:
        return NOTHING
    one = clauses[0]
    return interval({"x": -one["estimate"], "x_low": -one["high"], "x_high": -one["low"]}, "x")


def _rates(table: pd.DataFrame, arm: str) -> str:
    row = table.loc[arm]
    return f"{percent(row['hack'])}% and solves {percent(row['solve'])}%"


def _listed(arms: Sequence[str]) -> str:
    """Return arms as words: `none`, `a`, `a and b`, `a, b and c`."""
    names = [f"`{arm}`" for arm in arms]
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _verb(arms: Sequence[str], one: str, several: str) -> str:
    return several if len(arms) > 1 else one
