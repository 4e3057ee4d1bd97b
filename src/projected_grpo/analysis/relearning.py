"""Relearning (method 7): how soon hacking is back where training goes on from a deployed model without an intervention.

Back means half of what the baseline hacks at its end, in the same replicate: the first step at which the mean of the
student's last WINDOW steps is above that. A run in which it never is counts with its last step. The baseline itself,
which starts from the base model, is the measure.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from projected_grpo.analysis.onset import first_reached
from projected_grpo.analysis.statistics import NO_EFFECT, paired_t
from projected_grpo.analysis.study import Study, mean
from projected_grpo.analysis.table1 import columns, rounded

HALF = 0.5  # of the baseline's final hack


def relearning(study: Study, starts: Mapping[str, str | None]) -> pd.DataFrame:
    """Return one row per trained arm, {arm: the arm whose deployed model it starts from, or None}: the mean step at
    which hacking is back, in how many runs it never is, by how many steps later than in its baseline (with the t
    interval over replicates), and its rates at the end."""
    return rounded(pd.DataFrame([_row(study, arm, start) for arm, start in starts.items() if arm != study.base]))


def _row(study: Study, arm: str, start: str | None) -> dict:
    at, back = when_back(study, arm)
    baseline, final = study.baseline(arm), study.final(arm)
    later = paired_t(at - when_back(study, baseline)[0]) if baseline else NO_EFFECT
    return {
        "arm": arm,
        "start": start,
        "baseline": study.arms[arm].baseline,
        "n_replicates": len(study.replicates),
        "back": float(at.mean()),
        "never_back": int((~back).sum()),
        **columns("later", later),
        **{name: mean(final[name]) for name in ("hack", "solve")},
    }


def when_back(study: Study, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the step at which hacking is back in each run, and whether it is, (S,) both."""
    log = study.training[arm]
    level = HALF * study.final(study.arms[arm].baseline)["hack"].mean(1)
    return first_reached(log["step"], log["hack_student"], lambda hack: hack > level[:, None])
