"""What came out of a whole run, in a few sentences, from the copies in docs/run alone.

What a table does not hold is not said.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import OPEN, PRESENT, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.reporting.format import percent, points_of

NONE = "none"
HELD_OUT = "_held_out"  # after a rate of table 3: on loopholes that nothing told of


def sentences(folder: Path, table: pd.DataFrame, outcomes: Mapping[str, str]) -> list[str]:
    """Return what came out: without intervention, of the interventions where every loophole is known and where one is
    not, with more steps, of simpler controls, without a teacher pool, and how much the table can show."""
    found = [
        _without_intervention(table),
        f"Where pairs, signals and teacher pool know every loophole: {_in_words(table, outcomes)}",
    ]
    if (folder / "table3.csv").exists():
        unknown, words = signals(folder)
        found.append(f"{_of_unknown(unknown)}: {_in_words(unknown, words, HELD_OUT)}")
    if (folder / "horizon.csv").exists():
        found.append(_more_steps(folder))
    return [*found, _simpler(table), *_alone(table, outcomes), _smallest(table)]


def conclusions(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Return the five sentences on a study, each of one outcome, on loopholes that nothing told of where table 3 is
    there: what prevents, only delays, only damages, what is open or adds nothing, and what was not `expected`. More
    steps may show a delay of what is open otherwise."""
    if (folder / "table3.csv").exists():
        (table, words), suffix = signals(folder), HELD_OUT
        where = _of_unknown(table)
    else:
        table, words, suffix = first_table(folder), _outcomes(folder / "h1.json"), ""
        where = "Where pairs, signals and teacher pool know every loophole"
    words = {arm: DELAYS if _fades(folder, table, arm, word, suffix) else word for arm, word in words.items()}
    told = {word: [arm for arm, said in words.items() if said == word] for word in (PREVENTS, DELAYS, DAMAGES)}
    rest = [f"{word}: {_named(words, word)}" for word in (OPEN, NOTHING)]
    against = "; ".join(f"`{arm}` {_rates(table, arm, suffix)}" for arm in baselines(table))
    return [
        f"**What prevents.** {where} ({against}):"
        f" {_with_twins(table, told[PREVENTS], suffix)}{'' if told[PREVENTS] else _nearest(table, words, suffix)}.",
        f"**What only delays.** {_with_twins(table, told[DELAYS], suffix)}.{_shrinking(folder)}",
        f"**What only damages.** {_with_twins(table, told[DAMAGES], suffix)}.",
        f"**What remains open.** {'; '.join(rest)}. {_smallest(table, suffix)}",
        f"**What surprised.** {_surprises(words, expected)}",
    ]


def expectations(page: str) -> dict[str, str]:
    """Return {arm: the word that was expected of it} of the table in docs/preregistration.md."""
    return dict(
        re.findall(rf"^\| `(\w+)` \| ({'|'.join((PREVENTS, DELAYS, DAMAGES, NOTHING))}) \|$", page, re.MULTILINE)
    )


def first_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table1.csv").set_index("arm", drop=False)


def signals(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return table 3 by arm, and its outcomes; what is told the true verdict is a ceiling and left out."""
    table = pd.read_csv(folder / "table3.csv").set_index("arm", drop=False)
    words = _outcomes(folder / "table3.json")
    return table, {arm: word for arm, word in words.items() if table.at[arm, "knows"] != "O"}


def _outcomes(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8"))["outcomes"]


def _of_unknown(table: pd.DataFrame) -> str:
    n = table["n_replicates"].iloc[0]
    return f"On a loophole that pairs, signals and teacher pool do not know, another one in turn in {n} replicates"


def _without_intervention(table: pd.DataFrame) -> str:
    """Say what training does without an intervention and without loopholes, and what not training does."""
    baseline, base = baselines(table)[0], table.index[table["group"] == BASE][0]
    ceiling = table.index[table["group"] == CEILING][0]
    return (
        f"Without an intervention (`{baseline}`), the model {_rates(table, baseline)}; trained where nothing can be"
        f" exploited (`{ceiling}`), and then tested where it can, it {_rates(table, ceiling)}. The base model, not"
        f" trained at all, {_rates(table, base)}: hacking little is easy, hacking little and solving much is not."
    )


def _in_words(table: pd.DataFrame, words: Mapping[str, str], suffix: str = "") -> str:
    """Return every word with its arms, those that prevent with their rates and their twin's; if none does, the open one
    that hacks least."""
    preventing = _with_twins(table, [arm for arm, word in words.items() if word == PREVENTS], suffix)
    if preventing == NONE:
        preventing += _nearest(table, words, suffix)
    others = (DELAYS, DAMAGES, NOTHING, OPEN, UNMEASURED)
    rest = [f"**{word}**: {_named(words, word)}" for word in others if word in words.values()]
    return "; ".join([f"**{PREVENTS}**: {preventing}", *rest]) + "."


def _with_twins(table: pd.DataFrame, arms: Sequence[str], suffix: str) -> str:
    shown = []
    for arm in arms:
        twin = table.at[arm, "twin"]
        beside = f", its twin {_rates(table, twin, suffix)}" if twin in table.index else ""
        shown.append(f"`{arm}` {_rates(table, arm, suffix)}{beside}")
    return " / ".join(shown) or NONE


def _nearest(table: pd.DataFrame, words: Mapping[str, str], suffix: str) -> str:
    """Return the open arm that hacks least, in brackets."""
    still = [arm for arm, word in words.items() if word == OPEN]
    if not still:
        return ""
    return f" (of what is open, {_with_twins(table, [table.loc[still, f'hack{suffix}'].idxmin()], suffix)})"


def _named(words: Mapping[str, str], word: str) -> str:
    return _listed([arm for arm, said in words.items() if said == word])


def _more_steps(folder: Path) -> str:
    """Say what hacks how much after more steps, and whose effect shrank by then."""
    table = pd.read_csv(folder / "horizon.csv").set_index("arm", drop=False)
    outcomes = _outcomes(folder / "horizon.json")
    return (
        f"After {table['last_step'].max()} steps ({table['n_replicates'].iloc[0]} replicates) `{baselines(table)[0]}`"
        f" {_rates(table, baselines(table)[0])}: {_in_words(table, outcomes)}{_shrinking(folder)}"
    )


def _shrinks(folder: Path) -> list[str]:
    """Return the arms whose effect is shown to be smaller after more steps."""
    answers = json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["shrinks"]
    return [arm for arm, answer in answers.items() if answer == PRESENT]


def _shrinking(folder: Path) -> str:
    """Name these arms; nothing where more steps were not run."""
    if not (folder / "horizon.json").exists():
        return ""
    return f" The effect shrinks with more steps in {_listed(_shrinks(folder))}."


def _fades(folder: Path, table: pd.DataFrame, arm: str, word: str, suffix: str) -> bool:
    """Whether an open arm that hacks less than its baseline, by the interval, is one that more steps show to delay."""
    if word != OPEN or not (folder / "horizon.json").exists():
        return False
    return arm in _shrinks(folder) and bool(table.at[arm, f"hack_diff{suffix}_high"] < 0)


def _surprises(words: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Hold the outcomes against what was expected."""
    asked = {arm: word for arm, word in expected.items() if arm in words}
    if not asked:
        return "Nothing was registered for this run."
    otherwise = [
        f"`{arm}` was expected to be one that {word}, and {f'is {words[arm]}' if words[arm] == OPEN else words[arm]}"
        for arm, word in asked.items()
        if words[arm] != word
    ]
    return f"Of {len(asked)} expectations {len(asked) - len(otherwise)} came true: {'; '.join(otherwise) or 'all'}."


def _simpler(table: pd.DataFrame) -> str:
    simple = "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in _of_group(table, SLOW, baselines(table)[0]))
    return f"Training that only learns more slowly or samples colder: {simple}."


def _alone(table: pd.DataFrame, interventions: Iterable[str]) -> list[str]:
    """Say what came out without a teacher pool, where any arm had none."""
    arms = beside_baselines(table, interventions, baselines(table)[1:])
    if not arms:
        return []
    return ["Without a teacher pool, " + "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in arms) + "."]


def _smallest(table: pd.DataFrame, suffix: str = "") -> str:
    n, smallest = table["n_replicates"].iloc[0], points_of(smallest_effect(table, suffix))
    return (
        f"With {n} replicates a difference in hack of less than about {smallest} cannot be shown, so that what is open"
        " here may well be there."
    )


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
            *_of_group(table, SLOW, baseline),
            *(arm for arm in interventions if table.at[arm, "baseline"] == baseline),
        )
    ]


def _of_group(table: pd.DataFrame, group: str, baseline: str) -> list[str]:
    return list(table.index[(table["group"] == group) & (table["baseline"] == baseline)])


def _rates(table: pd.DataFrame, arm: str, suffix: str = "") -> str:
    row = table.loc[arm]
    return f"hacks {percent(row[f'hack{suffix}'])}% and solves {percent(row[f'solve{suffix}'])}%"


def _listed(arms: Sequence[str], nothing: str = "none") -> str:
    """Return arms as words: `nothing`, `a`, `a and b`, `a, b and c`."""
    names = [f"`{arm}`" for arm in arms]
    if len(names) < 2:
        return names[0] if names else nothing
    return f"{', '.join(names[:-1])} and {names[-1]}"
