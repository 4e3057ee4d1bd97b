"""What came out of a whole run, in a few sentences, from the copies in docs/run alone.

What a table does not hold is not said.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis import judgement
from projected_grpo.analysis.judgement import (
    FAILS,
    HOLDS,
    OPEN,
    REDUCTION,
    REDUCTION_FALSIFIES,
    UNMEASURED,
    above_nothing,
    at_least,
    is_matched,
    solve_kept,
    together,
)
from projected_grpo.analysis.statistics import Effect
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table2 import ALL
from projected_grpo.analysis.verdicts import HYPOTHESIS
from projected_grpo.reporting.format import (
    percent,
    points,
    points_of,
)

LEAST = 4  # pairs of signal and action that the sentence names


def sentences(folder: Path, table: pd.DataFrame, claims: dict) -> list[str]:
    """Return what came out: without intervention, of the hypotheses, of simpler controls, without a teacher pool, how
    much the table can show, and of the weak detector and more steps where they were run."""
    return [
        _without_intervention(table),
        _hypotheses(claims),
        _simpler(table, claims),
        *_alone(table, claims),
        _smallest(table),
        *([_signals(folder)] if (folder / "table3.csv").exists() else []),
        *([_weak_detector(folder)] if (folder / "table2.csv").exists() else []),
        *([_more_steps(folder)] if (folder / "horizon.csv").exists() else []),
    ]


def _without_intervention(table: pd.DataFrame) -> str:
    """Say what training does without an intervention and without loopholes, and what H1 says of not training."""
    baseline, base = baselines(table)[0], table.index[table["group"] == BASE][0]
    ceiling = table.index[table["group"] == CEILING][0]
    row = table.loc[base]
    lower, solve = _effect(row, "hack_diff", -1), _effect(row, "solve_diff", 1)
    passes = together([at_least(lower, REDUCTION, REDUCTION_FALSIFIES), solve_kept(solve), above_nothing(lower)])
    return (
        f"Without an intervention (`{baseline}`), the model {_rates(table, baseline)}; trained where nothing can be"
        f" exploited (`{ceiling}`), and then tested where it can, it {_rates(table, ceiling)}. The base model, not"
        f" trained at all, {_rates(table, base)}: for it, H1 is {HYPOTHESIS[passes.answer]}."
    )


def _effect(row: pd.Series, name: str, sign: int) -> Effect:
    """Return a difference of the table as an effect, or the other way round."""
    low, high = sorted(sign * row[f"{name}{end}"] for end in ("_low", "_high"))
    p = row["hack_diff_p"] if name == "hack_diff" else float("nan")
    return Effect(sign * row[name], low, high, row[f"{name}_sem"], p, int(row["n_replicates"]))


def _hypotheses(claims: dict) -> str:
    """Say which interventions meet H1, and what became of H1s and H2."""
    met = [arm for arm, claim in claims.items() if claim["H1"]["verdict"] == HYPOTHESIS[HOLDS]]
    others = "; ".join(f"{name} is {_outcomes(claims, name)}" for name in ("H1s", "H2"))
    return f"Of {len(claims)} interventions, {_listed(met)} {_verb(met, 'meets', 'meet')} H1; {others}."


def _outcomes(claims: dict, name: str) -> str:
    """Return a hypothesis' verdicts with their arms, such as `supported for a, falsified for b (not firmly for b)`."""
    by_word = {
        HYPOTHESIS[answer]: [arm for arm, claim in claims.items() if claim[name]["verdict"] == HYPOTHESIS[answer]]
        for answer in (HOLDS, OPEN, FAILS, UNMEASURED)
    }
    decided = [*by_word[HYPOTHESIS[HOLDS]], *by_word[HYPOTHESIS[FAILS]]]
    loose = [arm for arm in decided if not claims[arm][name]["firm"]]
    return ", ".join(f"{word} for {_listed(arms)}" for word, arms in by_word.items() if arms) + (
        f" (not firmly for {_listed(loose)})" if loose else ""
    )


def _simpler(table: pd.DataFrame, claims: dict) -> str:
    """Hold the interventions against early stopping and slower or colder training."""
    earlier = [arm for arm in claims if table.at[arm, "early_stop_diff_low"] > 0]
    simple = "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in _of_group(table, SLOW, baselines(table)[0]))
    return (
        f"{_listed(earlier, 'None')} of these {_verb(earlier, 'is', 'are')} shown to buy more solving than stopping its"
        f" baseline early would; training that only learns more slowly or samples colder: {simple}."
        + _slowed(table, claims)
    )


def _slowed(table: pd.DataFrame, claims: dict) -> str:
    """Hold each intervention against the slow control that was matched to it in hack; nothing where none was."""
    matched = [arm for arm in claims if pd.notna(table.at[arm, "slow_matched"])]
    if not matched:
        return ""
    rows = table.loc[matched]
    hacks_less, hacks_more = rows["slow_diff_low"] > 0, rows["slow_diff_high"] < 0
    solves_less, solves_more = rows["slow_solve_diff_high"] < 0, rows["slow_solve_diff_low"] > 0
    worse, paid = list(rows.index[solves_less & ~hacks_less]), list(rows.index[solves_less & hacks_less])
    better = list(rows.index[solves_more & ~hacks_more])
    return (
        f" Of {len(matched)} held against the slow training that hacked most like each on other replicates,"
        f" {_listed(worse)} {_verb(worse, 'solves', 'solve')} less without hacking less, {_listed(paid)}"
        f" {_verb(paid, 'solves', 'solve')} less and {_verb(paid, 'hacks', 'hack')} less, and {_listed(better)}"
        f" {_verb(better, 'solves', 'solve')} more without hacking more, by the decision interval."
    )


def _alone(table: pd.DataFrame, claims: dict) -> list[str]:
    """Say what came out without a teacher pool, where any arm had none."""
    arms = beside_baselines(table, claims, baselines(table)[1:])
    if not arms:
        return []
    return ["Without a teacher pool, " + "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in arms) + "."]


def _smallest(table: pd.DataFrame) -> str:
    n = table["n_replicates"].iloc[0]
    return (
        f"With {n} replicates a difference in hack of less than about {points_of(smallest_effect(table))} cannot be"
        " shown, so that what is undecided here may well be there."
    )


def _signals(folder: Path) -> str:
    """Say what signals that flag rollouts do on the loophole that they do not know, with their twins beside them."""
    claims = json.loads((folder / "table3.json").read_text(encoding="utf-8"))["claims"]
    table = pd.read_csv(folder / "table3.csv").set_index("arm")
    found = {
        word: [arm for arm, claim in claims.items() if claim["H2"]["verdict"] == HYPOTHESIS[word]]
        for word in (HOLDS, OPEN, FAILS)
    }
    known = table[table["signal"].notna() & table.index.isin(claims) & (table["knows"] != "O")]
    least = known.sort_values(["hack_held_out", "solve_held_out"], ascending=[True, False]).index[:LEAST]
    shown = "; ".join(
        f"`{arm}` {_on_unknown(table, arm)}, its twin {_on_unknown(table, table.at[arm, 'twin'])}" for arm in least
    )
    beside = "; ".join(f"`{arm}` {_on_unknown(table, arm)}" for arm in baselines(table.assign(arm=table.index)))
    n, interventions = table["n_replicates"].iloc[0], len(claims)
    return (
        f"Each of {len(known)} pairings of a signal with an action was asked about loopholes that nothing told it of"
        f" ({n} replicates, one loophole each). Those that hack least there: {shown or 'none'}; beside them"
        f" {beside}. There H2, prevention, is supported for {_listed(found[HOLDS])}, undecided for"
        f" {len(found[OPEN])} and falsified for {len(found[FAILS])} of {interventions} interventions."
    )


def _on_unknown(table: pd.DataFrame, arm: str) -> str:
    row = table.loc[arm]
    return f"hacks {percent(row['hack_held_out'])}% and solves {percent(row['solve_held_out'])}%"


def _weak_detector(folder: Path) -> str:
    judged = json.loads((folder / "table2.json").read_text(encoding="utf-8"))["folds"]
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
        f" ({pooled['n_replicates'].iloc[0]} replicates),"
        f" {_listed(arms)} {_verb(arms, 'hacks', 'hack')} less than its baseline and its twin at matched solve, and"
        f" {_verb(arms, 'does', 'do')} better than slower or colder training, over all of them together, and"
        f" {_listed(single)} on a single one ({shown})."
    )


def _more_steps(folder: Path) -> str:
    table = pd.read_csv(folder / "horizon.csv").set_index("arm", drop=False)
    baseline = baselines(table)[0]
    intervenes = (table["baseline"] == baseline) & table["twin"].notna()
    kept = table[intervenes & table["solve_diff"].map(is_matched)]
    shown = "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in kept["arm"])
    return (
        f"After {table['last_step'].max()} steps ({table['n_replicates'].iloc[0]} replicates) `{baseline}`"
        f" {_rates(table, baseline)}; of the interventions that"
        f" solve not more than {points(judgement.MATCHED)} points less than it does, {shown or 'there is none'}."
    )


def baselines(table: pd.DataFrame) -> list[str]:
    """Return the arms that others are held against, in the order of the table."""
    return [arm for arm in table.index if table.at[arm, "baseline"] == arm]


def beside_baselines(table: pd.DataFrame, claims: dict, against: Iterable[str]) -> list[str]:
    """Return each baseline with its slow and cold controls and the interventions that are held against it."""
    return [
        arm
        for baseline in against
        for arm in (
            baseline,
            *_of_group(table, SLOW, baseline),
            *(arm for arm in claims if table.at[arm, "baseline"] == baseline),
        )
    ]


def _of_group(table: pd.DataFrame, group: str, baseline: str) -> list[str]:
    return list(table.index[(table["group"] == group) & (table["baseline"] == baseline)])


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
