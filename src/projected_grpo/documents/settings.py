"""Where interventions are judged, from the copies in docs/run; where that is the registered study, from those of its
confirmation too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.afterwards import by_more_steps, later
from projected_grpo.documents.expected import is_registered
from projected_grpo.documents.phrases import judged_signals, judged_table

AGAIN = "confirmation"  # in docs/, beside the copies of the study


@dataclass(frozen=True)
class Setting:
    """One place where interventions are judged.

    where    its name, at the head of a sentence
    page     the page of the table, among its copies
    table    a row per arm, with the columns of phrases.judged_table
    words    {intervention: its word}, without what is told the true verdict
    suffix   of the columns that count here
    by_steps what more steps say of the words
    """

    where: str
    page: Path
    table: pd.DataFrame
    words: Mapping[str, str]
    suffix: str = ""
    by_steps: str = ""

    def said(self, word: str) -> list[str]:
        """Return the arms of which a word is said."""
        return [arm for arm, said in self.words.items() if said == word]


def settings(folder: Path) -> list[Setting]:
    """Return where interventions were judged, what is asked first in front."""
    found = of_study(folder)
    if has_confirmation(folder):
        first, *rest = found
        again = folder.parent / AGAIN
        confirmed = Setting(f"{first.where} (the confirmation)", again / "table3.md", *judged_signals(again), HELD_OUT)
        found = [confirmed, replace(first, where=f"{first.where} (the study)"), *rest]
    if (folder / "horizon.csv").exists():
        table, judged = judged_table(folder, "horizon", "horizon")
        n = table["n_replicates"].iloc[0]
        where = f"After {table['last_step'].max()} steps, every loophole known ({n} replicates)"
        found.append(_by_steps(where, folder / "horizon.md", table, judged))
    return found


def of_study(folder: Path) -> list[Setting]:
    """Return table 3, where it is there, and table 1, each by the word that more steps leave."""
    found = [_by_steps("With every loophole known", folder / "table1.md", *judged_table(folder, "table1", "h1"))]
    if (folder / "table3.csv").exists():
        unknown = _by_steps("On an unknown loophole", folder / "table3.md", *judged_signals(folder), HELD_OUT)
        found.insert(0, unknown)
    return found


def has_confirmation(folder: Path) -> bool:
    """Whether the copies are of the registered study, and its confirmation stands beside them."""
    return is_registered(folder) and (folder.parent / AGAIN).exists()


def _by_steps(where: str, page: Path, table: pd.DataFrame, judged: Mapping[str, str], suffix: str = "") -> Setting:
    words = later(page.parent, table, judged, suffix)
    return Setting(where, page, table, words, suffix, by_more_steps(judged, words))
