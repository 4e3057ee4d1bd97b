"""The answers of a run, a sentence or two each, with which README and docs/results.md begin.

From the copies in docs/run; where that is the registered study, from those of its confirmation too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import HOLDS, OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.study import BASE, CEILING
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.afterwards import later
from projected_grpo.documents.phrases import (
    FEW,
    NONE,
    baselines,
    first_table,
    judged_signals,
    judged_table,
    listed,
    simplest,
    spread,
    with_rates,
)
from projected_grpo.documents.registered import PAGE
from projected_grpo.reporting.format import percent, points_of

AGAIN = "confirmation"  # in docs/, beside the copies of the study


@dataclass(frozen=True)
class Setting:
    """Where interventions are judged: a table by arm, its word on each, and the suffix of its columns."""

    where: str
    table: pd.DataFrame
    words: Mapping[str, str]
    suffix: str = ""

    def said(self, word: str) -> list[str]:
        """Return the arms of which a word is said."""
        return [arm for arm, said in self.words.items() if said == word]


def is_registered(folder: Path) -> bool:
    """Whether the run is the preregistered study."""
    return "commit" in json.loads((folder / "source.json").read_text(encoding="utf-8"))


def answers(folder: Path) -> list[str]:
    """Return what prevents, only slows, only damages, is open or adds nothing, and what was not expected."""
    found = _settings(folder)
    return [
        f"**What prevents.** {_everywhere(found, PREVENTS)}",
        f"**What only slows.** {_everywhere(found, DELAYS)}",
        f"**What only damages.** {_everywhere(found, DAMAGES)}",
        f"**What remains open.** {_open(found)}{_width(found)}",
        f"**What surprised.** {_surprises(_study(folder), _expected(folder))}{_direction(first_table(folder))}",
    ]


def expectations(page: str) -> dict[str, str]:
    """Return {arm: the word that was expected of it} of the table in docs/preregistration.md."""
    return dict(
        re.findall(rf"^\| `(\w+)` \| ({'|'.join((PREVENTS, DELAYS, DAMAGES, NOTHING))}) \|$", page, re.MULTILINE)
    )


def in_short(folder: Path) -> str:
    """Return what is shown to prevent and of what that is not shown, beside training without an intervention: by the
    confirmation where there is one, else on unknown loopholes, else on known ones."""
    first, study = _settings(folder)[0], _study(folder)[0]
    table, suffix, prevent = first.table, first.suffix, first.said(PREVENTS)
    lacking = [arm for arm in first.words if arm not in prevent]
    base, last = (list(table.index[table["group"] == name]) for name in (BASE, CEILING))
    what = "hacks that nothing told of" if suffix else "hacks"
    said = [
        f"**In short**: {_shown(prevent)} to prevent {what}{_with_twins(first, prevent)}.",
        f"It is not shown of {listed(lacking)}{_with_twins(first, lacking)}." if lacking else "",
        f"Beside them, {with_rates(table, [*base, *baselines(table), *last], suffix)}.{simplest(table, suffix)}",
    ]
    if _has_confirmation(folder):
        said.append(
            f"So says the [confirmation](docs/results.md#the-confirmation), which compares these {len(first.words)}"
            f" alone, on {table['n_replicates'].iloc[0]} new replicates; of the study before it, which had"
            f" {len(study.words)} arms and picked these, {_shown(study.said(PREVENTS))} to prevent."
        )
    return " ".join(filter(None, said))


def _has_confirmation(folder: Path) -> bool:
    return is_registered(folder) and (folder.parent / AGAIN).exists()


def _settings(folder: Path) -> list[Setting]:
    """Return where interventions were judged, what is asked first in front."""
    found = _study(folder)
    if _has_confirmation(folder):
        first, *rest = found
        again = Setting(f"{first.where} (the confirmation)", *judged_signals(folder.parent / AGAIN), HELD_OUT)
        found = [again, replace(first, where=f"{first.where} (the study)"), *rest]
    if (folder / "horizon.csv").exists():
        table, words = judged_table(folder, "horizon", "horizon")
        n = table["n_replicates"].iloc[0]
        found.append(
            Setting(f"After {table['last_step'].max()} steps, every loophole known ({n} replicates)", table, words)
        )
    return found


def _study(folder: Path) -> list[Setting]:
    """Return table 3, where it is there, and table 1, each by the word that more steps leave."""
    table, judged = judged_table(folder, "table1", "h1")
    found = [Setting("With every loophole known", table, later(folder, table, judged))]
    if not (folder / "table3.csv").exists():
        return found
    table, judged = judged_signals(folder)
    return [Setting("On an unknown loophole", table, later(folder, table, judged, HELD_OUT), HELD_OUT), *found]


def _shown(arms: Sequence[str]) -> str:
    return f"{listed(arms, 'nothing')} {'are' if len(arms) > 1 else 'is'} shown"


def _everywhere(found: Sequence[Setting], word: str) -> str:
    """Say of which arms a word is said in each setting, with their rates."""
    return " ".join(f"{one.where}: {_briefly(one, one.said(word))}{_matched(one, word)}." for one in found)


def _briefly(one: Setting, arms: Sequence[str]) -> str:
    """Return arms with the rates of each, where they are few, or of all."""
    if len(arms) > FEW:
        return f"{listed(arms)} ({_ranges(one, arms)})"
    return with_rates(one.table, arms, one.suffix) or NONE


def _ranges(one: Setting, arms: Sequence[str]) -> str:
    return f"hack {spread(one.table, arms, one.suffix)}, solve {spread(one.table, arms, one.suffix, 'solve')}"


def _with_twins(one: Setting, arms: Sequence[str]) -> str:
    """Return the rates of some arms, and what their twins hack."""
    if not arms:
        return ""
    twins = [twin for twin in one.table.loc[list(arms), "twin"] if twin in one.table.index]
    hacks = f"; twins, without information on hacks: hack {spread(one.table, twins, one.suffix)}" if twins else ""
    return f" ({_ranges(one, arms)}{hacks})"


def _matched(one: Setting, word: str) -> str:
    """Say what the slow training does that is matched to the arms that only slow."""
    if word != DELAYS or "slow_matched" not in one.table:
        return ""
    slow = one.table.loc[one.said(word), "slow_matched"].dropna().unique()
    rates = with_rates(one.table, [arm for arm in slow if arm in one.table.index], one.suffix)
    return f" (the slow training that is matched: {rates})" if rates else ""


def _open(found: Sequence[Setting]) -> str:
    """Say which arms are open, which of these lack only the corrected difference to the twin, and what has no word."""
    rest = {NOTHING: "no effect of its own is shown of", UNMEASURED: "nothing could be measured of"}
    said = []
    for one in found:
        words = [f"{start} {listed(arms)}" for word, start in rest.items() if (arms := one.said(word))]
        said.append(f"{one.where}: {'; '.join([f'{listed(one.said(OPEN))}{_within(one)}', *words])}.")
    return " ".join(said)


def _within(one: Setting) -> str:
    """Name the open arms that keep both margins."""
    still = one.said(OPEN)
    arms = [arm for arm in still if one.table.at[arm, "margins"] == HOLDS]
    if not arms:
        return ""
    which = "" if arms == still else f": {listed(arms)}"
    kept = f"within both margins of **{PREVENTS}**, lacking only the corrected difference to the twin"
    return f" ({kept}{which}; {_ranges(one, arms)})"


def _width(found: Sequence[Setting]) -> str:
    """Say how far the interval of a twin's difference reaches; nothing where there is none."""
    widths = {one.where: smallest_effect(one.table, f"twin_diff{one.suffix}") for one in found}
    said = [f"{where[0].lower()}{where[1:]}, {points_of(width)}" for where, width in widths.items() if not isnan(width)]
    if not said:
        return ""
    return (
        " What is not shown is not absent. The interval of what a twin hacks more than its arm reaches so far to either"
        f" side, median over the arms: {'; '.join(said)}."
    )


def _expected(folder: Path) -> dict[str, str]:
    """Return what was expected of the arms by the preregistration among the copies; of another run nothing was."""
    if not is_registered(folder):
        return {}
    return expectations((folder / Path(PAGE).name).read_text(encoding="utf-8"))


def _surprises(study: Sequence[Setting], expected: Mapping[str, str]) -> str:
    """Hold the outcomes against what was expected: on unknown loopholes, and of what is not asked there, on known."""
    if not expected:
        return "The preregistration is of a larger study: this run is not held against it."
    first, *others = study
    words = {arm: word for one in reversed(study) for arm, word in one.words.items()}
    asked = {arm: word for arm, word in expected.items() if arm in words}
    undecided = [arm for arm in asked if words[arm] in (OPEN, UNMEASURED)]
    true = [arm for arm, word in asked.items() if words[arm] == word]
    otherwise = [
        f"`{arm}` (expected: {word}; found: {words[arm]}"
        f"{', every loophole known' if others and arm not in first.words else ''})"
        for arm, word in asked.items()
        if arm not in (*undecided, *true)
    ]
    aside = [arm for arm in expected if arm not in words]
    missing = f" Not in these tables: {listed(aside)}." if aside else ""
    return (
        f"Of {len(asked)} expectations {len(true)} came true ({listed(true)}), {len(undecided)} are undecided"
        f" ({listed(undecided)}), contradicted: {'; '.join(otherwise) or NONE}.{missing}"
    )


def _direction(table: pd.DataFrame) -> str:
    """Say what V sees in the first baseline's run, and what the best V that knows nothing of hacks sees there."""
    row = table.loc[baselines(table)[0]]
    if pd.isna(row["overlap_null_measured"]):
        return ""
    return (
        f" In the gradient of `{row.name}`'s own answers, the part along V that makes hacks more likely has"
        f" {percent(row['overlap_student'])}% of the norm; along the best of a random V, a shuffled one and one"
        f" of wrong answers it has {percent(row['overlap_null_measured'])}%."
    )
