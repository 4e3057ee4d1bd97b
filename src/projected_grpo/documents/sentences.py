"""What came out of a whole run, beyond its answers (answers.py), from the copies in docs/run alone.

What a table does not hold is not said.
"""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HOLDS, MATCHED, OPEN
from projected_grpo.analysis.statistics import least_sems
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.afterwards import by_more_steps, detecting, later, more_steps, relearning
from projected_grpo.documents.phrases import (
    UNKNOWN,
    baselines,
    first_table,
    in_words,
    judged_signals,
    judged_table,
    listed,
    named,
    of_group,
    rates,
    signals,
    simplest,
    specific,
    told_all,
    with_rates,
    with_twins,
    without_twin,
    word_by_word,
)
from projected_grpo.documents.settings import Setting, settings
from projected_grpo.reporting.format import interval, percent, points, points_of

UNSEEN = "unseen.json"  # what unseen.py returns, among the copies
KNOWN = "Where pairs, signals and teacher pool know every loophole"
NOT_MADE = "It cannot be made: no arm has an interval and a twin."


def details(folder: Path) -> list[str]:
    """Return what came out, beyond the answers: without an intervention; on an unknown loophole, where table 3 is
    there: the primary comparison, the words, and both on replicates that nobody had seen; where every loophole is
    known; after more steps, and trained on without an intervention; and what signals see."""
    said = [f"**Without an intervention.** {_without_intervention(first_table(folder))}"]
    if (folder / "table3.csv").exists():
        unknown, judged = judged_signals(folder)
        words = later(folder, unknown, judged, HELD_OUT)
        said += [
            f"**The primary comparison**: {primary(unknown, judged)}",
            f"**An unknown loophole.** {of_unknown(unknown, loopholes(folder))}: {in_words(unknown, words, HELD_OUT)}"
            f"{by_more_steps(judged, words)}",
            f"**Simpler training there.** {simplest(unknown, HELD_OUT)}{_wordless(unknown, HELD_OUT)}",
            f"**Effects of their own there.** {specific(unknown, words, HELD_OUT)}",
            *_scale(folder),
            *_unseen(folder, unknown, judged),
        ]
    known, judged = judged_table(folder, "table1", "h1")
    words = later(folder, known, judged)
    more = f"{by_more_steps(judged, words)}{_wordless(known)} {specific(known, words, '')}"
    said.append(f"**{KNOWN}.** {in_words(known, words)}{more}")
    said += _fineness(settings(folder))
    pages = (
        ("horizon.csv", "More steps", more_steps),
        ("relearning.csv", "Relearning", relearning),
        ("detectors.csv", "Signals as detectors", detecting),
    )
    return said + [f"**{name}.** {say(folder)}" for file, name, say in pages if (folder / file).exists()]


def _fineness(found: Sequence[Setting]) -> list[str]:
    """Say how far the interval of a twin's difference reaches; nothing where there is none."""
    widths = {one.where: smallest_effect(one.table.loc[list(one.words)], f"twin_diff{one.suffix}") for one in found}
    said = [f"{points_of(width)} {where[0].lower()}{where[1:]}" for where, width in widths.items() if not isnan(width)]
    if not said:
        return []
    return [
        "**What is not shown is not absent.** The interval of what a twin hacks more than its arm has, to either side"
        f" and at the median arm, {'; '.join(said)}."
    ]


def loopholes(folder: Path) -> int:
    """Return how many loopholes the replicates of table 3 hold out."""
    judged = json.loads((folder / "table3.json").read_text(encoding="utf-8"))
    return len(set(judged["provenance"]["config"]["modes"].values()))


def of_unknown(table: pd.DataFrame, loopholes: int) -> str:
    """Return on what table 3 judges, with its baselines."""
    n, against = table["n_replicates"].iloc[0], with_rates(table, baselines(table), HELD_OUT)
    return f"On {UNKNOWN}, one of {loopholes} in turn in {n} replicates ({against})"


def primary(table: pd.DataFrame, judged: Mapping[str, str]) -> str:
    """Say of which of the `judged` arms the primary comparison holds, of which it fails, and for what it can hold."""
    answers = table.loc[list(judged), "primary"].dropna().to_dict()
    compared = table[f"twin_diff{HELD_OUT}_p_holm"].dropna()
    others = sum(told_all(table, arm) for arm in compared.index)
    aside = f", of which {others} are told the true verdict, always or in part, and not named" if others else ""
    answered = f"It {_answered(answers)}{_uncorrected(table, answers)}." if answers else NOT_MADE
    holding = [arm for arm, answer in answers.items() if answer == HOLDS]
    shown = f" {with_twins(table, holding, HELD_OUT)}.{worse_twins(table, holding)}" if holding else ""
    more = table.loc[list(judged), f"twin_diff{HELD_OUT}"] > 0
    answered += f" By the estimate the twin of {more.sum()} of {len(more)} arms hacks more." if answers else ""
    return (
        f"does the twin hack more than its arm on {UNKNOWN} (Holm corrected over {len(compared)} arms{aside}), where"
        f" the arm solves at most {points(MATCHED)} points less than its baseline? {answered}{shown}{_power(table)}"
    )


def _answered(answers: Mapping[str, str]) -> str:
    said = {HOLDS: "holds for", FAILS: "fails, by the estimate, for", OPEN: "is open for"}
    holds, fails, still = (f"{words} {named(answers, answer)}" for answer, words in said.items())
    return f"{holds}, {fails}, and {still}"


def _uncorrected(table: pd.DataFrame, answers: Mapping[str, str]) -> str:
    """Say how many arms are open only because their number is corrected for."""
    still = [arm for arm, answer in answers.items() if answer == OPEN]
    above = (table.loc[still, f"twin_diff{HELD_OUT}_low"] > 0).sum()
    return f"; the interval of {above} of these lies above 0 before the correction" if above else ""


def _power(table: pd.DataFrame) -> str:
    """Say which differences are too small for the primary comparison to hold."""
    n, sems = table["n_replicates"].iloc[0], table[f"twin_diff{HELD_OUT}_sem"]
    arms = table[f"twin_diff{HELD_OUT}_p_holm"].notna().sum()
    if n < 2 or not arms:
        return ""
    least = least_sems(arms, n)
    return (
        f" With {arms} comparisons of {n} replicates the first can hold for no difference under {least:.0f} SEM, which"
        f" is {points_of(least * sems.median())} at their median SEM; each that holds asks less of the next."
    )


def _unseen(folder: Path, table: pd.DataFrame, judged: Mapping[str, str]) -> list[str]:
    """Say the same on those replicates alone that nobody had seen before; nothing where a run had none."""
    if not (folder / UNSEEN).exists():
        return []
    made = json.loads((folder / UNSEEN).read_text(encoding="utf-8"))
    answers, words = ({arm: made[name].get(arm) for arm in judged} for name in ("primary", "outcomes"))
    n, compared = len(made["replicates"]), len(made["primary"])
    power = (
        f" There the first can hold for no difference under {least_sems(compared, n):.0f} SEM."
        if n > 1 and compared
        else ""
    )
    near = [arm for arm in judged if HOLDS in (table.at[arm, "primary"], table.at[arm, "margins"])]
    again = "; ".join(f"`{arm}` {interval(made['twins'][arm], 'twin_diff')}" for arm in near if arm in made["twins"])
    kept = [arm for arm in judged if made["margins"].get(arm) == HOLDS]
    twins = (
        f" What the twins hack more, in points, of arms named above or within both margins on all replicates: {again}."
    )
    return [
        f"**What nobody had seen.** On replicates {', '.join(map(str, made['replicates']))} alone that comparison"
        f" {_answered(answers)}.{power}{twins if again else ''} Within both margins there: {listed(kept)}. In"
        f" one word, {word_by_word(words)}. Every loophole known: {word_by_word(made['known'])}."
    ]


def worse_twins(table: pd.DataFrame, arms: Sequence[str]) -> str:
    """Say of which arms the twin hacks more than their baseline, so that a part of its difference is not the arm's."""
    said, hack = [], table[f"hack{HELD_OUT}"]
    for arm in arms:
        twin, baseline = table.at[arm, "twin"], table.at[arm, "baseline"]
        if hack[twin] > hack[baseline]:
            said.append(
                f" The twin of `{arm}` hacks more than `{baseline}` does: {points_of(hack[baseline] - hack[arm])} of"
                " the difference are the arm's."
            )
    return "".join(said)


def _without_intervention(table: pd.DataFrame) -> str:
    """Say what training does without an intervention, with and without a teacher pool, with all that only makes it
    slower or colder; what not training does; and training without loopholes."""
    baseline, base = baselines(table)[0], table.index[table["group"] == BASE][0]
    undisclosed = table.at[baseline, "hack_no_hint"]
    hint = "" if pd.isna(undisclosed) else f" (it hacks {percent(undisclosed)}% where no prompt discloses a loophole)"
    honest = [
        f"trained where nothing can be exploited (`{arm}`), and then tested where it can, it {rates(table, arm)}"
        for arm in table.index[table["group"] == CEILING]
    ]
    said = [f"`{baseline}` {rates(table, baseline)}{hint}", f"the base model, not trained at all, {rates(table, base)}"]
    simple = with_rates(table, of_group(table, SLOW, baseline))
    alone = [arm for one in baselines(table)[1:] for arm in (one, *of_group(table, SLOW, one))]
    return " ".join(
        [
            f"Every loophole known: {'; '.join([*said, *honest])}.",
            *([f"Training that only learns more slowly or samples colder: {simple}."] if simple else []),
            *([f"Without a teacher pool, {with_rates(table, alone)}."] if alone else []),
        ]
    )


def _wordless(table: pd.DataFrame, suffix: str = "") -> str:
    """Say what arms do that have no twin, and so no word."""
    bare = with_rates(table, without_twin(table), suffix)
    return f" Without a twin, and so without a word: {bare}." if bare else ""


def _scale(folder: Path) -> list[str]:
    """Say how arms do that are told the true verdict; nothing without such an arm."""
    table, words = signals(folder)
    told = {arm: word for arm, word in words.items() if told_all(table, arm)}
    if not told:
        return []
    best = table.loc[list(told), f"hack{HELD_OUT}"].idxmin()
    return [
        f"**For scale.** Of the arms that are told the true verdict, always or in part, the same rules say:"
        f" {word_by_word(told)}. Of these `{best}` {rates(table, best, HELD_OUT)}."
    ]
