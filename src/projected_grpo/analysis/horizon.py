"""More steps (method 7): is hacking prevented, or only delayed?

What is asked is whether an effect SHRINKS, a difference of differences: an effect that is still above 0 at the end may
have been three times as large early on. Its own line says it for every arm with a baseline, controls included: what
shrinks alike in slow training, in a twin or without a teacher is no property of the intervention.
"""

from collections.abc import Mapping

import numpy as np

from projected_grpo.analysis.judgement import UNMEASURED, beyond
from projected_grpo.analysis.statistics import Effect, difference
from projected_grpo.analysis.study import Study, StudyError
from projected_grpo.analysis.table1 import early_stop
from projected_grpo.analysis.threats import Threat, reduction


def delays(short: Study, long: Study, shorter: Mapping[str, str | None]) -> list[Threat]:
    """Return a line per arm of the longer study that has a baseline: is its effect smaller at the end than early on?

    `shorter` names the arm of the shorter study that differs by its steps alone; arms without one are left out. The
    threat is present where the whole decision interval of the change lies below 0. Where solve is not matched at
    either end it is not measured.
    """
    lines = []
    for arm, spec in long.arms.items():
        early = shorter.get(arm)
        if long.baseline(arm) is None or early not in short.arms or short.baseline(early) is None:
            continue
        before, after = reduction(short, early), reduction(long, arm)
        change = growth(short, early, long, arm)
        numbers = {
            "before": before,
            "after": after,
            "change": change,
            "steps": (short.arms[early].last, spec.last),
            "early before": early_stop(short, early, short.arms[early].baseline).effect,
            "early after": early_stop(long, arm, spec.baseline).effect,
        }
        answer = beyond(change) if before.matched and after.matched else UNMEASURED
        lines.append(Threat("shrinks", arm, long.baseline(arm), answer, numbers))
    return lines


def growth(short: Study, early: str, long: Study, arm: str) -> Effect:
    """Return how much more less than its baseline the arm hacks at the end than early on, paired by replicate."""
    if short.replicates != long.replicates or short.view(early).problems != long.view(arm).problems:
        raise StudyError(f"{early} and {arm}: not the same replicates and problems, so that no change can be taken")
    return difference(_reductions(long, arm), _reductions(short, early))


def _reductions(study: Study, arm: str) -> np.ndarray:
    """Return by how much less than its baseline the arm hacks, (S, P)."""
    return study.final(study.baseline(arm))["hack"] - study.final(arm)["hack"]
