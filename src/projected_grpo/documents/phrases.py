"""Arms, rates and words, as the sentences on a run say them, and what they are read from: the copies in docs/run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.study import ALONE, INTERVENTIONS, SLOW
from projected_grpo.reporting.format import interval, percent

NONE = "none"
MANY = 8  # names in a row
FEW, SIMPLE = 3, 2  # where none prevents: arms that are shown with their rates, and controls beside them


def first_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table1.csv").set_index("arm", drop=False)


def signals(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return table 3 by arm, and its outcomes."""
    table = pd.read_csv(folder / "table3.csv").set_index("arm", drop=False)
    return table, outcomes_in(folder / "table3.json")


def told_all(table: pd.DataFrame, arm: str) -> bool:
    """Whether an arm of table 3 is told the true verdict: a ceiling, and no intervention that anybody could run."""
    return table.at[arm, "knows"] == "O"


def outcomes_in(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8"))["outcomes"]


def baselines(table: pd.DataFrame) -> list[str]:
    """Return the arms that others are held against, in the order of the table."""
    return [arm for arm in table.index if table.at[arm, "baseline"] == arm]


def beside_baselines(table: pd.DataFrame, interventions: Iterable[str], against: Iterable[str]) -> list[str]:
    """Return each baseline with its slow and cold controls and the interventions that are held against it."""
    return [
        arm
        for baseline in against
        for arm in (
            baseline,
            *of_group(table, SLOW, baseline),
            *(arm for arm in interventions if table.at[arm, "baseline"] == baseline),
        )
    ]


def of_group(table: pd.DataFrame, group: str, baseline: str) -> list[str]:
    return list(table.index[(table["group"] == group) & (table["baseline"] == baseline)])


def without_twin(table: pd.DataFrame) -> list[str]:
    """Return what is neither a control nor a baseline and has no twin, so that it is not judged."""
    kept = table["group"].isin((INTERVENTIONS, ALONE)) & table["twin"].isna() & (table["baseline"] != table.index)
    return list(table.index[kept])


def rates(table: pd.DataFrame, arm: str, suffix: str = "") -> str:
    row = table.loc[arm]
    return f"hacks {percent(row[f'hack{suffix}'])}% and solves {percent(row[f'solve{suffix}'])}%"


def with_rates(table: pd.DataFrame, arms: Iterable[str], suffix: str = "") -> str:
    return "; ".join(f"`{arm}` {rates(table, arm, suffix)}" for arm in arms)


def with_twins(table: pd.DataFrame, arms: Sequence[str], suffix: str) -> str:
    """Return arms with their rates, and by how many points their twins hack more."""
    shown = []
    for arm in arms:
        more = interval(table.loc[arm], f"twin_diff{suffix}")
        beside = f" (its twin hacks {more} points more)" if table.at[arm, "twin"] in table.index else ""
        shown.append(f"`{arm}` {rates(table, arm, suffix)}{beside}")
    return "; ".join(shown) or NONE


def named(words: Mapping[str, str], word: str) -> str:
    return listed([arm for arm, said in words.items() if said == word])


def listed(arms: Sequence[str], nothing: str = NONE) -> str:
    """Return arms as words: `nothing`, `a`, `a and b`, `a, b and c`; their number where they are many."""
    names = [f"`{arm}`" for arm in arms]
    if len(names) > MANY:
        return f"{len(names)} arms"
    if len(names) < 2:
        return names[0] if names else nothing
    return f"{', '.join(names[:-1])} and {names[-1]}"


def in_words(table: pd.DataFrame, words: Mapping[str, str], suffix: str = "") -> str:
    """Return every word with its arms, those that prevent with their rates and twins; if none does, the open ones that
    hack least."""
    others = (DELAYS, DAMAGES, NOTHING, OPEN, UNMEASURED)
    rest = [f"**{word}**: {named(words, word)}" for word in others if word in words.values()]
    first = f"**{PREVENTS}**: {preventing(table, words, suffix)}."
    return f"{first} {'; '.join(rest)}." if rest else first


def preventing(table: pd.DataFrame, words: Mapping[str, str], suffix: str) -> str:
    """Return what prevents, with rates; if nothing does, the few open arms that hack least, and simple controls."""
    still = [arm for arm, word in words.items() if word == OPEN]
    if PREVENTS in words.values() or not still:
        return with_twins(table, [arm for arm, word in words.items() if word == PREVENTS], suffix)
    nearest = list(table.loc[still, f"hack{suffix}"].nsmallest(FEW).index)
    of = f"Of the {len(still)} open ones these hack least, picked and so flattered" if len(still) > FEW else "Open"
    simple = [arm for arm in table.index if table.at[arm, "group"] == SLOW or _uninformed(table, arm)]
    least = list(table.loc[simple, f"hack{suffix}"].nsmallest(SIMPLE).index)
    which = "Of slower, colder and merely regularized training, these hack least"
    beside = f". {which}: {with_rates(table, least, suffix)}" if least else ""
    return f"{NONE}. {of}: {with_twins(table, nearest, suffix)}{beside}"


def _uninformed(table: pd.DataFrame, arm: str) -> bool:
    """Whether an arm has no twin because it knows nothing: a mere regularization, as a KL penalty."""
    return arm in without_twin(table) and "knows" in table and table.at[arm, "knows"] == "0"
