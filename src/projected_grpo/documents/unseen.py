"""What tables 1 and 3 say of those replicates alone that nobody had seen when their words were fixed."""

import json
from collections.abc import Sequence
from pathlib import Path

from projected_grpo.analysis.study import Study, read_study
from projected_grpo.analysis.table3 import table3, verdicts
from projected_grpo.analysis.verdicts import h1


def unseen(results: Path, replicates: Sequence[int]) -> dict:
    """Return these replicates of a results directory with tables 1 and 3, {intervention: word} on their held-out modes,
    {arm: answer to the primary comparison}, and {intervention: word} where every loophole is known."""
    made = _made(results / "table3.json")
    study, modes = _of(results, made, replicates), {n: _numbered(made["modes"])[n] for n in replicates}
    judged = verdicts(study, modes)
    answers = table3(study, modes, judged).set_index("arm")["primary"].dropna()
    return {
        "replicates": list(replicates),
        "outcomes": judged["outcomes"],
        "primary": answers.to_dict(),
        "known": h1(_of(results, _made(results / "h1.json"), replicates))["outcomes"],
    }


def _made(verdicts: Path) -> dict:
    """Return what a table was made of, as its verdicts record it."""
    return json.loads(verdicts.read_text(encoding="utf-8"))["provenance"]["config"]


def _of(results: Path, made: dict, replicates: Sequence[int]) -> Study:
    arms = {name: spec | {"runs": _numbered(spec.get("runs", {}))} for name, spec in made["arms"].items()}
    return read_study(results, arms, replicates, made["claims"], made["ceiling"])


def _numbered(mapping: dict) -> dict:
    """Return what JSON says by replicate, whose keys are texts there."""
    return {int(n): value for n, value in mapping.items()}
