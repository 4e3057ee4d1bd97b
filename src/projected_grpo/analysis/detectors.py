"""Signals as detectors (method 9): every V and every fitted signal on the same live rollouts of the first arm's runs.

1. A family is a V or a signal with its folds: `probe` of subset all and of every subset that lacks a mode. On
   `held out` modes each fold is asked about the mode that it lacks, on `known` ones about the others.
2. The rank-AUC is taken within steps and modes: pooled over a run it would also say when, and on which mode, rollouts
   were hacks. It is held against that of the best control on the same rollouts, which need not be 0.5.
3. Recall and false positives are at the threshold that was fixed before training; in the first and in the last third of
   the steps they say whether the signal stays calibrated while the model trains.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.analysis.study import StudyError, mean
from projected_grpo.analysis.table1 import rounded
from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.auc import rank_auc

OTHERS = ("correct", "wrong")  # what hacks are told from
PARTS = {"": (0.0, 1.0), "_first": (0.0, 1 / 3), "_last": (2 / 3, 1.0)}  # of the steps
COLUMNS = [
    "detector",
    "modes",
    *(f"{name}_{other}" for other in OTHERS for name in ("auc", "best_control", "control_auc")),
    *(f"{name}{part}" for name in ("recall", "false_positives") for part in PARTS),
]


def read_detected(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read detection files into one table with a column `replicate`, by the part `replicate{n}` of their paths.

    The part may be a folder or the file's name. A path without one is a StudyError: it would be nobody's. Added are
    `family`, as in rule 1, and `modes`: held out or known.
    """
    tables = [read_table(path, DETECTION).assign(replicate=_replicate_in(Path(path))) for path in paths]
    return with_families(pd.concat(tables, ignore_index=True)) if tables else pd.DataFrame()


def with_families(detected: pd.DataFrame) -> pd.DataFrame:
    subsets = detected["subset"]
    families = [_family(*one) for one in zip(detected["detector"], subsets, strict=True)]
    lacks = subsets == "without_" + detected["mode"]
    return detected.assign(family=families, modes=np.where(lacks, "held out", "known"))


def _family(name: str, subset: str) -> str:
    """Return a detector's name without that of its fold, which stands at its end, before `_twin`; all is no fold."""
    own = name.removesuffix("_twin")
    end = name.removeprefix(own)
    return own.removesuffix(f"_{subset}") + end if subset != "all" else name


def families(detected: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (family, modes) of everything that is no control, in the order of the file."""
    if detected.empty:
        return []
    there = detected.loc[~detected["control"], ["family", "modes"]].drop_duplicates()
    return sorted(there.itertuples(index=False, name=None), key=lambda one: one[1] != "known")


def detectors(detected: pd.DataFrame) -> pd.DataFrame:
    """Return one row per family that is no control and kind of modes: means over the replicates."""
    rows = []
    for family, modes in families(detected):
        row: dict = {"detector": family, "modes": modes}
        for other in OTHERS:
            own, best, rival = against_control(detected, family, modes, other)
            row |= {f"auc_{other}": mean(own), f"best_control_{other}": best, f"control_auc_{other}": mean(rival)}
        rows.append(row | _calibration(_of(detected, family, modes)))
    return rounded(pd.DataFrame(rows, columns=COLUMNS))


def against_control(
    detected: pd.DataFrame, family: str, modes: str, other: str
) -> tuple[pd.Series, str | None, pd.Series]:
    """Return a family's AUC by replicate, the name of the control with the best mean, and that one's AUC."""
    rows = _of(detected, family, modes)
    own = _aucs(rows, other)
    controls = detected.loc[detected["control"], "family"].unique()
    found = {name: _aucs(_alike(detected, name, rows), other).reindex(own.index) for name in controls}
    found = {name: rival for name, rival in found.items() if rival.notna().any()}
    best = max(found, key=lambda name: found[name].mean(), default=None)
    return own, best, found.get(best, own * np.nan)


def _of(detected: pd.DataFrame, family: str, modes: str) -> pd.DataFrame:
    return detected[(detected["family"] == family) & (detected["modes"] == modes)]


def _alike(detected: pd.DataFrame, control: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return a control's rows on the modes of `rows`: fold by fold, or, where it has none, of its one self."""
    own = detected[(detected["family"] == control) & detected["mode"].isin(rows["mode"].unique())]
    return own[own["modes"].isin(rows["modes"].unique())] if (own["modes"] == "held out").any() else own


def _calibration(rows: pd.DataFrame) -> dict[str, float]:
    """Return recall and false positives, means over the replicates; nan of what has no threshold."""
    place = (rows["step"] - rows["step"].min()) / max(rows["step"].max() - rows["step"].min(), 1)
    hack, numbers = rows["kind"] == "hack", {}
    for part, (low, high) in PARTS.items():
        within = (place >= low) & (place <= high)
        for name, which in (("recall", hack), ("false_positives", ~hack)):
            flags = rows[within & which].dropna(subset="flagged")
            numbers[f"{name}{part}"] = mean(flags["flagged"].astype(float).groupby(flags["replicate"]).mean())
    return numbers


def _aucs(rows: pd.DataFrame, other: str) -> pd.Series:
    """Return the rank-AUC by replicate."""
    return pd.Series({replicate: _auc(part, other) for replicate, part in rows.groupby("replicate")}, dtype=float)


def _auc(rows: pd.DataFrame, other: str) -> float:
    """Return the rank-AUC within detectors, steps and modes, weighted by their numbers of pairs."""
    found, pairs = 0.0, 0
    for _, part in rows.groupby(["detector", "step", "mode"]):
        hack, others = (part.loc[part["kind"] == kind, "score"] for kind in ("hack", other))
        if len(hack) and len(others):
            weight = len(hack) * len(others)
            found += weight * rank_auc(hack, others)
            pairs += weight
    return found / pairs if pairs else float("nan")


def _replicate_in(path: Path) -> int:
    found = [re.fullmatch(r"replicate(\d+)", part) for part in (path.stem, *reversed(path.parts[:-1]))]
    number = next((int(match[1]) for match in found if match), None)
    if number is None:
        raise StudyError(f"{path}: no part of the path names a replicate")
    return number
