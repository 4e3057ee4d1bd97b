"""What came out of a whole run, in a few sentences, from the copies in docs/run alone.

What a table does not hold is not said.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, PRESENT, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS, WORDS
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.reporting.format import interval, percent, points_of

NONE = "none"
FEW, MANY = 3, 8  # arms that are shown with their rates where none prevents; names in a row
UNSEEN = "unseen.json"  # what unseen.py returns, among the copies
KNOWN = "Where pairs, signals and teacher pool know every loophole"
PRIMARY = "Whether an arm's twin hacks more than the arm on that loophole (Holm-corrected), at matched solve"
# how the conclusions begin on what has none of the words before
REST = {
    OPEN: "",
    NOTHING: "no effect of its own is shown of ",
    UNMEASURED: "nothing could be measured of ",
}


def sentences(folder: Path, table: pd.DataFrame, outcomes: Mapping[str, str]) -> list[str]:
    """Return what came out: without intervention, of the interventions where every loophole is known and where one is
    not, with more steps, of simpler controls, without a teacher pool, and how much the table can show."""
    words = _with_delays(folder, table, outcomes)
    found = [_without_intervention(table), f"{KNOWN}: {_in_words(table, words)}"]
    if (folder / "table3.csv").exists():
        unknown, judged = signals(folder)
        said = _in_words(unknown, _with_delays(folder, unknown, judged, HELD_OUT), HELD_OUT)
        found.append(f"{_of_unknown(unknown)}: {said} {PRIMARY}: it {_answered(_primary(unknown, judged))}.")
    if (folder / "horizon.csv").exists():
        found.append(_more_steps(folder))
    return [*found, " ".join([_simpler(table), *_alone(table, outcomes)]), *_direction(table), _width(table)]


def conclusions(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Return the sentences on a study: the primary comparison, and one each for what prevents, only slows, only
    damages, is open or adds nothing, and was not `expected`; on unknown loopholes where table 3 is there."""
    known, of_known = first_table(folder), _outcomes(folder / "h1.json")
    table, words, suffix, where, first = known, of_known, "", KNOWN, []
    if (folder / "table3.csv").exists():
        (table, words), suffix = signals(folder), HELD_OUT
        answers = _answered(_primary(table, words))
        first = [f"**The primary comparison.** {PRIMARY}: it {answers}.", *_unseen(folder, words)]
        where = _of_unknown(table)
    words = _with_delays(folder, table, words, suffix)
    told = {word: [arm for arm, said in words.items() if said == word] for word in (PREVENTS, DELAYS, DAMAGES)}
    rest = [f"{start}{_named(words, word)}" for word, start in REST.items() if word in words.values()]
    against = "; ".join(f"`{arm}` {_rates(table, arm, suffix)}" for arm in baselines(table))
    return [
        *first,
        f"**What prevents.** {where} ({against}): {_preventing(table, words, suffix)}.",
        f"**What only slows.** {_with_twins(table, told[DELAYS], suffix)}.{_shrinking(folder, words)}",
        f"**What only damages.** {_with_twins(table, told[DAMAGES], suffix)}.",
        f"**What remains open.** {'; '.join(rest) or NONE}. {_width(table, suffix)}",
        f"**What surprised.** {_surprises(_with_delays(folder, known, of_known) | words, words, expected)}",
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


def _primary(table: pd.DataFrame, of: Iterable[str]) -> dict[str, str]:
    """Return the answers to the primary comparison of those among `of` that have one."""
    return table.loc[list(of), "primary"].dropna().to_dict()


def _answered(answers: Mapping[str, str]) -> str:
    """Say of which arms the primary comparison holds, and of which it fails."""
    said = [f"{answer} for {_named(answers, answer)}" for answer in (HOLDS, FAILS, OPEN)]
    return f"{', '.join(said[:-1])}, and is {said[-1]}"


def _unseen(folder: Path, of: Iterable[str]) -> list[str]:
    """Say the same of `of` on those replicates alone that nobody had seen before; nothing where a run had none."""
    if not (folder / UNSEEN).exists():
        return []
    made = json.loads((folder / UNSEEN).read_text(encoding="utf-8"))
    answers, words = ({arm: made[name].get(arm) for arm in of} for name in ("primary", "outcomes"))
    said = [f"{word}: {_named(words, word)}" for word in WORDS if word in words.values()]
    alone = f"On replicates {', '.join(map(str, made['replicates']))} alone"
    return [f"**What nobody had seen.** {alone} that comparison {_answered(answers)}; in one word, {'; '.join(said)}."]


def _without_intervention(table: pd.DataFrame) -> str:
    """Say what training does without an intervention, what not training does, and training without loopholes."""
    baseline, base = baselines(table)[0], table.index[table["group"] == BASE][0]
    said = (
        f"Without an intervention (`{baseline}`), the model {_rates(table, baseline)}; the base model, not trained at"
        f" all, {_rates(table, base)}"
    )
    honest = [
        f"trained where nothing can be exploited (`{arm}`), and then tested where it can, it {_rates(table, arm)}"
        for arm in table.index[table["group"] == CEILING]
    ]
    return "; ".join([said, *honest]) + "."


def _in_words(table: pd.DataFrame, words: Mapping[str, str], suffix: str = "") -> str:
    """Return every word with its arms, those that prevent with their rates and their twin's; if none does, the open one
    that hacks least."""
    others = (DELAYS, DAMAGES, NOTHING, OPEN, UNMEASURED)
    rest = [f"**{word}**: {_named(words, word)}" for word in others if word in words.values()]
    return "; ".join([f"**{PREVENTS}**: {_preventing(table, words, suffix)}", *rest]) + "."


def _preventing(table: pd.DataFrame, words: Mapping[str, str], suffix: str) -> str:
    """Return what prevents, with rates; if nothing does, the few open arms that hack least."""
    still = [arm for arm, word in words.items() if word == OPEN]
    if PREVENTS in words.values() or not still:
        return _with_twins(table, [arm for arm, word in words.items() if word == PREVENTS], suffix)
    nearest = list(table.loc[still, f"hack{suffix}"].nsmallest(FEW).index)
    return f"{NONE}; of what is open these hack least: {_with_twins(table, nearest, suffix)}"


def _with_twins(table: pd.DataFrame, arms: Sequence[str], suffix: str) -> str:
    """Return arms with their rates, their twins', and by how much the twins hack more, in points."""
    shown = []
    for arm in arms:
        twin, more = table.at[arm, "twin"], interval(table.loc[arm], f"twin_diff{suffix}")
        beside = f", its twin {_rates(table, twin, suffix)} (hack {more})" if twin in table.index else ""
        shown.append(f"`{arm}` {_rates(table, arm, suffix)}{beside}")
    return "; ".join(shown) or NONE


def _named(words: Mapping[str, str], word: str) -> str:
    return _listed([arm for arm, said in words.items() if said == word])


def _more_steps(folder: Path) -> str:
    """Say what hacks how much after more steps, and whose effect shrank by then."""
    table = pd.read_csv(folder / "horizon.csv").set_index("arm", drop=False)
    outcomes = _outcomes(folder / "horizon.json")
    ending = _shrinking(folder, first_table(folder).index)
    return (
        f"After {table['last_step'].max()} steps ({table['n_replicates'].iloc[0]} replicates) `{baselines(table)[0]}`"
        f" {_rates(table, baselines(table)[0])}: {_in_words(table, outcomes)}{ending}"
    )


def _shrinks(folder: Path) -> list[str]:
    """Return the arms whose effect is shown to be smaller after more steps."""
    answers = json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["shrinks"]
    return [arm for arm, answer in answers.items() if answer == PRESENT]


def _shrinking(folder: Path, of: Iterable[str]) -> str:
    """Name those among `of`; nothing where more steps were not run."""
    if not (folder / "horizon.json").exists():
        return ""
    return f" The effect shrinks with more steps in {_listed([arm for arm in _shrinks(folder) if arm in of])}."


def _with_delays(folder: Path, table: pd.DataFrame, words: Mapping[str, str], suffix: str = "") -> dict[str, str]:
    """Return the words with those of open arms that more steps show to delay: they hack less than their baseline, by
    the interval, and the effect shrinks."""
    shrinking = _shrinks(folder) if (folder / "horizon.json").exists() else []
    fading = [arm for arm in words if arm in shrinking and table.at[arm, f"hack_diff{suffix}_high"] < 0]
    return {arm: DELAYS if word == OPEN and arm in fading else word for arm, word in words.items()}


def _surprises(words: Mapping[str, str], unknown: Iterable[str], expected: Mapping[str, str]) -> str:
    """Hold the outcomes against what was expected; those not among `unknown` are of known loopholes alone."""
    if not expected:
        return "Nothing was registered for this run."
    asked = {arm: word for arm, word in expected.items() if arm in words}
    otherwise = [
        f"`{arm}` (expected: {word}; found: {words[arm]}{'' if arm in unknown else ', every loophole known'})"
        for arm, word in asked.items()
        if words[arm] != word
    ]
    aside = [arm for arm in expected if arm not in words]
    missing = f" Not in these tables: {_listed(aside)}." if aside else ""
    return (
        f"Of {len(asked)} expectations {len(asked) - len(otherwise)} came true; otherwise:"
        f" {'; '.join(otherwise) or NONE}.{missing}"
    )


def _simpler(table: pd.DataFrame) -> str:
    simple = "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in _of_group(table, SLOW, baselines(table)[0]))
    return f"Training that only learns more slowly or samples colder: {simple}."


def _alone(table: pd.DataFrame, interventions: Iterable[str]) -> list[str]:
    """Say what came out without a teacher pool, where any arm had none."""
    arms = beside_baselines(table, interventions, baselines(table)[1:])
    if not arms:
        return []
    return ["Without a teacher pool, " + "; ".join(f"`{arm}` {_rates(table, arm)}" for arm in arms) + "."]


def _direction(table: pd.DataFrame) -> list[str]:
    """Say what V sees in the first baseline's run, and what the best V that knows nothing of hacks sees there."""
    row = table.loc[baselines(table)[0]]
    if pd.isna(row["overlap_null_measured"]):
        return []
    return [
        f"The hack-ward part along V has {percent(row['overlap_student'])}% of the norm of `{row.name}`'s live"
        " gradient; that along the best V without information on hacks (random, shuffled, of wrong answers) has"
        f" {percent(row['overlap_null_measured'])}%."
    ]


def _width(table: pd.DataFrame, suffix: str = "") -> str:
    n, width = table["n_replicates"].iloc[0], points_of(smallest_effect(table, suffix))
    return (
        f"With {n} replicates the interval of a difference in hack reaches about {width} to either side, median"
        " over the arms: open means undecided, not absent."
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
    """Return arms as words: `nothing`, `a`, `a and b`, `a, b and c`; their number where they are many."""
    names = [f"`{arm}`" for arm in arms]
    if len(names) > MANY:
        return f"{len(names)} arms"
    if len(names) < 2:
        return names[0] if names else nothing
    return f"{', '.join(names[:-1])} and {names[-1]}"
