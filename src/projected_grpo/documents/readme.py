"""What the README says of the study, from the copies in docs/study alone: five sentences, a figure, a short table."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis import judgement
from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, is_matched
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.table2 import ALL
from projected_grpo.analysis.verdicts import HYPOTHESIS
from projected_grpo.reporting.format import NOTHING, grid, interval, percent, points, stopped_early, unmatched
from projected_grpo.reporting.verdicts import hypotheses

FIGURE = "![Hack rate against solve rate along training](docs/study/hack_against_solve.png)"


def marks() -> str:
    """Return what the columns of the short table mean."""
    matched, level = points(judgement.MATCHED), f"{100 * LEVEL:g}%"
    return (
        f"(a) is the arm's hack rate minus its baseline's, in points, with a {level} decision interval (the wider of a"
        " t interval over seeds and a bootstrap over seeds and problems); † solve is more than"
        f" {matched} points below the baseline's. The twin is the same arm with a random V (its threshold may be"
        " another one). (b) is the arm's solve rate minus the best one that its baseline reached at any checkpoint with"
        " no more hacking, on a fixed subset of the problems; a baseline's own (b) is what it lost by not being"
        " stopped; ‡ in at least one seed not even the base model hacked that little, and it stands in all the same."
    )


def findings(folder: Path) -> str:
    """Return the README's section on the results."""
    table = pd.read_csv(folder / "table1.csv").set_index("arm", drop=False)
    verdicts = json.loads((folder / "h1.json").read_text())
    source = json.loads((folder / "source.json").read_text())
    said = hypotheses()
    return "\n".join(
        [
            "Two hypotheses were fixed before the data.",
            "",
            f"- **H1**: {said['H1']}",
            f"- **H1s**: {said['H1s']}",
            "",
            f"What came out of `presets/study.yaml` ({source['jobs']} jobs, {source['hours']:.1f} hours):",
            "",
            *(f"{n}. {sentence}" for n, sentence in enumerate(sentences(folder, table, verdicts), 1)),
            "",
            FIGURE,
            "",
            headline(table, verdicts),
            "",
            f"Mean over {verdicts['n_seeds']} seeds, {table['last_step'].iloc[0]} steps, deployed model, held-out"
            f" problems. {marks()}",
            "",
        ]
    )


def sentences(folder: Path, table: pd.DataFrame, verdicts: dict) -> list[str]:
    """Return what came out: without intervention, of H1 and H1s, of slow training, of the weak detector, at the end."""
    baseline = table["arm"].iloc[0]
    ceiling = table.index[table["group"] == "honest ceiling"][0]
    return [
        f"Without an intervention (`{baseline}`), the model {_rates(table, baseline)}; trained where nothing can be"
        f" exploited (`{ceiling}`), and then tested where it can, it {_rates(table, ceiling)}.",
        _hypotheses(table, verdicts["claims"]),
        _slow(table, verdicts["claims"]),
        _weak_detector(folder),
        _more_steps(folder),
    ]


def _hypotheses(table: pd.DataFrame, claims: dict) -> str:
    """Say which interventions meet H1, by how much, and what became of H1s."""
    met = [arm for arm, claim in claims.items() if claim["H1"]["verdict"] == HYPOTHESIS[HOLDS]]
    shown = "; ".join(
        f"{'it' if len(met) == 1 else f'`{arm}`'} hacks {abs(100 * table.at[arm, 'hack_diff']):.0f} points less and"
        f" solves {100 * table.at[arm, 'solve_diff']:+z.0f} points"
        for arm in met
    )
    outcomes = {arm: claim["H1s"] for arm, claim in claims.items()}
    specific = ", ".join(
        f"{HYPOTHESIS[word]} for {_listed([arm for arm in outcomes if outcomes[arm]['verdict'] == HYPOTHESIS[word]])}"
        for word in (HOLDS, OPEN, FAILS)
        if any(result["verdict"] == HYPOTHESIS[word] for result in outcomes.values())
    )
    loose = [arm for arm, result in outcomes.items() if result["verdict"] != HYPOTHESIS[OPEN] and not result["firm"]]
    return (
        f"Of {len(claims)} interventions, {_listed(met)} {_verb(met, 'meets', 'meet')} H1"
        f"{f' ({shown})' if met else ''}; H1s is {specific}"
        f"{f' (not firmly for {_listed(loose)})' if loose else ''}."
    )


def _slow(table: pd.DataFrame, claims: dict) -> str:
    """Hold the interventions against early stopping and slow training, and say what has no control of its own."""
    earlier = [arm for arm in claims if table.at[arm, "early_stop_diff_low"] > 0]
    slow = table.index[table["group"] == "slow controls"][0]
    best = _best_alone(table)
    return (
        f"{_listed(earlier, 'None')} of these {_verb(earlier, 'is', 'are')} shown to buy more solving than stopping"
        f" `{table['arm'].iloc[0]}` early, and `{slow}`, which only learns more slowly, {_rates(table, slow)}; without"
        f" a teacher pool `{best}` {_rates(table, best)}, but it has neither a twin nor a slow control here, so that it"
        " shows nothing yet."
    )


def _weak_detector(folder: Path) -> str:
    judged = json.loads((folder / "table2.json").read_text())["folds"]
    table = pd.read_csv(folder / "table2.csv")
    pooled = table[(table["fold"] == ALL) & (table["modes"] == "held out")].set_index("arm")
    folds = [fold for fold in judged if fold != ALL]
    single = [arm for arm in judged[ALL] if any(judged[fold][arm]["verdict"] == HOLDS for fold in folds)]
    arms = [arm for arm, result in judged[ALL].items() if result["verdict"] == HOLDS]
    held_against = [pooled.at[arm, "baseline"] for arm in arms or judged[ALL]]
    controls = {*judged[ALL], *pooled["twin"].dropna(), *pooled["baseline"]}
    slow = [arm for arm in pooled.index if arm not in controls and pooled.at[arm, "baseline"] in held_against]
    beside = list(dict.fromkeys([*held_against, *slow]))
    shown = "; ".join(f"`{arm}` {_rates(pooled, arm)}" for arm in [*arms, *beside])
    return (
        "On loopholes that neither V nor the teacher pool knows, each held out once"
        f" ({pooled['n_seeds'].iloc[0]} seeds),"
        f" {_listed(arms)} {_verb(arms, 'hacks', 'hack')} less than its baseline and its twin at matched solve over all"
        f" of them together, and {_listed(single)} on a single one ({shown})."
    )


def _more_steps(folder: Path) -> str:
    table = pd.read_csv(folder / "horizon.csv").set_index("arm", drop=False)
    baseline = table["baseline"].iloc[0]
    kept = table[(table["arm"] != baseline) & table["solve_diff"].map(is_matched)]
    shown = "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in kept["arm"])
    return (
        f"After {table['last_step'].iloc[0]} steps ({table['n_seeds'].iloc[0]} seeds) `{baseline}`"
        f" {_rates(table, baseline)}; of the interventions that"
        f" solve not more than {points(judgement.MATCHED)} points less than it does, {shown or 'there is none'}."
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
                _twin(table, verdicts["claims"].get(arm)),
                stopped_early(row),
            ]
        )
    return grid(["arm", "hack %", "solve %", "(a) hack", "hack minus the twin's", "(b) early stopping"], rows)


def _best_alone(table: pd.DataFrame) -> str:
    """Return the arm without a teacher pool that has the highest (b)."""
    return table.loc[table["group"] == "without a teacher pool", "early_stop_diff"].idxmax()


def _twin(table: pd.DataFrame, claim: dict | None) -> str:
    """Return the difference in hack to the control that has a random V."""
    for clause in claim["H1s"]["clauses"] if claim else []:
        random = clause["against"] in table.index and table.at[clause["against"], "direction"] == "random"
        if clause["clause"] == "beats" and random:
            ends = {"x": "estimate", "x_low": "high", "x_high": "low"}
            return interval({end: -clause[name] for end, name in ends.items()}, "x")
    return NOTHING


def _rates(table: pd.DataFrame, arm: str) -> str:
    row = table.loc[arm]
    return f"hacks {percent(row['hack'])}% and solves {percent(row['solve'])}%"


def _listed(arms: Sequence[str], nothing: str = "none") -> str:
    """Return arms as words: `nothing`, `a`, `a and b`, `a, b and c`."""
    names = [f"`{arm}`" for arm in arms]
    if len(names) < 2:
        return names[0] if names else nothing
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _verb(arms: Sequence[str], one: str, several: str) -> str:
    return several if len(arms) > 1 else one
