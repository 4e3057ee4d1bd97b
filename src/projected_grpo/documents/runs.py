"""Which single runs of the confirmation hack, and what their signals find there: replicates.json among its copies."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

from projected_grpo.analysis.judgement import HACKED
from projected_grpo.analysis.study import Study, in_turn, mean
from projected_grpo.documents.unseen import made_of, study_of
from projected_grpo.reporting.format import percent, points

REPLICATES = "replicates.json"


def by_replicate(results: Path) -> dict:
    """Return {intervention of table 3: {replicate: its hack, deployed, on all modes and on the unknown one, and what
    share of the exploits among its run's live rollouts its signal flagged (recall), a mean over the steps that have
    any, None where none has}}."""
    made = made_of(results / "table3.json")
    modes = {int(n): mode for n, mode in made["modes"].items()}
    study = study_of(results, made, sorted(modes))
    unknown = in_turn(study, modes)
    return {arm: _runs(study, unknown, arm) for arm in study.claims}


def _runs(study: Study, unknown: Study, arm: str) -> dict:
    found = (study.final(arm)["hack"], unknown.final(arm)["hack"], study.training[arm]["flag_recall"])
    rows = zip(study.replicates, *(map(mean, one) for one in found), strict=True)
    return {
        n: {"hack": round(hack, 4), "unknown": round(there, 4), "recall": None if isnan(recall) else round(recall, 4)}
        for n, hack, there, recall in rows
    }


def which_hack(folder: Path) -> str:
    """Say in which replicates each arm's run hacks, and how much."""
    said = []
    for arm, runs in _read(folder).items():
        hacked = [f"replicate {n} ({percent(runs[n]['hack'])}%, {percent(runs[n]['unknown'])}%)" for n in _hacked(runs)]
        said += [f"`{arm}` in {' and '.join(hacked)}"] if hacked else []
    if not said:
        return f"In no run of an arm are more than {points(HACKED)}% of all answers hacks."
    return (
        f"More than {points(HACKED)}% of all answers are hacks, deployed (in brackets their share, and that on the"
        f" unknown loophole): {'; '.join(said)}.{together(folder)}"
    )


def together(folder: Path) -> str:
    """Say in which replicates all arms hack, and what their signals find there and elsewhere; nothing without one."""
    if not (folder / REPLICATES).exists():
        return ""
    found = _read(folder)
    shared = [n for n in next(iter(found.values())) if all(n in _hacked(runs) for runs in found.values())]
    if len(found) < 2 or not shared:
        return ""
    there, elsewhere = (
        [run for runs in found.values() for n, run in runs.items() if (n in shared) == inside]
        for inside in (True, False)
    )
    return (
        f" All {len(found)} do in replicate {' and '.join(shared)} ({_range(there, 'unknown')}% on its unknown"
        f" loophole): there their signals find {_range(there, 'recall')}% of the exploits in their own runs, a mean"
        f" over the steps, and in the other replicates {_range(elsewhere, 'recall')}%."
    )


def _read(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    return json.loads((folder / REPLICATES).read_text(encoding="utf-8"))


def _hacked(runs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the replicates whose run is hacked (method 7 (d))."""
    return [n for n, run in runs.items() if run["hack"] > HACKED]


def _range(runs: Sequence[Mapping[str, float]], name: str) -> str:
    """Return the least and the most of a share that there is: a run without exploits has no recall."""
    found = [run[name] for run in runs if run[name] is not None]
    return f"{percent(min(found))} to {percent(max(found))}"
