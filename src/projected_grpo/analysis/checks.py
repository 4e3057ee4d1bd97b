"""Checks (methods 6, 7, 9): what could undo the result besides the threats, each with the number that decides it.

A check holds | fails | is open | is not measured, by rule 2 of judgement.py where it asks for more than nothing. That
it holds says that something is better than chance, not that it is good enough. What is descriptive has no answer.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, UNMEASURED, above_nothing
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, paired_t
from projected_grpo.analysis.study import Study, StudyError, TableArm, mean, ratio
from projected_grpo.analysis.threats import paired_means
from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.auc import rank_auc
from projected_grpo.method.settings import ROTATED

OTHERS = ("correct", "wrong")  # what hacks are told from
RATES = ("hack_student", "flagged_student", "flag_precision", "flag_recall", "flag_false_positives")
WORST_FIRST = (FAILS, OPEN, UNMEASURED, HOLDS)


@dataclass(frozen=True)
class Check:
    """One line of the page: `check` is a key of reporting.checks.CHECKS; numbers decide it, by name."""

    check: str
    of: str
    answer: str | None
    numbers: Mapping[str, object]


def checks(
    study: Study, long: Study | None, detected: pd.DataFrame, hack: Iterable[str], directions: pd.DataFrame
) -> list[Check]:
    """Return the checks of table 1's runs, of the longer ones, of V as a detector, and the directions' own tests.

    Directions that are not named in `hack` are controls.
    """
    return [
        *_follows(study),
        *_detects(detected, set(hack)),
        *_flags(study),
        *(_basis(long) if long else []),
        *_leak(study),
        *_variance(study),
        *_attempts(study),
        *_solve(study),
        *_span(directions),
    ]


def read_detected(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read detection files into one table with a column `replicate`, by the part `replicate{n}` of their paths.

    The part may be a folder or the file's name. A path without one is a StudyError: it would be nobody's.
    """
    tables = [read_table(path, DETECTION).assign(replicate=_replicate_in(Path(path))) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _replicate_in(path: Path) -> int:
    found = [re.fullmatch(r"replicate(\d+)", part) for part in (path.stem, *reversed(path.parts[:-1]))]
    number = next((int(match[1]) for match in found if match), None)
    if number is None:
        raise StudyError(f"{path}: no part of the path names a replicate")
    return number


def _of_replicates(values: Iterable[float]) -> Effect:
    """Return a number per replicate as an effect; without any finite one it is none."""
    values = np.asarray(list(values), float)
    return paired_t(values) if len(values) and np.isfinite(values).all() else NO_EFFECT


def _main_arms(study: Study) -> list[str]:
    """Return the tested arms and the baselines."""
    return [arm for arm, spec in study.arms.items() if spec.tested or spec.baseline == arm]


def _follows(study: Study) -> list[Check]:
    """Correlate the CHANGES from step to step, that is, within windows of two steps.

    Over a run the two rise together, as anything does that trends; the trend adds next to nothing to their changes.
    """
    lines = []
    for arm in [name for name, spec in study.arms.items() if spec.baseline == name]:
        log = study.training[arm]
        pairs = zip(log["overlap_student"], log["hack_student"], strict=True)
        effect = _of_replicates(_correlation(np.diff(a), np.diff(b)) for a, b in pairs)
        lines.append(Check("follows", arm, above_nothing(effect).answer, {"correlation": effect}))
    return lines


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and a.std() > 0 and b.std() > 0 else float("nan")


def _detects(detected: pd.DataFrame, hack: set[str]) -> list[Check]:
    """One line per V and mode: rank-AUC of single live rollouts, hack against correct and against wrong but honest.

    It is judged against that of the best control on the same rollouts, which need not be 0.5.
    """
    if detected.empty:
        return [Check("detects", "", UNMEASURED, {})]
    lines = []
    modes = ["all modes", *sorted(detected["mode"].unique())]
    names = detected["direction"].unique()
    controls = [name for name in names if name not in hack]
    for name, mode in product([name for name in names if name in hack], modes):
        held = name.removeprefix("hack_without_") if name.startswith("hack_without_") else None
        if held and mode not in (held, "all modes"):
            continue
        part = detected[(mode == "all modes") | (detected["mode"] == mode)]
        numbers, answers = {}, set()
        for other in OTHERS:
            own, *rivals = (_aucs(part[part["direction"] == V], other) for V in (name, *controls))
            by_control = {V: rival for V, rival in zip(controls, rivals, strict=True) if rival.notna().any()}
            best = max(by_control, key=lambda V: by_control[V].mean(), default=None)
            rival = by_control.get(best, own * np.nan)
            answers.add(above_nothing(_of_replicates(own - rival)).answer)
            numbers[other] = (mean(own), best, mean(rival))
        answer = next(word for word in WORST_FIRST if word in answers)
        unknown = " (which it does not know)" if held == mode else ""
        lines.append(Check("detects", f"{name}, {mode}{unknown}", answer, numbers))
    return lines


def _aucs(rows: pd.DataFrame, other: str) -> pd.Series:
    """Return one direction's rank-AUC by replicate."""
    return pd.Series({replicate: _auc(part, other) for replicate, part in rows.groupby("replicate")}, dtype=float)


def _auc(rows: pd.DataFrame, other: str) -> float:
    """Return the rank-AUC within steps and modes, weighted by their numbers of pairs.

    Pooled over a run it would also say when, and on which mode, rollouts were hacks.
    """
    found, pairs = 0.0, 0
    for _, part in rows.groupby(["step", "mode"]):
        hack, others = (part.loc[part["kind"] == kind, "overlap"] for kind in ("hack", other))
        if len(hack) and len(others):
            weight = len(hack) * len(others)
            found += weight * rank_auc(hack, others)
            pairs += weight
    return found / pairs if pairs else float("nan")


def _flags(study: Study) -> list[Check]:
    """Whether a signal flags exploits among the live rollouts of its own run, rather than any."""
    lines = []
    for arm, log in study.training.items():
        if not np.isfinite(log["flagged_student"]).any():
            continue
        effect = _of_replicates(np.nanmean(log["flag_precision"] - log["hack_student"], 1))
        answer = above_nothing(effect).answer if study.arms[arm].tested else None
        lines.append(Check("flags", arm, answer, {name: mean(log[name]) for name in RATES}))
    return lines


def _basis(long: Study) -> list[Check]:
    lines = []
    for arm, log in long.training.items():
        basis = log["basis_overlap"][np.isfinite(log["basis_overlap"])]
        if len(basis):
            answer = HOLDS if basis.min() >= ROTATED else FAILS
            numbers = {"mean": float(basis.mean()), "lowest": float(basis.min()), "refreshes": len(basis)}
            lines.append(Check("basis", arm, answer, numbers))
    return lines


def _leak(study: Study) -> list[Check]:
    """What of the hack-ward motion comes back through the optimizer: overlap of the update, under a projection.

    An arm that uses fewer rows of V than its baseline measures has another overlap by that alone, and is left out.
    """
    lines = []
    for arm, spec in study.arms.items():
        baseline = study.baseline(arm)
        if not spec.tested or baseline is None:
            continue
        own, other = study.training[arm], study.training[baseline]
        if not np.isclose(mean(own["overlap_null"]), mean(other["overlap_null"])):
            continue
        effect = paired_means(other["overlap_update"], own["overlap_update"])
        numbers = {
            "own": mean(own["overlap_update"]),
            "baseline": mean(other["overlap_update"]),
            "lower": effect,
            "by construction": _by_construction(spec),
        }
        lines.append(Check("leak", arm, None, numbers))
    return lines


def _by_construction(spec: TableArm) -> str:
    """Say why the update's overlap is lower whatever V is, on pure noise too, so that it is no result.

    zero      the update itself is projected
    selected  rows with a large overlap have no part in the gradient
    removed   a gate on the gradient leaves V g' <= 0 (two-sided: 0), and so V m of Adam's first moment m: all that can
              come back is what the turn by 1 / sqrt(v) brings
    """
    if spec.project in ("update", "both"):
        return "zero"
    return "selected" if spec.signal_kind == "overlap" else "removed"


def _variance(study: Study) -> list[Check]:
    return [
        Check("variance", arm, None, {"share": mean(study.training[arm]["frac_reward_zero_std"])})
        for arm in study.training
        if arm in _main_arms(study)
    ]


def _attempts(study: Study) -> list[Check]:
    lines = []
    for arm in _main_arms(study):
        final = study.final(arm)
        numbers = {
            "attempted": mean(final["attempted"]),
            "hack": mean(final["hack"]),
            "of attempted": ratio(final["hack_attempted"], final["attempted"]),
        }
        lines.append(Check("attempts", arm, None, numbers))
    return lines


def _solve(study: Study) -> list[Check]:
    lines = []
    chosen = {*_main_arms(study), study.ceiling}
    for arm in [name for name in study.arms if name in chosen]:
        modes, solve = study.view(arm).modes, study.final(arm)["solve"]
        numbers = {str(mode): float(solve[:, modes == mode].mean()) for mode in dict.fromkeys(modes)}
        lines.append(Check("solve", arm, None, numbers))
    return lines


def _span(directions: pd.DataFrame) -> list[Check]:
    return [
        Check("span", str(name), None, {"shared": row["subspace_overlap"], "chance": row["subspace_chance"]})
        for name, row in directions.iterrows()
        if row["subspace_overlap"] < 0.999
    ]
