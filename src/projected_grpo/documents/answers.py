"""The answers of a run, a sentence or two each, with which README and docs/results.md begin.

From the copies in docs/run; where that is the registered study, from those of its confirmation too.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import ABSENT, HACKED, HOLDS, OPEN, PRESENT, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.study import BASE, CEILING
from projected_grpo.documents.afterwards import better_detectors, later_than_honest
from projected_grpo.documents.expected import came_true, preregistered, surprises
from projected_grpo.documents.lines import read_lines
from projected_grpo.documents.phrases import (
    FEW,
    NONE,
    UNKNOWN,
    baselines,
    first_table,
    listed,
    simplest,
    specific,
    spread,
    with_rates,
    with_twins,
    without_twin,
)
from projected_grpo.documents.runs import together
from projected_grpo.documents.settings import Setting, has_confirmation, of_study, settings
from projected_grpo.reporting.format import percent, points

ABOVE_OTHERS = re.compile(r"above the best of these by (\S+) \[(\S+), (\S+)\], SEM")  # as the line on `chance` has it
WHETHER = {ABSENT: "shown", PRESENT: "not so", OPEN: "open", UNMEASURED: UNMEASURED}  # of what a threat denies


def answers(folder: Path) -> list[str]:
    """Return what prevents, only slows, only damages, is open or adds nothing, and what was not expected."""
    found = settings(folder)
    return [
        f"**What prevents.** {' '.join(map(_prevents, found))}",
        f"**What only slows.** {' '.join(map(_slows, found))}",
        f"**What only damages.** {' '.join(map(_damages, found))}",
        f"**What remains open.** {' '.join(map(_open, found))} What is not shown is not absent.",
        f"**What surprised.** {_surprises(folder, found[0])}{_direction(folder)}{better_detectors(folder)}"
        f"{later_than_honest(folder)}",
    ]


def in_short(folder: Path) -> str:
    """Return what is shown to prevent and of what that is not shown, beside training without an intervention: by the
    confirmation where there is one, else on unknown loopholes, else on known ones."""
    first, study = settings(folder)[0], of_study(folder)[0]
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
    said += [_primary(first)] if suffix else []
    if has_confirmation(folder):
        n = table["n_replicates"].iloc[0]
        said.append(
            f"So says the [confirmation](docs/results.md#the-confirmation): these {len(first.words)} arms alone, picked"
            f" after the study and registered before their first run (but for H1s), on {n} replicates with new base"
            " models, teacher pools, pairs and signals, and the study's loopholes and held-out problems."
            f" Of the study's {len(study.words)} arms that are not told the true verdict,"
            f" {_shown(study.said(PREVENTS))} to prevent on such a loophole."
        )
    how_sure = " ".join(filter(None, [_hacked(first), specific(table, first.words, suffix)]))
    beside = with_rates(table, [*base, *baselines(table), *last], suffix)
    simple = f"{simplest(table, suffix)}{_than_slow(first)}"
    return "\n\n".join(filter(None, [" ".join(said), how_sure, f"Beside them, {beside}. {simple}"]))


def _primary(one: Setting) -> str:
    """Say of which arms the primary comparison holds."""
    answers = one.table.loc[list(one.words), "primary"]
    shown, all_of = list(answers.index[answers == HOLDS]), len(answers)
    arms = f"all {all_of}" if len(shown) == all_of > 1 else listed(shown)
    return f"That the twin hacks more, the primary comparison (Holm corrected), is shown of {arms}."


def _hacked(one: Setting) -> str:
    """Say how many runs of an arm hack, in which a mean may lie, and how many of its twin; and which all have."""
    arms = [arm for arm in one.words if one.table.at[arm, "twin"] in one.table.index]
    if not arms:
        return ""
    own, twins = (one.table.loc[names, "hacked_runs"].astype(int) for names in (arms, one.table.loc[arms, "twin"]))
    n = one.table["n_replicates"].iloc[0]
    return (
        f"More than {points(HACKED)}% of all answers are hacks in {_between(own)} of an arm's {n} runs, and in"
        f" {_between(twins)} of its twin's.{together(one.page.parent)}"
    )


def _between(counts: pd.Series) -> str:
    return f"{counts.min()} to {counts.max()}" if counts.nunique() > 1 else f"{counts.iloc[0]}"


def _shown(arms: Sequence[str]) -> str:
    return f"{listed(arms, 'nothing')} {'are' if len(arms) > 1 else 'is'} shown"


def _than_slow(one: Setting) -> str:
    """Say of which arms less hacking than under every slow or cold training is shown; nothing where it is not asked."""
    lines = [line for line in read_lines(one.page) if line.line == "held out slow" and line.arm in one.words]
    asked = list(dict.fromkeys(line.arm for line in lines))
    less = [arm for arm in asked if all(line.answer == ABSENT for line in lines if line.arm == arm)]
    others = [arm for arm in asked if arm not in less]
    aside = f", and not of {listed(others)}" if less and others else ""
    return f" Less hacking than that, at the last step, is shown of {listed(less)}{aside}." if asked else ""


def _prevents(one: Setting) -> str:
    return f"{one.where}: {with_twins(one.table, one.said(PREVENTS), one.suffix)}."


def _slows(one: Setting) -> str:
    """Say what only slows, and what the slow training does that is matched to it."""
    slow = one.table["slow_matched"].reindex(list(one.words))
    slow = slow[slow.isin(one.table.index)]
    arms = one.said(DELAYS)
    if not arms and slow.empty:
        return f"{one.where}: not asked, for no slow training is matched."
    rates = with_rates(one.table, slow.reindex(arms).dropna().unique(), one.suffix)
    beside = f" The slow training that is matched: {rates}." if rates else ""
    unasked = " No slow training is matched here." if slow.empty else ""
    asked = f", of {len(slow)} arms that slow training is matched to" if 0 < len(slow) < len(one.words) else ""
    return f"{one.where}{asked}: {_briefly(one, arms)}.{beside}{one.by_steps}{unasked}"


def _damages(one: Setting) -> str:
    """Say what only damages, beside the base model and the baselines; and what does as much without a twin."""
    table, arms = one.table, one.said(DAMAGES)
    beside = [*table.index[table["group"] == BASE], *dict.fromkeys(table.loc[arms, "baseline"])]
    solves = "; ".join(f"`{other}` solves {percent(table.at[other, f'solve{one.suffix}'])}%" for other in beside)
    said = f"{one.where}: {_briefly(one, arms)}{f' ({solves})' if arms else ''}."
    ends = table.reindex(columns=[f"{name}_diff{one.suffix}_high" for name in ("hack", "base_solve")])
    bare = [arm for arm in without_twin(table) if arm not in one.words and (ends.loc[arm] < 0).all()]
    alike = f"{len(bare)} arm{'s' * (len(bare) > 1)} without a twin"
    return f"{said} By the same rule {alike} would ({_ranges(one, bare)})." if bare else said


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
    own = "its twin" if len(twins) == 1 else "their twins"
    hacks = f"; {own}, without information on hacks: hack {spread(one.table, twins, one.suffix)}" if twins else ""
    return f" ({_ranges(one, arms)}{hacks})"


def _open(one: Setting) -> str:
    """Say which arms are open, which of these keep both margins, which add nothing, and which have no word."""
    still, adds, unasked = map(one.said, (OPEN, NOTHING, UNMEASURED))
    within = [arm for arm in still if one.table.at[arm, "margins"] == HOLDS]
    said = [f"{one.where}: {listed(still)}."]
    if within:
        said.append(
            f"{listed(within)} {'keep' if len(within) > 1 else 'keeps'} both margins of **{PREVENTS}**"
            f" ({_ranges(one, within)}), lacking only the corrected difference to the twin."
        )
    if adds:
        said.append(f"No effect of its own is shown of {listed(adds)} (**{NOTHING}**).")
    if unasked:
        said.append(f"Nothing could be measured of {listed(unasked)}.")
    return " ".join(said)


def _surprises(folder: Path, first: Setting) -> str:
    """Hold the study against what was expected of it, and the confirmation, where it comes `first`."""
    expected, seen = preregistered(folder)
    said = surprises([one.words for one in of_study(folder)], expected, seen)
    return f"{said}{came_true(first.words, expected) if has_confirmation(folder) else ''}"


def _direction(folder: Path) -> str:
    """Say what V sees in the baselines' runs, and whether that is more than the best V that knows nothing of hacks
    sees there."""
    table = first_table(folder)
    seen = table.loc[baselines(table), "overlap_student"].dropna()
    found = {
        line.arm: (WHETHER[line.answer], ABOVE_OTHERS.search(line.numbers))
        for line in read_lines(folder / "table1.md")
        if line.line == "chance" and line.arm in seen.index
    }
    own = " and ".join(f"{percent(share)}% (`{arm}`)" for arm, share in seen.items())
    more = ", ".join(f"{word} in `{arm}` ({_in_points(*by.groups())})" for arm, (word, by) in found.items() if by)
    if not more:
        return ""
    return (
        f" Of the norm of the gradient of a run's own answers, the part along V that makes hacks more likely has {own}."
        f" That this is more than along the best of a random V, a shuffled one and one of wrong answers is {more}."
    )


def _in_points(*shares: str) -> str:
    estimate, low, high = (f"{100 * float(share):+.1f}" for share in shares)
    return f"{estimate} points [{low}, {high}]"
