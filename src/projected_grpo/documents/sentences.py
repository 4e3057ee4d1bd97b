"""What came out of a whole run, in a few sentences, from the copies in docs/run alone.

What a table does not hold is not said.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HOLDS, MATCHED, OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.statistics import least_sems
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.afterwards import by_more_steps, detecting, later, more_steps, relearning
from projected_grpo.documents.phrases import (
    NONE,
    baselines,
    in_words,
    judged_table,
    listed,
    matched_slow,
    named,
    of_group,
    preventing,
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
from projected_grpo.reporting.format import interval, percent, points, points_of

UNSEEN = "unseen.json"  # what unseen.py returns, among the copies
UNKNOWN = "a loophole that pairs, signals and teacher pool do not know"
KNOWN = "Where pairs, signals and teacher pool know every loophole"
NOT_MADE = "It cannot be made: no arm has an interval and a twin."
# how the conclusions go on about what has none of the words before
REST = {
    OPEN: "",
    NOTHING: "no effect of its own is shown of ",
    UNMEASURED: "nothing could be measured of ",
}


def sentences(folder: Path, table: pd.DataFrame) -> list[str]:
    """Return what came out: without intervention, of the interventions where every loophole is known and where one is
    not, with more steps, of simpler controls, without a teacher pool, and how much the tables can show."""
    found = [_without_intervention(table), f"{KNOWN}: {_known(folder)}"]
    widths = {"": smallest_effect(table, "twin_diff")}
    if (folder / "table3.csv").exists():
        unknown, judged = judged_signals(folder)
        words = later(folder, unknown, judged, HELD_OUT)
        said = f"{in_words(unknown, words, HELD_OUT)}{by_more_steps(judged, words)}{specific(unknown, words)}"
        found += [
            f"{of_unknown(unknown)}: {said}{_scale(folder)}",
            f"The primary comparison: {primary(unknown, judged, 'that loophole')}",
        ]
        widths["on an unknown loophole "] = smallest_effect(unknown, f"twin_diff{HELD_OUT}")
    if (folder / "horizon.csv").exists():
        found.append(more_steps(folder))
    found.append(" ".join(filter(None, [_simpler(table), *_alone(table)])))
    return [*filter(None, [*found, *_direction(table), _shows(table, widths)])]


def conclusions(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Return the sentences on a study: the primary comparison, and one each for what prevents, only slows, only
    damages, is open or adds nothing; on unknown loopholes where table 3 is there, and then on known ones too; what more
    steps, and training without intervention, do afterwards; and what was not `expected`."""
    known, of_known = judged_table(folder, "table1", "h1")
    table, judged, suffix, first, then = known, of_known, "", [], []
    where = f"{KNOWN} ({with_rates(known, baselines(known))})"
    if (folder / "table3.csv").exists():
        (table, judged), suffix = judged_signals(folder), HELD_OUT
        first = [
            f"**The primary comparison**: {primary(table, judged, UNKNOWN)}",
            *_unseen(folder, table, judged),
        ]
        where = of_unknown(table)
        then = [f"**{KNOWN}.** {_known(folder)}"]
    words = later(folder, table, judged, suffix)
    told = {word: [arm for arm, said in words.items() if said == word] for word in (PREVENTS, DELAYS, DAMAGES)}
    rest = [f"{start}{named(words, word)}" for word, start in REST.items() if word in words.values()]
    if bare := without_twin(table):
        rest.append(f"without a twin, and so without a word: {with_rates(table, bare, suffix)}")
    there = " there" if suffix else ""
    width = _shows(table, {"": smallest_effect(table, f"twin_diff{suffix}")})
    prevent = " ".join(filter(None, preventing(table, words, suffix)))
    return [
        *first,
        f"**What prevents.** {where}: {prevent}{simplest(table, suffix)}{specific(table, words)}{_scale(folder)}",
        f"**What only slows{there}.** {with_twins(table, told[DELAYS], suffix)}."
        f"{matched_slow(table, told[DELAYS], suffix)}{by_more_steps(judged, words)}",
        f"**What only damages{there}.** {with_twins(table, told[DAMAGES], suffix)}.",
        f"**What remains open.** {'; '.join(rest) or NONE}. {width}".rstrip(),
        *then,
        *([f"**More steps.** {more_steps(folder)}"] if (folder / "horizon.csv").exists() else []),
        *([f"**Relearning.** {relearning(folder)}"] if (folder / "relearning.csv").exists() else []),
        *([f"**Signals as detectors.** {detecting(folder)}"] if (folder / "detectors.csv").exists() else []),
        f"**What surprised.** {_surprises(later(folder, known, of_known) | words, words, expected)}",
    ]


def expectations(page: str) -> dict[str, str]:
    """Return {arm: the word that was expected of it} of the table in docs/preregistration.md."""
    return dict(
        re.findall(rf"^\| `(\w+)` \| ({'|'.join((PREVENTS, DELAYS, DAMAGES, NOTHING))}) \|$", page, re.MULTILINE)
    )


def judged_signals(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return table 3 by arm, and its outcomes, without those of arms that are told the true verdict."""
    table, words = signals(folder)
    return table, {arm: word for arm, word in words.items() if not told_all(table, arm)}


def of_unknown(table: pd.DataFrame) -> str:
    n, against = table["n_replicates"].iloc[0], with_rates(table, baselines(table), HELD_OUT)
    return f"On {UNKNOWN}, another one in turn in {n} replicates ({against})"


def primary(table: pd.DataFrame, judged: Mapping[str, str], where: str) -> str:
    """Say of which of the `judged` arms the primary comparison holds, of which it fails, and for what it can hold."""
    answers = table.loc[list(judged), "primary"].dropna().to_dict()
    compared = table[f"twin_diff{HELD_OUT}_p_holm"].dropna()
    others = sum(told_all(table, arm) for arm in compared.index)
    aside = f", of which {others} are told the true verdict, always or in part, and not named" if others else ""
    answered = f"It {_answered(answers)}{_uncorrected(table, answers)}." if answers else NOT_MADE
    holding = [arm for arm, answer in answers.items() if answer == HOLDS]
    shown = f" {with_twins(table, holding, HELD_OUT)}.{_worse_twins(table, holding)}" if holding else ""
    return (
        f"does the twin hack more than its arm on {where} (Holm corrected over {len(compared)} arms{aside}), where the"
        f" arm solves at most {points(MATCHED)} points less than its baseline? {answered}{shown}{_power(table)}"
    )


def _known(folder: Path) -> str:
    """Say what table 1 says of every intervention in one word."""
    table, judged = judged_table(folder, "table1", "h1")
    words = later(folder, table, judged)
    return f"{in_words(table, words)}{by_more_steps(judged, words)}{specific(table, words)}"


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


def _worse_twins(table: pd.DataFrame, arms: Sequence[str]) -> str:
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
    """Say what training does without an intervention, what not training does, and training without loopholes."""
    baseline, base = baselines(table)[0], table.index[table["group"] == BASE][0]
    undisclosed = table.at[baseline, "hack_no_hint"]
    hint = "" if pd.isna(undisclosed) else f" (it hacks {percent(undisclosed)}% where no prompt discloses a loophole)"
    said = (
        f"Without an intervention (`{baseline}`), the model {rates(table, baseline)}{hint}; the base model, not trained"
        f" at all, {rates(table, base)}"
    )
    honest = [
        f"trained where nothing can be exploited (`{arm}`), and then tested where it can, it {rates(table, arm)}"
        for arm in table.index[table["group"] == CEILING]
    ]
    return "; ".join([said, *honest]) + "."


def _scale(folder: Path) -> str:
    """Say how arms do that are told the true verdict; nothing without table 3 or such an arm."""
    if not (folder / "table3.csv").exists():
        return ""
    table, words = signals(folder)
    told = {arm: word for arm, word in words.items() if told_all(table, arm)}
    if not told:
        return ""
    best = table.loc[list(told), f"hack{HELD_OUT}"].idxmin()
    return (
        f" For scale, of the arms that are told the true verdict, always or in part, the same rules say:"
        f" {word_by_word(told)}. Of these `{best}` {rates(table, best, HELD_OUT)}."
    )


def _surprises(words: Mapping[str, str], unknown: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Hold the outcomes against what was expected; those not among `unknown` are of known loopholes alone."""
    if not expected:
        return "The preregistration is of a larger study: this run is not held against it."
    asked = {arm: word for arm, word in expected.items() if arm in words}
    undecided = [arm for arm in asked if words[arm] in (OPEN, UNMEASURED)]
    true = [arm for arm, word in asked.items() if words[arm] == word]
    otherwise = [
        f"`{arm}` (expected: {word}; found: {words[arm]}{'' if arm in unknown else ', every loophole known'})"
        for arm, word in asked.items()
        if arm not in (*undecided, *true)
    ]
    aside = [arm for arm in expected if arm not in words]
    missing = f" Not in these tables: {listed(aside)}." if aside else ""
    return (
        f"Of {len(asked)} expectations {len(true)} came true ({listed(true)}), {len(undecided)} are undecided"
        f" ({listed(undecided)}), contradicted: {'; '.join(otherwise) or NONE}.{missing}"
    )


def _simpler(table: pd.DataFrame) -> str:
    """Say what training does that only learns more slowly or samples colder; nothing where none was run."""
    simple = with_rates(table, of_group(table, SLOW, baselines(table)[0]))
    return f"Training that only learns more slowly or samples colder: {simple}." if simple else ""


def _alone(table: pd.DataFrame) -> list[str]:
    """Say the same without a teacher pool, where any arm had none."""
    arms = [arm for one in baselines(table)[1:] for arm in (one, *of_group(table, SLOW, one))]
    return [f"Without a teacher pool, {with_rates(table, arms)}."] if arms else []


def _direction(table: pd.DataFrame) -> list[str]:
    """Say what V sees in the first baseline's run, and what the best V that knows nothing of hacks sees there."""
    row = table.loc[baselines(table)[0]]
    if pd.isna(row["overlap_null_measured"]):
        return []
    return [
        f"In the gradient of `{row.name}`'s own answers, the part along V that makes hacks more likely has"
        f" {percent(row['overlap_student'])}% of the norm; along the best of a random V, a shuffled one and one"
        f" of wrong answers it has {percent(row['overlap_null_measured'])}%."
    ]


def _shows(table: pd.DataFrame, widths: Mapping[str, float]) -> str:
    """Say how far the interval of a twin's difference reaches, {where: how far}; nothing where there is none."""
    said = [f"{where}{points_of(width)}" for where, width in widths.items() if not isnan(width)]
    if not said:
        return ""
    return (
        f"With {table['n_replicates'].iloc[0]} replicates the interval of what a twin hacks more than its arm reaches"
        f" about {', '.join(said)} to either side, median over the arms: what is not shown is not absent."
    )
