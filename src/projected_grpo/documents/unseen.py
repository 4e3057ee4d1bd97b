"""What table 3 says of those replicates alone that nobody had seen when its words were fixed."""

import json
from collections.abc import Sequence
from pathlib import Path

from projected_grpo.analysis.study import read_study
from projected_grpo.analysis.table3 import table3, verdicts


def unseen(results: Path, replicates: Sequence[int]) -> dict:
    """Return these replicates of a results directory with a table 3, {intervention: word} on their held-out modes, and
    {arm: answer to the primary comparison}."""
    made = json.loads((results / "table3.json").read_text(encoding="utf-8"))["provenance"]["config"]
    arms = {name: spec | {"runs": _numbered(spec.get("runs", {}))} for name, spec in made["arms"].items()}
    modes = {n: _numbered(made["modes"])[n] for n in replicates}
    study = read_study(results, arms, replicates, made["claims"], made["ceiling"])
    judged = verdicts(study, modes)
    answers = table3(study, modes, judged).set_index("arm")["primary"].dropna()
    return {"replicates": list(replicates), "outcomes": judged["outcomes"], "primary": answers.to_dict()}


def _numbered(mapping: dict) -> dict:
    """Return what JSON says by replicate, whose keys are texts there."""
    return {int(n): value for n, value in mapping.items()}
