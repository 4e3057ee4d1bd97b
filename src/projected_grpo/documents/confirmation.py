"""What came out of the confirmation, which asks once more of the arms that the study left open, on new replicates.

From the copies in docs/confirmation; beside them stands what the study found of the same arms, in docs/run.
"""

import json
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.phrases import in_words, signals, simplest, specific
from projected_grpo.documents.readme import cells
from projected_grpo.documents.registered import CONFIRMATION
from projected_grpo.documents.sentences import loopholes, of_unknown, primary
from projected_grpo.reporting.format import grid

HEAD = ("hack %", "solve %", "twin's hack more")


def asked_again(folder: Path) -> list[str]:
    """Return the lines on the confirmation: what it is, the primary comparison, the words, and every arm."""
    commit = json.loads((folder / "source.json").read_text(encoding="utf-8"))["commit"]
    table, words = signals(folder)
    return [
        f"`{CONFIRMATION}` asks the same of the {len(words)} arms alone that kept both margins on unknown loopholes in"
        f" the study, on {table['n_replicates'].iloc[0]} replicates that no run had before. It was run at commit"
        f" {commit[:12]}, after the commit of [that file](../{CONFIRMATION}), which registered it.",
        "",
        f"- **The primary comparison**: {primary(table, words)}",
        f"- **In one word.** {of_unknown(table, loopholes(folder))}: {in_words(table, words, HELD_OUT)}",
        f"- **Simpler training.** {simplest(table, HELD_OUT)}",
        f"- **Effects of their own.** {specific(table, words)}",
        "",
        _beside_the_study(table, signals(folder.parent / "run")[0]),
        "",
        "All columns are of the loophole that pairs, signals and teacher pool do not know. The arms were picked by the"
        " study's numbers, which flatters these. Brackets and * are those of the README's table.",
    ]


def _beside_the_study(table: pd.DataFrame, study: pd.DataFrame) -> str:
    """Return every arm but the twins, beside its numbers in the study."""
    twins = set(table["twin"].dropna())
    rows = [
        [f"`{arm}`", *cells(table, arm, HELD_OUT), *cells(study, arm, HELD_OUT)]
        for arm in table.index
        if arm not in twins
    ]
    return grid(["arm", *HEAD, *(f"study: {name}" for name in HEAD)], rows)
