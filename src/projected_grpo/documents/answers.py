"""The answers of a run, a sentence or two each, with which README and docs/results.md begin.

From the copies in docs/run; where that is the registered study, from those of its confirmation too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HACKED, HOLDS, OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.study import BASE, CEILING
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.analysis.verdicts import HYPOTHESIS
from projected_grpo.documents.afterwards import by_more_steps, later
from projected_grpo.documents.expected import came_true, is_registered, preregistered, surprises
from projected_grpo.documents.phrases import (
    FEW,
    NONE,
    UNKNOWN,
    baselines,
    first_table,
    hopeless,
    judged_signals,
    judged_table,
    listed,
    simplest,
    specific,
    spread,
    with_rates,
    with_twins,
)
from projected_grpo.reporting.format import percent, points, points_of

AGAIN = "confirmation"  # in docs/, beside the copies of the study


@dataclass(frozen=True)
class Setting:
    """Where interventions are judged: a table by arm, its word on each, and the suffix of its columns; and what more
    steps say of them."""

    where: str
    table: pd.DataFrame
    words: Mapping[str, str]
    suffix: str = ""
    by_steps: str = ""

    def said(self, word: str) -> list[str]:
        """Return the arms of which a word is said."""
        return [arm for arm, said in self.words.items() if said == word]


def answers(folder: Path) -> list[str]:
    """Return what prevents, only slows, only damages, is open or adds nothing, and what was not expected."""
    found = _settings(folder)
    return [
        f"**What prevents.** {' '.join(map(_prevents, found))}",
        f"**What only slows.** {' '.join(map(_slows, found))}",
        f"**What only damages.** {' '.join(f'{one.where}: {_briefly(one, DAMAGES)}.' for one in found)}",
        f"**What remains open.** {' '.join(map(_open, found))}{_width(found)}",
        f"**What surprised.** {_surprises(folder, found[0])}{_direction(first_table(folder))}",
    ]


def _surprises(folder: Path, first: Setting) -> str:
    """Hold the study against what was expected of it, and the confirmation, where it comes `first`."""
    expected, seen = preregistered(folder)
    said = surprises([one.words for one in _study(folder)], expected, seen)
    return f"{said}{came_true(first.words, expected) if _has_confirmation(folder) else ''}"


def in_short(folder: Path) -> str:
    """Return what is shown to prevent and of what that is not shown, beside training without an intervention: by the
    confirmation where there is one, else on unknown loopholes, else on known ones."""
    first, study = _settings(folder)[0], _study(folder)[0]
    table, suffix, prevent = first.table, first.suffix, first.said(PREVENTS)
    lacking = [arm for arm in first.words if arm not in prevent]
    base, last = (list(table.index[table["group"] == name]) for name in (BASE, CEILING))
    what = f"hacking on {UNKNOWN}" if suffix else "hacking"
    said = [
        f"**In short**: {_shown(prevent)} to prevent {what}, after {table['last_step'].max()}"
        f" steps{_with_twins(first, prevent)}."
    ]
    if lacking:
        among = "" if prevent else "any of "
        said.append(f"Prevention is not shown of {among}{listed(lacking)}{_with_twins(first, lacking)}.")
    said += [*([f"{_primary(first)}."] if suffix else []), _hacked(first), specific(table, first.words)]
    if _has_confirmation(folder):
        n = table["n_replicates"].iloc[0]
        said.append(
            f"So says the [confirmation](docs/results.md#the-confirmation): these {len(first.words)} arms alone, picked"
            f" after the study and registered before their first run, on {n} new replicates."
            f" Of the study's {len(study.words)} arms, on such a loophole, {_shown(study.said(PREVENTS))} to prevent."
        )
    beside = with_rates(table, [*base, *baselines(table), *last], suffix)
    return f"{' '.join(filter(None, said))}\n\nBeside them, {beside}. {simplest(table, suffix)}"


def _hacked(one: Setting) -> str:
    """Say how many runs of an arm hack, in which a mean may lie, and how many of its twin."""
    arms = [arm for arm in one.words if one.table.at[arm, "twin"] in one.table.index]
    if not arms:
        return ""
    own, twins = (one.table.loc[names, "hacked_runs"].astype(int) for names in (arms, one.table.loc[arms, "twin"]))
    n = one.table["n_replicates"].iloc[0]
    return (
        f"More than {points(HACKED)}% of all answers are hacks in {_between(own)} of an arm's {n} runs, and in"
        f" {_between(twins)} of its twin's."
    )


def _between(counts: pd.Series) -> str:
    return f"{counts.min()} to {counts.max()}" if counts.nunique() > 1 else f"{counts.iloc[0]}"


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
    found = [_by_steps("With every loophole known", folder, *judged_table(folder, "table1", "h1"))]
    if (folder / "table3.csv").exists():
        found.insert(0, _by_steps("On an unknown loophole", folder, *judged_signals(folder), HELD_OUT))
    return found


def _by_steps(where: str, folder: Path, table: pd.DataFrame, judged: Mapping[str, str], suffix: str = "") -> Setting:
    words = later(folder, table, judged, suffix)
    return Setting(where, table, words, suffix, by_more_steps(judged, words))


def _shown(arms: Sequence[str]) -> str:
    return f"{listed(arms, 'nothing')} {'are' if len(arms) > 1 else 'is'} shown"


def _prevents(one: Setting) -> str:
    """Say what prevents, with its twin, and what the primary comparison shows on unknown loopholes."""
    said = f"{one.where}: {with_twins(one.table, one.said(PREVENTS), one.suffix)}."
    if not one.suffix:
        return said
    more = one.table.loc[list(one.words), f"twin_diff{one.suffix}"] > 0
    return f"{said} {_primary(one)}; by the estimate the twin of {more.sum()} of {len(more)} arms does."


def _primary(one: Setting) -> str:
    """Say of which arms the primary comparison holds."""
    answers = one.table.loc[list(one.words), "primary"]
    shown = _of_these(list(answers.index[answers == HOLDS]), list(answers.index))
    return f"That the twin hacks more, the primary comparison (Holm corrected), is shown of {shown}"


def _of_these(arms: Sequence[str], these: Sequence[str]) -> str:
    """Return some of these arms by name, or how many they are where they are all of several."""
    return f"all {len(these)}" if arms == these and len(these) > 1 else listed(arms)


def _slows(one: Setting) -> str:
    """Say what only slows, and what the slow training does that is matched to it."""
    arms, slow = one.said(DELAYS), one.table["slow_matched"].reindex(list(one.words))
    slow = slow[slow.isin(one.table.index)]
    if not arms and slow.empty:
        return f"{one.where}: not asked, for no slow training is matched."
    rates = with_rates(one.table, slow.reindex(arms).dropna().unique(), one.suffix)
    beside = f" The slow training that is matched: {rates}." if rates else ""
    unasked = [arm for arm in one.words if arm not in slow.index]
    aside = f" Of {listed(unasked)} this was not asked: no slow training is matched." if unasked else ""
    return f"{one.where}: {_briefly(one, DELAYS)}.{beside}{one.by_steps}{aside}"


def _briefly(one: Setting, word: str) -> str:
    """Return the arms of which a word is said, with the rates of each, where they are few, or of all."""
    arms = one.said(word)
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
    own = "its twin" if len(twins) == 1 else "their twins"
    hacks = f"; {own}, without information on hacks: hack {spread(one.table, twins, one.suffix)}" if twins else ""
    return f" ({_ranges(one, arms)}{hacks})"


def _open(one: Setting) -> str:
    """Say which arms are open, and of these which keep both margins, which do not prevent, and which have an effect of
    their own; and which have no word."""
    still, table = one.said(OPEN), one.table
    within, beyond = ([arm for arm in still if table.at[arm, "margins"] == answer] for answer in (HOLDS, FAILS))
    own = [arm for arm in still if table.at[arm, "specific"] == HYPOTHESIS[HOLDS]]
    adds, unasked = one.said(NOTHING), one.said(UNMEASURED)
    said = [f"{one.where}: {listed(still)}."]
    if within:
        who = _of_these(within, still)
        said.append(
            f"{who[0].upper()}{who[1:]} {'keep' if len(within) > 1 else 'keeps'} both margins of **{PREVENTS}**"
            f" ({_ranges(one, within)}), lacking only the corrected difference to the"
            f" twin{hopeless(table, within, one.suffix)}."
        )
    if beyond:
        said.append(f"{_shown(beyond)} not to prevent.")
    if own:
        said.append(f"A large effect of its own, more than an early stop (H1s), is shown of {_of_these(own, still)}.")
    if adds:
        said.append(f"No effect of its own is shown of {listed(adds)} (**{NOTHING}**).")
    if unasked:
        said.append(f"Nothing could be measured of {listed(unasked)}.")
    return " ".join(said)


def _width(found: Sequence[Setting]) -> str:
    """Say how far the interval of a twin's difference reaches; nothing where there is none."""
    widths = {one.where: smallest_effect(one.table.loc[list(one.words)], f"twin_diff{one.suffix}") for one in found}
    said = [f"{points_of(width)} {where[0].lower()}{where[1:]}" for where, width in widths.items() if not isnan(width)]
    if not said:
        return ""
    return (
        " What is not shown is not absent: the interval of what a twin hacks more than its arm has, to either side and"
        f" at the median arm, {'; '.join(said)}."
    )


def _direction(table: pd.DataFrame) -> str:
    """Say what V sees in the baselines' runs, and what the best V that knows nothing of hacks sees there."""
    seen = table.loc[baselines(table), ["overlap_student", "overlap_null_measured"]].dropna()
    if seen.empty:
        return ""
    own, best, of = (
        " and ".join(said)
        for said in (*(map(percent, seen[name]) for name in seen), (f"`{arm}`" for arm in seen.index))
    )
    return (
        " Of the norm of the gradient of a run's own answers, the part along V that makes hacks more likely has"
        f" {own}% ({of}), the part along the best of a random V, a shuffled one and one of wrong answers {best}%"
        " (intervals: table1.md)."
    )
