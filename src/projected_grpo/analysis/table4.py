"""Table 4 (method 7): ablations, one factor at a time, beside the arm that each is an ablation of."""

from collections.abc import Mapping

import pandas as pd

from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import columns, final_difference, rounded, table1


def table4(study: Study, ablations: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Return table 1's row of every arm, with what it ablates: `ablates`, the arm; `factor`, what is another one.

    `ablations` is {arm: {"of", "factor"}}. ablation_diff is the ablation's hack minus the other arm's, and
    ablation_solve_diff the same of solve, both at the last step, with the decision interval; not corrected.
    """
    added = pd.DataFrame([_row(study, arm, ablations.get(arm)) for arm in study.arms])
    return rounded(pd.concat([table1(study), added], axis=1))


def _row(study: Study, arm: str, ablation: Mapping[str, str] | None) -> dict:
    of, factor = (ablation["of"], ablation["factor"]) if ablation else (None, None)
    hack, solve = (final_difference(study, arm, of, rate) for rate in ("hack", "solve"))
    return {
        "ablates": of,
        "factor": factor,
        **columns("ablation_diff", hack),
        **columns("ablation_solve_diff", solve),
    }
