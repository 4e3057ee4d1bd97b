"""The lines of threats and of checks, read from the pages among the copies, in the order of a page."""

from dataclasses import dataclass
from pathlib import Path

from projected_grpo.reporting.checks import CHECKS
from projected_grpo.reporting.format import NOTHING
from projected_grpo.reporting.threats import THREATS

READ = ("flags", "hides", "follows", "detects", "leak")  # of the checks, of which one is called as a threat is
THREAT_LINES = {title: line for line, (title, _) in THREATS.items()}
CHECK_LINES = {CHECKS[line][0]: line for line in READ}


@dataclass(frozen=True)
class Line:
    """A line of a page: which, a key of THREATS or one of READ; its arm, whom it is held against, the answer, and the
    numbers that decide, as the page has them."""

    line: str
    arm: str
    against: str
    answer: str
    numbers: str = ""


def read_lines(page: Path) -> list[Line]:
    """Return the lines of a page of threats and of checks."""
    lines = []
    for row in page.read_text(encoding="utf-8").splitlines():
        title, *cells = row.removeprefix("| ").removesuffix(" |").split(" | ")
        if title in THREAT_LINES and len(cells) == 4:
            arm, against, answer, numbers = cells
            lines.append(Line(THREAT_LINES[title], arm, against, answer.strip("*"), numbers))
        elif title in CHECK_LINES and len(cells) == 3:
            arm, answer, numbers = cells
            lines.append(Line(CHECK_LINES[title], arm, NOTHING, answer.strip("*"), numbers))
    return lines
