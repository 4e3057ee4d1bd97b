"""What tables 1 and 3 say of those replicates alone that nobody had seen when their words were fixed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from projected_grpo.analysis.study import Study, read_study
from projected_grpo.analysis.table3 import HELD_OUT, table3, verdicts
from projected_grpo.analysis.verdicts import h1
from projected_grpo.documents.phrases import margins

ENDS = ("", "_low", "_high")


def unseen(results: Path, replicates: Sequence[int]) -> dict:
    """Return these replicates of a results directory with tables 1 and 3, {intervention: word} on their held-out modes,
    {arm: answer to the primary comparison}, {arm: its twin's difference in hack}, {intervention: whether both margins
    of H2 hold}, and {intervention: word} where every loophole is known."""
    made = made_of(results / "table3.json")
    study, modes = study_of(results, made, replicates), {n: _numbered(made["modes"])[n] for n in replicates}
    judged = verdicts(study, modes)
    table = table3(study, modes, judged).set_index("arm")
    twins = table[[f"twin_diff{HELD_OUT}{end}" for end in ENDS]].set_axis([f"twin_diff{end}" for end in ENDS], axis=1)
    return {
        "replicates": list(replicates),
        "outcomes": judged["outcomes"],
        "primary": table["primary"].dropna().to_dict(),
        "twins": twins.dropna().to_dict("index"),
        "margins": {arm: margins(claim) for arm, claim in judged["claims"].items()},
        "known": h1(study_of(results, made_of(results / "h1.json"), replicates))["outcomes"],
    }


def made_of(verdicts: Path) -> dict:
    """Return what a table was made of, as its verdicts record it."""
    return json.loads(verdicts.read_text(encoding="utf-8"))["provenance"]["config"]


def study_of(results: Path, made: Mapping, replicates: Sequence[int]) -> Study:
    """Return the study of some replicates of what `made` a table."""
    arms = {name: spec | {"runs": _numbered(spec.get("runs", {}))} for name, spec in made["arms"].items()}
    return read_study(results, arms, replicates, made["claims"], made["ceiling"])


def _numbered(mapping: dict) -> dict:
    """Return what JSON says by replicate, whose keys are texts there."""
    return {int(n): value for n, value in mapping.items()}
