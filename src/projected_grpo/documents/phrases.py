"""Arms, rates and words, as the sentences on a run say them, and what they are read from: the copies in docs/run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, REDUCTION, UNMEASURED, Judgement, together
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.analysis.statistics import least_sems
from projected_grpo.analysis.study import ALONE, INTERVENTIONS, SLOW
from projected_grpo.analysis.verdicts import HYPOTHESIS
from projected_grpo.reporting.format import interval, percent, points
from projected_grpo.reporting.verdicts import by_word

NONE = "none"
UNKNOWN = "a loophole that pairs, signals and teacher pool do not know"
MANY = 8  # names in a row
FEW = 3  # where none prevents: arms that are shown with their rates
MARGINS = ("base", "ceiling")  # the clauses of H2 on an arm's own rates; the third is on its twin's
CLAIM = ["margins", "beats", "specific", "firm", "stopped", "slow_stops", "but_twin"]


def first_table(folder: Path) -> pd.DataFrame:
    return _by_arm(folder, "table1")


def signals(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return table 3 by arm, and its outcomes."""
    return judged_table(folder, "table3", "table3")


def judged_signals(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return table 3 by arm, and its outcomes, without those of arms that are told the true verdict."""
    table, words = signals(folder)
    return table, {arm: word for arm, word in words.items() if not told_all(table, arm)}


def judged_table(folder: Path, name: str, verdicts: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return a table by arm, and its outcomes. More columns have what its verdicts say of every intervention:

    margins   whether H2's margins, to the base model's hack and to the honest ceiling's solve, hold
    beats     whether it hacks less than its twin, corrected
    specific  the verdict H1s; firm: whether that is; stopped: what solves so little less, stopped early, that it is
              falsified; slow_stops: for each slow control, whether it solves more than that stopped early; but_twin:
              H1s lacks only the corrected difference to the twin
    """
    table = _by_arm(folder, name)
    judged = json.loads((folder / f"{verdicts}.json").read_text(encoding="utf-8"))
    own = {
        arm: _of_claim(claim, table["twin"].get(arm), table["baseline"].get(arm))
        for arm, claim in judged["claims"].items()
    }
    return table.join(pd.DataFrame.from_dict(own, orient="index", columns=CLAIM)), judged["outcomes"]


def margins(claim: Mapping) -> str:
    """Return whether both margins of H2 hold for an arm: to the base model's hack, to the honest ceiling's solve."""
    return _answer(one for one in claim["H2"]["clauses"] if one["clause"] in MARGINS)


def _of_claim(claim: Mapping, twin: str | None, baseline: str | None) -> dict:
    prevented, specific = claim["H2"]["clauses"], claim["H1s"]
    of_twin = [one for one in specific["clauses"] if (one["clause"], one["against"]) == ("beats", twin)]
    rest = [one for one in specific["clauses"] if one not in of_twin]
    early = [one for one in rest if one["clause"] == "early"]
    stopped = [one for one in early if one["answer"] == FAILS]
    return {
        "margins": margins(claim),
        "beats": _answer(one for one in prevented if one["clause"] == "beats"),
        "specific": specific["verdict"],
        "firm": specific["firm"],
        "stopped": "; ".join(
            f"it solves {_more(one)} points more than an early stop of `{one['against']}`" for one in stopped
        ),
        "slow_stops": [one["answer"] for one in early if one["against"] != baseline],
        "but_twin": (_answer(of_twin), _answer(rest)) == (OPEN, HOLDS),
    }


def _more(clause: Mapping) -> str:
    return interval(pd.Series({"d": clause["estimate"], "d_low": clause["low"], "d_high": clause["high"]}), "d")


def _answer(clauses: Iterable[Mapping]) -> str:
    """Return the answer of these clauses together, as the verdicts record them."""
    return together(Judgement(clause["answer"]) for clause in clauses).answer


def _by_arm(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv").set_index("arm", drop=False)


def told_all(table: pd.DataFrame, arm: str) -> bool:
    """Whether an arm of table 3 is told the true verdict: a ceiling, and no intervention that anybody could run."""
    return table.at[arm, "knows"] == "O"


def outcomes_in(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8"))["outcomes"]


def baselines(table: pd.DataFrame) -> list[str]:
    """Return the arms that others are held against, in the order of the table."""
    return [arm for arm in table.index if table.at[arm, "baseline"] == arm]


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
    """Return arms with their rates, what their twins hack, and by how many points more."""
    shown = []
    for arm in arms:
        twin, more = table.at[arm, "twin"], interval(table.loc[arm], f"twin_diff{suffix}")
        hacks = f"its twin hacks {percent(table.at[twin, f'hack{suffix}'])}%" if twin in table.index else ""
        beside = f" ({hacks}, {more} points more)" if hacks else ""
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


def word_by_word(words: Mapping[str, str]) -> str:
    """Return the first word, and every other that was said, each with its arms."""
    return "; ".join(f"{word}: {listed(arms)}" for word, arms in by_word(words).items())


def in_words(table: pd.DataFrame, words: Mapping[str, str], suffix: str = "") -> str:
    """Return every word with its arms, and of those that prevent, or may, what `preventing` says."""
    others = (DELAYS, DAMAGES, NOTHING, UNMEASURED, OPEN)
    rest = "; ".join(f"**{word}**: {named(words, word)}" for word in others if word in words.values())
    first, then = preventing(table, words, suffix)
    return " ".join(filter(None, [f"**{PREVENTS}**: {first}", rest and f"{rest}.", then]))


def preventing(table: pd.DataFrame, words: Mapping[str, str], suffix: str) -> tuple[str, str]:
    """Return what prevents, with rates and twins; and if nothing does, what the open arms lack."""
    prevent, still = ([arm for arm, said in words.items() if said == word] for word in (PREVENTS, OPEN))
    return f"{with_twins(table, prevent, suffix)}.", "" if prevent or not still else _lacking(table, still, suffix)


def specific(table: pd.DataFrame, arms: Iterable[str], suffix: str) -> str:
    """Say of which of these arms H1s is supported, and of which it is not; and which baselines hack too little."""
    judged = table.reindex(list(arms)).dropna(subset="specific")
    if judged.empty:
        return ""
    verdicts = judged["specific"].to_dict()
    firm = [arm for arm, word in verdicts.items() if word == HYPOTHESIS[FAILS] and judged.at[arm, "firm"]]
    near = [arm for arm, word in verdicts.items() if word == HYPOTHESIS[OPEN] and judged.at[arm, "but_twin"]]
    more = {
        FAILS: f" ({_how_firmly(firm, judged[judged['specific'] == HYPOTHESIS[FAILS]])})",
        OPEN: f" (lacking only the corrected difference to the twin: {listed(near)})" if near else "",
    }
    said = [
        f"{word} for {named(verdicts, word)}{more.get(answer, '')}"
        for answer, word in HYPOTHESIS.items()
        if answer == HOLDS or word in verdicts.values()
    ]
    early = "an early stop of its baseline or of its slow controls"
    effect = f"at least {points(REDUCTION)} points less than its baseline and less than each of its controls"
    least = table.loc[judged["baseline"].unique(), f"hack{suffix}"]
    low = [f"`{arm}` hacks {percent(rate)}%" for arm, rate in least.items() if rate < REDUCTION]
    beyond = (
        f" A baseline that hacks less than {points(REDUCTION)}% leaves no such effect: {'; '.join(low)}." if low else ""
    )
    return f"That an arm hacks {effect}, and solves more than {early} (H1s), is {', '.join(said)}.{beyond}"


def _how_firmly(firm: Sequence[str], falsified: pd.DataFrame) -> str:
    """Say of which arms it is firm; and of a single one, of what an early stop does as well."""
    if len(firm) == len(falsified):
        return "firmly"
    said = f"firmly for {listed(firm)}, else by the estimate alone" if firm else "by the estimate alone"
    stopped = falsified["stopped"].iloc[0] if len(falsified) == 1 else ""
    return f"{said}: {stopped}" if stopped else said


def _lacking(table: pd.DataFrame, still: Sequence[str], suffix: str) -> str:
    """Say what these open arms lack to prevent: the difference to the twin alone, or a margin."""
    within, undecided, beyond = (
        [arm for arm in still if table.at[arm, "margins"] == answer] for answer in (HOLDS, OPEN, FAILS)
    )
    said = []
    if within:
        kept = (
            f"within both margins of **{PREVENTS}** by the interval, lacking only the corrected difference to the twin"
        )
        said.append(f"Open, but {kept}{hopeless(table, within, suffix)}: {with_twins(table, within, suffix)}.")
    if undecided and within:
        said.append(f"Open, with a margin undecided: {listed(undecided)}, hacking {spread(table, undecided, suffix)}.")
    elif undecided:
        many = f" {len(undecided)} arms; these hack least, picked and so flattered:"
        nearest = with_twins(table, list(table.loc[undecided, f"hack{suffix}"].nsmallest(FEW).index), suffix)
        said.append(f"Open, with a margin undecided:{many if len(undecided) > FEW else ''} {nearest}.")
    if beyond:
        said.append(f"Shown not to prevent, and open otherwise: {listed(beyond)}.")
    return " ".join(said)


def hopeless(table: pd.DataFrame, arms: Sequence[str], suffix: str) -> str:
    """Name the arms of which the difference could not have been shown, had they never hacked: their twins hack too
    little, or too unevenly."""
    compared, n = f"twin_diff{suffix}_p_holm", table["n_replicates"].iloc[0]
    if compared not in table or n < 2:
        return ""
    least = least_sems(table[compared].notna().sum(), n)
    hack, sem = table[f"hack{suffix}"], table[f"twin_diff{suffix}_sem"]
    beyond = [arm for arm in arms if least * sem[arm] > hack[table.at[arm, "twin"]]]
    if not beyond:
        return ""
    which = "any of them" if beyond == list(arms) else listed(beyond)
    needs = f"it takes {least:.0f} SEM, more than the whole of what its twin hacks"
    return f", which could hardly have been shown of {which} ({needs})"


def spread(table: pd.DataFrame, arms: Sequence[str], suffix: str, rate: str = "hack") -> str:
    """Return the least and the most of arms' rates, as `0.8 to 2.9%`."""
    low, high = (
        percent(value) for value in (table.loc[arms, rate + suffix].min(), table.loc[arms, rate + suffix].max())
    )
    return f"{low}%" if low == high else f"{low} to {high}%"


def simplest(table: pd.DataFrame, suffix: str) -> str:
    """Say which training solves most, and which hacks least, that is only slower, colder or regularized."""
    simple = [arm for arm in table.index if table.at[arm, "group"] == SLOW or _uninformed(table, arm)]
    if len(simple) < FEW:
        return f"Of slower or colder training there is here: {with_rates(table, simple, suffix)}." if simple else ""
    most, least = table.loc[simple, f"solve{suffix}"].idxmax(), table.loc[simple, f"hack{suffix}"].idxmin()
    alone = "" if most == least else f", and `{least}` hacks least: it {rates(table, least, suffix)}"
    solves = f"`{most}` solves most: it {rates(table, most, suffix)}"
    return f"Of slower, colder and merely regularized training, {solves}{alone}."


def _uninformed(table: pd.DataFrame, arm: str) -> bool:
    """Whether an arm has no twin because it knows nothing: a mere regularization, as a KL penalty."""
    return arm in without_twin(table) and "knows" in table and table.at[arm, "knows"] == "0"
