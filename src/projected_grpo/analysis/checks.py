"""Checks (methods 6, 7, 9): what could undo the result besides the threats, each with the number that decides it.

A check holds | fails | is open | is not measured, by rule 2 of judgement.py where it asks for more than nothing. That
it holds says that something is better than chance, not that it is good enough. What is descriptive has no answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from projected_grpo.analysis.detectors import OTHERS, against_control, families
from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, UNMEASURED, above_nothing
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, paired_t
from projected_grpo.analysis.study import Study, TableArm, mean, ratio
from projected_grpo.analysis.threats import paired_means
from projected_grpo.method.settings import ROTATED

RATES = ("hack_student", "flagged_student", "flag_precision", "flag_recall", "flag_false_positives")
WORST_FIRST = (FAILS, OPEN, UNMEASURED, HOLDS)


@dataclass(frozen=True)
class Check:
    """One line of the page: `check` is a key of reporting.checks.CHECKS; numbers decide it, by name."""

    check: str
    of: str
    answer: str | None
    numbers: Mapping[str, object]


def checks(study: Study, long: Study | None, detected: pd.DataFrame, directions: pd.DataFrame) -> list[Check]:
    """Return the checks of table 1's runs, of the longer ones, of signals as detectors (`read_detected`), and the
    directions' own tests."""
    return [
        *_follows(study),
        *_detects(detected),
        *_flags(study),
        *(line for own in (study, long) if own for line in (*_hides(own), *_basis(own))),
        *_leak(study),
        *_variance(study),
        *_attempts(study),
        *_solve(study),
        *_span(directions),
    ]


def of_signals(study: Study) -> list[Check]:
    """Return the checks of how signals flag along the runs that they act on."""
    return [*_flags(study), *_hides(study)]


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


def _detects(detected: pd.DataFrame) -> list[Check]:
    """One line per V or signal and kind of modes: rank-AUC of single live rollouts, hack against correct and against
    wrong but honest, judged against the best control's on the same rollouts."""
    lines = []
    for family, modes in families(detected):
        numbers, answers = {}, set()
        for other in OTHERS:
            own, best, rival = against_control(detected, family, modes, other)
            answers.add(above_nothing(_of_replicates(own - rival)).answer)
            numbers[other] = (mean(own), best, mean(rival))
        answer = next(word for word in WORST_FIRST if word in answers)
        lines.append(Check("detects", f"{family}, {modes} modes", answer, numbers))
    return lines or [Check("detects", "", UNMEASURED, {})]


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


def _hides(study: Study) -> list[Check]:
    """Whether the signal still flags the exploits that its own run attempts: the flagged share of the live attempts in
    the last third of the steps minus that in the first."""
    lines = []
    for arm, log in study.training.items():
        recall = log["flag_recall_attempted"]
        if not study.arms[arm].tested or not np.isfinite(recall).any():
            continue
        third = max(1, recall.shape[1] // 3)
        first, last = ([mean(own) for own in part] for part in (recall[:, :third], recall[:, -third:]))
        change = _of_replicates(np.subtract(last, first))
        lines.append(
            Check("hides", arm, _no_fall(change), {"first": mean(first), "last": mean(last), "change": change})
        )
    return lines


def _no_fall(change: Effect) -> str:
    if not np.isfinite(change.estimate):
        return UNMEASURED
    if change.high < 0:
        return FAILS
    return HOLDS if change.low >= 0 else OPEN


def _basis(study: Study) -> list[Check]:
    lines = []
    for arm, log in study.training.items():
        basis = log["basis_overlap"][np.isfinite(log["basis_overlap"])]
        if len(basis):
            answer = HOLDS if basis.min() >= ROTATED else FAILS
            numbers = {"mean": float(basis.mean()), "lowest": float(basis.min()), "refreshes": len(basis)}
            lines.append(Check("basis", arm, answer, numbers))
    return lines


def _leak(study: Study) -> list[Check]:
    """What of the hack-ward motion comes back through the optimizer: overlap of the update, under a projection of V or
    a gate on overlaps with it.

    An arm that uses fewer rows of V than its baseline measures has another overlap by that alone, and is left out.
    """
    lines = []
    for arm, spec in study.arms.items():
        baseline = study.baseline(arm)
        along_V = spec.intervention in ("erase", "route") or spec.signal_kind == "overlap"
        if not (spec.tested and along_V) or baseline is None:
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
