"""What came out as the preregistration expected, and what did not."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from projected_grpo.analysis.judgement import OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS
from projected_grpo.documents.phrases import NONE, listed
from projected_grpo.documents.registered import PAGE


def is_registered(folder: Path) -> bool:
    """Whether the run behind the copies is the preregistered study."""
    return "commit" in json.loads((folder / "source.json").read_text(encoding="utf-8"))


def expectations(page: str) -> dict[str, str]:
    """Return {arm: the word that was expected of it} of the table in docs/preregistration.md."""
    return dict(
        re.findall(rf"^\| `(\w+)` \| ({'|'.join((PREVENTS, DELAYS, DAMAGES, NOTHING))}) \|$", page, re.MULTILINE)
    )


def preregistered(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return what the preregistration among the copies expected of arms, and of which of them table 1 had been seen on
    other replicates; nothing was expected of another run."""
    if not is_registered(folder):
        return {}, []
    page = (folder / Path(PAGE).name).read_text(encoding="utf-8")
    before = re.search(r"; of ((?:`\w+`(?:, | and )?)+) table 1", page)
    return expectations(page), re.findall(r"`(\w+)`", before[1]) if before else []


def surprises(study: Sequence[Mapping[str, str]], expected: Mapping[str, str], seen: Sequence[str]) -> str:
    """Hold the words of a study against what was expected: on unknown loopholes, which come first where they were
    asked, and of what is not asked there, on known ones."""
    if not expected:
        return "The preregistration is of a larger study: this run is not held against it."
    first, *others = study
    words = {arm: word for one in reversed(study) for arm, word in one.items()}
    asked = {arm: word for arm, word in expected.items() if arm in words}
    undecided = [arm for arm in asked if words[arm] in (OPEN, UNMEASURED)]
    true = [arm for arm, word in asked.items() if words[arm] == word]
    otherwise = [
        f"`{arm}` (expected: {word}; found: {words[arm]}"
        f"{', every loophole known' if others and arm not in first else ''})"
        for arm, word in asked.items()
        if arm not in (*undecided, *true)
    ]
    before = [arm for arm in true if arm in seen]
    which = "all of them" if before == true else listed(before)
    foreseen = f"; of {which} table 1 of some replicates had been seen" if before else ""
    aside = [arm for arm in expected if arm not in words]
    missing = f" Not in these tables: {listed(aside)}." if aside else ""
    return (
        f"Of {len(asked)} expectations {len(true)} came true ({listed(true)}{foreseen}), {len(undecided)} are"
        f" undecided ({listed(undecided)}), contradicted: {'; '.join(otherwise) or NONE}.{missing}"
    )


def came_true(words: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Say what came out as expected in the confirmation alone, what is undecided there, and what did not."""
    asked = [arm for arm in expected if arm in words]
    true = [arm for arm in asked if words[arm] == expected[arm]]
    undecided = [arm for arm in asked if words[arm] in (OPEN, UNMEASURED)]
    others = [arm for arm in asked if arm not in (*true, *undecided)]
    aside = f", {listed(undecided)} {'are' if len(undecided) > 1 else 'is'} undecided" if undecided else ""
    return f" In the confirmation {listed(true)} came true{aside}{f', {listed(others)} did not' if others else ''}."
