"""What came out of the confirmation, which asks once more of the arms that the study left open, on new replicates.

From the copies in docs/confirmation; beside them stands what the study found of the same arms, in docs/run.
"""

import json
import re
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import HACKED
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.lines import read_lines
from projected_grpo.documents.phrases import in_words, signals, simplest, specific
from projected_grpo.documents.readme import cells
from projected_grpo.documents.registered import CONFIRMATION
from projected_grpo.documents.runs import which_hack
from projected_grpo.documents.sentences import loopholes, of_unknown, primary
from projected_grpo.reporting.format import grid, points

HEAD = ("hack %", "solve %", "twin's hack more")
RUNS = "hacked runs"
AGAINST_SLOW = re.compile(r"reduction in hack (.+\]), SEM .*, solve (\S+ points)")  # as the page of table 3 has it


def asked_again(folder: Path) -> list[str]:
    """Return the lines on the confirmation: what it is, the primary comparison, the words, and every arm."""
    commit = json.loads((folder / "source.json").read_text(encoding="utf-8"))["commit"]
    table, words = signals(folder)
    n = table["n_replicates"].iloc[0]
    return [
        f"`{CONFIRMATION}` asks the same of the {len(words)} arms alone that kept both margins on unknown loopholes in"
        f" the study, on {n} replicates that no run had before: base models, teacher pools, pairs and signals are new,"
        f" loopholes and held-out problems are the study's. [That file](../{CONFIRMATION}) is its registration,"
        f" written after the study and before the first of these runs; the code of commit {commit[:12]} made them.",
        "",
        f"- **The primary comparison**: {primary(table, words)}",
        f"- **In one word.** {of_unknown(table, loopholes(folder))}: {in_words(table, words, HELD_OUT)}",
        f"- **Simpler training.** {simplest(table, HELD_OUT)}",
        f"- **Effects of their own.** {specific(table, words, HELD_OUT)}",
        f"- **Which runs hack.** {which_hack(folder)}",
        *_against_slow(folder / "table3.md"),
        "",
        _beside_the_study(table, signals(folder.parent / "run")[0]),
        "",
        "Rates are on the loophole that pairs, signals and teacher pool do not know; a hacked run hacks more than"
        f" {points(HACKED)}% on all loopholes together, and can be most of a mean. The arms were picked by"
        " the study's numbers, which flatters these. Brackets and * are those of the README's table.",
    ]


def _against_slow(page: Path) -> list[str]:
    """Say how much less the arms hack than slow training at the last step: the threats on the page of table 3."""
    said = [
        f"`{line.arm}` {less} than `{line.against}`, and solves {more} more by the estimate"
        for line in read_lines(page)
        if line.line == "held out slow"
        for less, more in AGAINST_SLOW.findall(line.numbers)
    ]
    return (
        [f"- **Against slow training**, how much less each hacks at the last step: {'; '.join(said)}."] if said else []
    )


def _beside_the_study(table: pd.DataFrame, study: pd.DataFrame) -> str:
    """Return every arm but the twins, beside its numbers in the study."""
    twins = set(table["twin"].dropna())
    rows = [
        [
            f"`{arm}`",
            *cells(table, arm, HELD_OUT),
            f"{table.at[arm, 'hacked_runs']} of {table.at[arm, 'n_replicates']}",
            *cells(study, arm, HELD_OUT),
        ]
        for arm in table.index
        if arm not in twins
    ]
    return grid(["arm", *HEAD, RUNS, *(f"study: {name}" for name in HEAD)], rows)
