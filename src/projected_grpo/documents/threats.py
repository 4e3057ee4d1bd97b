"""docs/threats.md: every line of method 9 for every arm that is judged, from the pages among the copies alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projected_grpo.analysis.judgement import ABSENT, FAILS, HOLDS, OPEN, PRESENT, UNMEASURED, worst
from projected_grpo.documents.phrases import NONE, without_twin
from projected_grpo.documents.settings import Setting, settings
from projected_grpo.reporting.checks import CHECKS
from projected_grpo.reporting.format import NOTHING, grid
from projected_grpo.reporting.threats import THREATS

TWIN, OTHERS, HIDES = "twin", "others", "hides"
COLUMNS = {  # by its head, the line: a key of reporting.threats.THREATS, or of MORE
    "its baseline": "baseline",
    "an early stop": "early",
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
    "its signal": HIDES,
    "V and teacher": "teacher overlap",
    "quarantine": "action",
}
MORE = {
    TWIN: "hacks like its twin",
    OTHERS: "hacks like a control other than its twin",
    "dominated": "slow or cold training, its twin or an early stop hacks less and solves more",
    HIDES: "its signal flags less of what its run attempts in the last third of the steps than in the first",
}
CONDITIONAL = ("teacher", HIDES, "action")  # asked only of arms with a teacher pool, with flags, with a quarantine
ELSEWHERE = ("held out", "held out slow", HIDES)  # lines that the page of a table may lack, and another has
LINES = {title: line for line, (title, _) in THREATS.items()}
OF_CHECK = {HOLDS: ABSENT, FAILS: PRESENT, OPEN: OPEN, UNMEASURED: UNMEASURED}


@dataclass(frozen=True)
class Line:
    """A line of a page: which, a value of COLUMNS or a key of THREATS; its arm, whom it is held against, the answer,
    and the numbers that decide, as the page has them."""

    line: str
    arm: str
    against: str
    answer: str
    numbers: str = ""


def every_threat(folder: Path) -> str:
    """Return the section of docs/threats.md for the copies in `folder` (docs/run): in every setting, every arm with
    the answer to every line, the worst of several."""
    said = []
    for one in settings(folder):
        lines = _of_setting(one, folder)
        arms = list(dict.fromkeys([*one.words, *(line.arm for line in lines if line.line == "baseline")]))
        answers = {arm: _answers(lines, arm, one.table["twin"].get(arm)) for arm in [*arms, *without_twin(one.table)]}
        free = ", ".join(f"`{arm}`" for arm in arms if PRESENT not in answers[arm])
        page = f"{one.page.parent.name}/{one.page.name}"
        said += [
            f"## {one.where}",
            f"No line is {PRESENT} for {free or NONE}. [{one.page.name}]({page}) has the numbers that decide.",
            grid(["arm", *COLUMNS], [[f"`{arm}`", *found] for arm, found in answers.items()]),
        ]
    chance = [f"**{one.answer}** in `{one.arm}`" for one in read_lines(folder / "table1.md") if one.line == "chance"]
    meaning = [f"- **{head}**: {MORE.get(line) or THREATS[line][0]}" for head, line in COLUMNS.items()]
    said += [
        "## V beside V of another kind",
        f"In a baseline's own run, {THREATS['chance'][0]}: {', '.join(chance) or UNMEASURED}.",
        "## The lines",
        "\n".join(meaning),
    ]
    return "\n\n".join(said) + "\n"


def _of_setting(one: Setting, folder: Path) -> list[Line]:
    """Return the lines of a setting's own page; besides, those on unknown loopholes of table 3, on flags of checks.md,
    and on more steps."""
    lines = read_lines(one.page)
    there = {line.line for line in lines}
    for name in ("table3.md", "checks.md"):
        if (folder / name).exists():
            lines += [line for line in read_lines(folder / name) if line.line not in there and line.line in ELSEWHERE]
    if "shrinks" not in there and (folder / "horizon.json").exists():
        shrinks = json.loads((folder / "horizon.json").read_text(encoding="utf-8"))["shrinks"]
        lines += [Line("shrinks", arm, NOTHING, answer) for arm, answer in shrinks.items()]
    return lines


def read_lines(page: Path) -> list[Line]:
    """Return the lines of a page of threats and of checks on flags."""
    lines = []
    for row in page.read_text(encoding="utf-8").splitlines():
        title, *cells = row.removeprefix("| ").split(" | ")
        if title in LINES and len(cells) == 4:
            arm, against, answer, numbers = cells
            lines.append(Line(LINES[title], arm, against, answer.strip("*"), numbers.removesuffix(" |")))
        elif title == CHECKS[HIDES][0]:
            arm, answer = cells[:2]
            lines.append(Line(HIDES, arm, NOTHING, OF_CHECK[answer.strip("*")]))
    return lines


def _answers(lines: Sequence[Line], arm: str, twin: str | None) -> list[str]:
    """Return the answer to every line of COLUMNS for an arm."""
    own = [line for line in lines if line.arm == arm]
    judged = any(line.line == "baseline" for line in own)
    found = []
    for column in COLUMNS.values():
        if column in (TWIN, OTHERS):
            answers = [one.answer for one in own if one.line == "control" and (one.against == twin) == (column == TWIN)]
        else:
            answers = [one.answer for one in own if one.line == column]
        found.append(NOTHING if judged and not answers and column in CONDITIONAL else worst(answers))
    return found
