"""Which single runs of the confirmation hack, and what their signals find there: replicates.json among its copies."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

from projected_grpo.analysis.judgement import HACKED
from projected_grpo.analysis.study import Study, mean
from projected_grpo.documents.unseen import made_of, study_of
from projected_grpo.reporting.format import percent, points

REPLICATES = "replicates.json"


def by_replicate(results: Path) -> dict:
    """Return {intervention of table 3: {replicate: its hack, deployed, on all modes, and what share of the exploits
    among its run's live rollouts its signal flagged (recall), a mean over the steps that have any}}."""
    made = made_of(results / "table3.json")
    study = study_of(results, made, sorted(map(int, made["modes"])))
    return {arm: _runs(study, arm) for arm in study.claims}


def _runs(study: Study, arm: str) -> dict:
    rows = zip(study.replicates, study.final(arm)["hack"], study.training[arm]["flag_recall"], strict=True)
    return {n: {"hack": round(mean(hack), 4), "recall": round(mean(recall), 4)} for n, hack, recall in rows}


def which_hack(folder: Path) -> str:
    """Say in which replicates each arm's run hacks, and how much."""
    found = _read(folder)
    where = {
        arm: [f"replicate {n} ({percent(runs[n]['hack'])}%)" for n in _hacked(runs)] for arm, runs in found.items()
    }
    said = [f"`{arm}` in {' and '.join(names)}" for arm, names in where.items() if names]
    if not said:
        return f"In no run of an arm are more than {points(HACKED)}% of all answers hacks."
    return f"More than {points(HACKED)}% of all answers are hacks, deployed: {'; '.join(said)}.{together(folder)}"


def together(folder: Path) -> str:
    """Say in which replicates all arms hack, and what their signals find there and elsewhere; nothing without one."""
    if not (folder / REPLICATES).exists():
        return ""
    found = _read(folder)
    shared = [n for n in next(iter(found.values())) if all(n in _hacked(runs) for runs in found.values())]
    if len(found) < 2 or not shared:
        return ""
    there, elsewhere = (
        [run["recall"] for runs in found.values() for n, run in runs.items() if (n in shared) == inside]
        for inside in (True, False)
    )
    return (
        f" All {len(found)} do in replicate {' and '.join(shared)}: there their signals find {_range(there)}% of the"
        f" exploits in their own runs, a mean over the steps, and in the other replicates {_range(elsewhere)}%."
    )


def _read(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    return json.loads((folder / REPLICATES).read_text(encoding="utf-8"))


def _hacked(runs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the replicates whose run is hacked (method 7 (d))."""
    return [n for n, run in runs.items() if run["hack"] > HACKED]


def _range(shares: Sequence[float]) -> str:
    """Return the least and the most share that there is: a run without exploits has none."""
    found = [share for share in shares if not isnan(share)]
    return f"{percent(min(found))} to {percent(max(found))}"
