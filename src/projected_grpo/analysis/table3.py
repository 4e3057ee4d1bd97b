"""Table 3 (method 7): signal x action, and what needs no flag, with what each arm is allowed to know."""

import pandas as pd

from projected_grpo.analysis.study import Study, mean
from projected_grpo.analysis.table1 import rounded, table1

QUALITY = ("flagged_student", "flag_precision", "flag_recall", "flag_false_positives")


def table3(study: Study) -> pd.DataFrame:
    """Return table 1's row of every arm, with its signal, its action and what it knows (0 M P T O), and, means over the
    steps and replicates, the flagged share of its live rollouts and the flags' quality by true verdicts."""
    return rounded(pd.concat([table1(study), pd.DataFrame([_row(study, arm) for arm in study.arms])], axis=1))


def _row(study: Study, arm: str) -> dict:
    spec, log = study.arms[arm], study.training[arm]
    own = {"signal": spec.signal, "action": spec.action, "knows": spec.knows}
    return own | {name: mean(log[name]) for name in QUALITY}
