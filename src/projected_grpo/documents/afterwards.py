"""What more steps, and training on without an intervention, say of a run's arms, from the copies in docs/run."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import ABSENT, FAILS, HOLDS, OPEN, PRESENT, UNMEASURED
from projected_grpo.analysis.outcomes import DELAYS, PREVENTS
from projected_grpo.analysis.study import CEILING, SLOW
from projected_grpo.documents.lines import read_lines
from projected_grpo.documents.phrases import (
    NONE,
    baselines,
    first_table,
    in_words,
    judged_table,
    listed,
    named,
    outcomes_in,
    with_rates,
)
from projected_grpo.reporting.format import percent

QUALITY = ("recall", "false_positives")
UNKNOWN_MODES = ", held out modes"  # after the name of a signal, in the checks on detectors
SHRINKING = {PRESENT: "shrinks in", ABSENT: "does not shrink in", OPEN: "is open in", UNMEASURED: "was not measured in"}


def later(folder: Path, table: pd.DataFrame, judged: Mapping[str, str], suffix: str = "") -> dict[str, str]:
    """Return the words with those of open arms that more steps show to delay: they hack less than their baseline, by
    the interval, and the effect shrinks."""
    shrinks = _shrinks_by_any_name(folder) if (folder / "horizon.json").exists() else {}
    fading = [arm for arm in judged if shrinks.get(arm) == PRESENT and table.at[arm, f"hack_diff{suffix}_high"] < 0]
    return {arm: DELAYS if word == OPEN and arm in fading else word for arm, word in judged.items()}


def by_more_steps(judged: Mapping[str, str], words: Mapping[str, str]) -> str:
    """Name the arms whose word is another than in their table."""
    changed = [arm for arm, word in words.items() if judged[arm] != word]
    return f" In the table itself {listed(changed)} is open: more steps show the delay." if changed else ""


def more_steps(folder: Path) -> str:
    """Say what hacks how much after more steps, and whose effect shrank by then."""
    table, outcomes = judged_table(folder, "horizon", "horizon")
    words = in_words(table, outcomes)
    rest = with_rates(table, [arm for arm, word in outcomes.items() if word != PREVENTS])
    slow = with_rates(table, table.index[table["group"] == SLOW])
    return (
        f"After {table['last_step'].max()} steps, every loophole known ({table['n_replicates'].iloc[0]} replicates),"
        f" {with_rates(table, baselines(table))}. By these steps alone: {words}"
        f"{f' Of what is not shown to prevent, {rest}.' if rest else ''}"
        f"{f' Only slower or colder, {slow}.' if slow else ''}"
        f"{_shrinking(folder)}"
    )


def _shrinks(folder: Path) -> dict[str, str]:
    """Return whether the effect of an arm is smaller after more steps, by its name with fewer."""
    return json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["shrinks"]


def _shrinks_by_any_name(folder: Path) -> dict[str, str]:
    """Return the same by an arm's name with fewer steps and by that with more."""
    shorter = json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["provenance"]["config"]["shorter"]
    shrinks = _shrinks(folder)
    return shrinks | {arm: shrinks[early] for arm, early in shorter.items() if early in shrinks}


def _shrinking(folder: Path) -> str:
    """Say in which interventions the effect shrinks, and in which controls it does too."""
    of = outcomes_in(folder / "h1.json").keys()
    if (folder / "table3.json").exists():
        of |= outcomes_in(folder / "table3.json").keys()
    own, others = (
        {arm: word for arm, word in _shrinks(folder).items() if (arm in of) == mine} for mine in (True, False)
    )
    said = ", ".join(f"{words} {named(own, word)}" for word, words in SHRINKING.items() if word in own.values())
    too = f"; of controls it shrinks in {named(others, PRESENT)}" if PRESENT in others.values() else ""
    return f" With more steps the effect {said}{too}." if said else ""


def relearning(folder: Path) -> str:
    """Say how soon hacking is back where training goes on from deployed models without an intervention."""
    table = pd.read_csv(folder / "relearning.csv")
    first = table["start"].isna()
    row = table[first].iloc[0]
    then = "; ".join(f"`{row['start']}` {_later(row)}" for _, row in table[~first].iterrows())
    return (
        f"Trained on without an intervention ({row['n_replicates']} replicates), the base model comes to half of what"
        f" it hacks in the end after {_back(row)} steps. Deployed models come to as much so many steps later: {then}."
        f"{later_than_honest(folder)}"
    )


def later_than_honest(folder: Path) -> str:
    """Say which deployed models relearn hacking later than the honest ceiling's; nothing where it was not tried."""
    path = folder / "relearning.csv"
    ends = pd.read_csv(path).dropna(subset="start").set_index("start")["later"] if path.exists() else pd.Series()
    groups = first_table(folder)["group"]
    return "".join(
        f" Later than `{arm}`, by the estimate, {listed(ends.index[ends > ends[arm]])} of {len(ends) - 1} deployed"
        " models comes to hack again."
        for arm in groups.index[groups == CEILING].intersection(ends.index)
    )


def _back(row: pd.Series) -> str:
    """Return after how many steps hacking is back: at least the run's, where it never is."""
    return f"{'at least ' if row['never_back'] else ''}{row['back']:.0f}"


def _later(row: pd.Series) -> str:
    ends = f" [{row['later_low']:+.0f}, {row['later_high']:+.0f}]" if pd.notna(row["later_low"]) else ""
    never = f" (never in {row['never_back']} of {row['n_replicates']} runs)" if row["never_back"] else ""
    return f"{'at least ' if row['never_back'] else ''}{row['later']:+.0f}{ends}{never}"


def detecting(folder: Path) -> str:
    """Say what signals find on the modes that they do not know, and whether they stay calibrated."""
    table = pd.read_csv(folder / "detectors.csv")
    there = table[(table["modes"] == "held out") & table["recall_first"].notna()]
    said = "; ".join(f"`{row['detector']}` {_finding(row)}" for _, row in there.iterrows())
    return (
        "On a loophole that they do not know, in the first and in the last third of training without an intervention,"
        " at the threshold that was fixed before (AUC: against correct answers, and against wrong but honest ones):"
        f" {said or NONE}. The best control's AUC is"
        f" {table['control_auc_correct'].max():.2f} and {table['control_auc_wrong'].max():.2f}.{_above(folder)}"
    )


def _above(folder: Path) -> str:
    """Say of which signals both are above the best control's by the interval, as checks.md has it."""
    answers = _detecting_better(folder)
    words = {HOLDS: "holds for", FAILS: "fails for", OPEN: "is open for"}
    said = [f"{start} {named(answers, answer)}" for answer, start in words.items() if answer in answers.values()]
    return f" That both are above that, by the interval, {', '.join(said)} (checks.md; `hack` is V)." if said else ""


def better_detectors(folder: Path) -> str:
    """Say of which signals it is shown that they detect hacks on an unknown loophole better than the best control."""
    answers = _detecting_better(folder)
    if not answers:
        return ""
    return (
        " To tell hacks on an unknown loophole both from correct and from wrong but honest answers better than the best"
        f" control does is shown of {named(answers, HOLDS)} of {len(answers)} signals (AUC)."
    )


def _detecting_better(folder: Path) -> dict[str, str]:
    page = folder / "checks.md"
    lines = read_lines(page) if page.exists() else []
    return {
        line.arm.removesuffix(UNKNOWN_MODES): line.answer
        for line in lines
        if line.line == "detects" and line.arm.endswith(UNKNOWN_MODES)
    }


def _finding(row: pd.Series) -> str:
    recall, wrong = (f"{percent(row[f'{name}_first'])}% and then {percent(row[f'{name}_last'])}%" for name in QUALITY)
    auc = f"AUC {row['auc_correct']:.2f} and {row['auc_wrong']:.2f}"
    return f"finds {recall} of the hacks and flags {wrong} of the rest ({auc})"
