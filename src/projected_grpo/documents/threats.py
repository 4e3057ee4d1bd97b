"""docs/threats.md: every line of method 9 for every arm that is judged, from the pages among the copies alone."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import ABSENT, FAILS, HOLDS, OPEN, PRESENT, UNMEASURED, worst
from projected_grpo.documents.lines import Line, read_lines
from projected_grpo.documents.phrases import NONE, without_twin
from projected_grpo.documents.settings import Setting, settings
from projected_grpo.reporting.checks import CHECKS
from projected_grpo.reporting.format import NOTHING, grid, percent
from projected_grpo.reporting.threats import THREATS

TWIN, OTHERS, STOPS, FINDS, HIDES = "twin", "others", "stops", "flags", "hides"
COLUMNS = {  # by its head, the line: a key of reporting.threats.THREATS, or of MORE
    "its baseline": "baseline",
    "an early stop": "early",
    "slow, stopped": STOPS,
    "its twin": TWIN,
    "other controls": OTHERS,
    "matched slow training": "slow",
    "dominated": "dominated",
    "not training": "untrained",
    "teacher pool": "teacher",
    "attempts": "attempts",
    "unknown loophole": "held out",
    "slow training there": "held out slow",
    "more steps": "shrinks",
    "unseen": FINDS,
    "ever less seen": HIDES,
    "V and teacher": "teacher overlap",
    "quarantine": "action",
}
MORE = {
    STOPS: "solves no more than a slow control stopped early, at no more hacking (a clause of H1s)",
    TWIN: "hacks like its twin",
    OTHERS: "hacks like a control other than its twin",
    "dominated": "slow or cold training, its twin or an early stop hacks less and solves more",
    FINDS: "its signal flags exploits no more often than other live rollouts, on all loopholes; in brackets the share"
    " of the exploits that it finds, and in table 3 then that on the unknown loophole alone",
    HIDES: "its signal flags less of what its run attempts in the last third of the steps than in the first",
}
CONDITIONAL = {  # lines that are nothing to ask of an arm without a teacher pool, flags or a quarantine: it has none of
    "teacher": ("teacher",),
    FINDS: (FINDS, HIDES),
    HIDES: (FINDS, HIDES),
    "action": ("action",),
}
ELSEWHERE = {"table3.md": ("held out", "held out slow"), "checks.md": (FINDS, HIDES)}  # what a table's page may lack
OF_CHECK = {HOLDS: ABSENT, FAILS: PRESENT, OPEN: OPEN, UNMEASURED: UNMEASURED}
FOUND = re.compile(r"of the exploited flagged (\S+%)")  # as the line on FINDS has it
RECALL = "flag_recall/heldout"


def every_threat(folder: Path) -> str:
    """Return the section of docs/threats.md for the copies in `folder` (docs/run): in every setting, every arm with
    the answer to every line, the worst of several; then what is asked of V and the signals, and what a line asks."""
    said = []
    for one in settings(folder):
        lines = _of_setting(one, folder)
        arms = list(dict.fromkeys([*one.words, *(line.arm for line in lines if line.line == "baseline")]))
        answers = {arm: _answers(lines, one.table, arm) for arm in arms}
        free = ", ".join(f"`{arm}`" for arm in arms if PRESENT not in answers[arm].values())
        bare = ", ".join(f"`{arm}`" for arm in without_twin(one.table) if arm not in arms)
        aside = f" Not judged, for it has no twin: {bare}." if bare else ""
        page = f"{one.page.parent.name}/{one.page.name}"
        said += [
            f"## {one.where}",
            f"No line is {PRESENT} for {free or NONE}. [{one.page.name}]({page}) has the numbers that decide.{aside}",
            grid(["arm", *COLUMNS], [[f"`{arm}`", *_cells(lines, one.table, arm, answers[arm])] for arm in arms]),
        ]
    meaning = [f"- **{head}**: {MORE.get(line) or THREATS[line][0]}" for head, line in COLUMNS.items()]
    said += ["## V and the signals", "\n".join(_of_signals(folder)), "## The lines", "\n".join(meaning)]
    return "\n\n".join(said) + "\n"


def _of_setting(one: Setting, folder: Path) -> list[Line]:
    """Return the lines of a setting's own page; besides, those on unknown loopholes of table 3, on flags of checks.md,
    and on more steps."""
    lines = read_lines(one.page)
    there = {line.line for line in lines}
    for name, asked in ELSEWHERE.items():
        if (folder / name).exists():
            lines += [line for line in read_lines(folder / name) if line.line in asked and line.line not in there]
    if "shrinks" not in there and (folder / "horizon.json").exists():
        shrinks = json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["shrinks"]
        lines += [Line("shrinks", arm, NOTHING, answer) for arm, answer in shrinks.items()]
    return lines


def _answers(lines: Sequence[Line], table: pd.DataFrame, arm: str) -> dict[str, str]:
    """Return the answer to every line of COLUMNS for an arm."""
    own, twin = [line for line in lines if line.arm == arm], table["twin"].get(arm)
    found = {}
    for column in COLUMNS.values():
        if column == STOPS:
            answers = [OF_CHECK[answer] for answer in table.at[arm, "slow_stops"]]
        elif column in (TWIN, OTHERS):
            answers = [one.answer for one in own if one.line == "control" and (one.against == twin) == (column == TWIN)]
        else:
            answers = [OF_CHECK.get(one.answer, one.answer) for one in own if one.line == column]
        asked = {one.line for one in own} & {*CONDITIONAL.get(column, ())} or column not in CONDITIONAL
        found[column] = worst(answers) if asked else NOTHING
    return found


def _cells(lines: Sequence[Line], table: pd.DataFrame, arm: str, answers: Mapping[str, str]) -> list[str]:
    """Return the answers as a table shows them, with the share of the exploits that a signal finds."""
    shares = [one[1] for line in lines if (line.line, line.arm) == (FINDS, arm) and (one := FOUND.search(line.numbers))]
    unknown = table[RECALL].get(arm) if RECALL in table else None
    shares += [f"unknown {percent(unknown)}%"] if shares and pd.notna(unknown) else []
    finds = f" ({', '.join(shares)})" if shares else ""
    return [f"{answer}{finds if line == FINDS else ''}" for line, answer in answers.items()]


def _of_signals(folder: Path) -> list[str]:
    """Return what is asked of V and the signals themselves, where every loophole is known and where one is not."""
    pages = [folder / name for name in ("table1.md", "checks.md")]
    lines = [line for page in pages if page.exists() for line in read_lines(page)]
    asked = {
        "chance": f"{THREATS['chance'][0]}, in the baselines' own runs",
        "follows": CHECKS["follows"][0],
        "detects": CHECKS["detects"][0],
    }
    said = []
    for name, title in asked.items():
        by_answer = {}
        for line in (one for one in lines if one.line == name):
            of = re.sub(", (.*)", r" (\1)", line.arm)  # a signal, and on which modes
            by_answer.setdefault(line.answer, []).append(of)
        found = "; ".join(f"**{answer}** for {', '.join(arms)}" for answer, arms in by_answer.items())
        said.append(f"- {title}: {found or UNMEASURED}")
    constructed = [f"`{line.arm}`" for line in lines if line.line == "leak" and "not a result" in line.numbers]
    aside = f"- {CHECKS['leak'][0]}: by construction in {', '.join(constructed)}, and so not counted"
    return [*said, *([aside] if constructed else [])]
