"""Table 3 (method 7): signal x action, and what needs no flag, with what each arm is allowed to know.

1. V, signals and teacher pool of a replicate know all modes but one, each mode in turn; training has all. What is said
   of held-out modes is said of each replicate's own: its base model and its mode vary together, and the intervals hold
   both.
2. The primary comparison is the arm's twin minus the arm in hack on the held-out modes, Holm-corrected over the arms,
   at a solve rate that is matched there (rules 1 and 2 of judgement.py). H1, H1s and H2 are judged there too.
"""

from collections.abc import Mapping
from math import nan

import numpy as np
import pandas as pd

from projected_grpo.analysis.judgement import above_nothing, solve_kept, together
from projected_grpo.analysis.statistics import Effect, holm
from projected_grpo.analysis.study import Study, in_turn, mean
from projected_grpo.analysis.table1 import above_base, columns, final_difference, rounded, table1, twin_difference
from projected_grpo.analysis.threats import dominance
from projected_grpo.analysis.verdicts import h1

HELD_OUT = "_held_out"  # after the name of a rate or a difference: on the modes that nothing told of
QUALITY = ("flagged_student", "flag_precision", "flag_recall", "flag_false_positives")
HELD_OUT_QUALITY = ("flag_recall/heldout", "flag_false_positives/heldout")


def table3(study: Study, modes: Mapping[int, str], judged: Mapping) -> pd.DataFrame:
    """Return table 1's row of every arm, on all modes, with more columns; `modes` is {replicate: held-out mode} and
    `judged` their `verdicts`.

    signal, action, knows (0 M P T O); the flagged share of the live rollouts and the flags' quality by true verdicts,
    means over the steps and replicates, on the held-out modes too (`/heldout`). `_held_out`: rates, differences as in
    table 1, and hack and solve minus the base model's (`base_hack_diff_`, `base_solve_diff_`) on the held-out modes;
    `dominated_by` names what hacks less and solves more there, `outcome_held_out` is the word of outcomes.py there,
    `primary` the answer to the primary comparison. hack_quarantine_X and solve_quarantine_X are of the subset, at the
    factor X on the quarantine.
    """
    unknown = in_turn(study, modes)
    twins = {arm: twin_difference(unknown, arm) for arm in study.arms}
    solves = {arm: final_difference(unknown, arm, unknown.baseline(arm), "solve") for arm in study.arms}
    own = pd.DataFrame(
        [
            {**_own(study, arm), **_held_out(unknown, arm, twins[arm], solves[arm]), **_scaled(study, arm)}
            for arm in study.arms
        ]
    )
    own["outcome_held_out"] = [judged["outcomes"].get(arm) for arm in study.arms]
    tested = own["twin_diff_held_out_p"].notna() & np.array([spec.tested for spec in study.arms.values()])
    place = own.columns.get_loc("twin_diff_held_out_p") + 1
    own.insert(place, "twin_diff_held_out_p_holm", nan)
    own.loc[tested, "twin_diff_held_out_p_holm"] = holm(own.loc[tested, "twin_diff_held_out_p"])
    own["primary"] = [
        primary(twins[arm], p, solves[arm]) if pd.notna(p) else None
        for arm, p in zip(study.arms, own["twin_diff_held_out_p_holm"], strict=True)
    ]
    return rounded(pd.concat([table1(study), own], axis=1))


def primary(twin: Effect, p: float, solve: Effect) -> str:
    """Return the answer to the primary comparison, of the twin's hack minus the arm's with its Holm-adjusted p, and of
    the arm's solve minus its baseline's."""
    return together([above_nothing(twin, p), solve_kept(solve)]).answer


def verdicts(study: Study, modes: Mapping[int, str]) -> dict:
    """Return H1, H1s and H2 of every intervention on the held-out modes, ready for JSON."""
    return h1(in_turn(study, modes))


def _own(study: Study, arm: str) -> dict:
    spec, log = study.arms[arm], study.training[arm]
    said = {"signal": spec.signal, "action": spec.action, "knows": spec.knows}
    return said | {name: mean(log[name]) for name in (*QUALITY, *HELD_OUT_QUALITY)}


def _held_out(unknown: Study, arm: str, twin: Effect, solve: Effect) -> dict:
    final = unknown.final(arm)
    tested = arm in unknown.claims
    return {
        **{f"{name}_held_out": mean(final[name]) for name in ("hack", "solve", "attempted")},
        **columns("hack_diff_held_out", final_difference(unknown, arm, unknown.baseline(arm), "hack")),
        **columns("solve_diff_held_out", solve),
        **columns("twin_diff_held_out", twin),
        "twin_diff_held_out_p": twin.p,
        **columns("base_hack_diff_held_out", above_base(unknown, arm)),
        **columns("base_solve_diff_held_out", above_base(unknown, arm, "solve")),
        "dominated_by": dominance(unknown, arm).against if tested else None,
    }


def _scaled(study: Study, arm: str) -> dict:
    """Return hack and solve at every factor on the quarantine that the arm was looked at with."""
    states = [key[2] for key in study.views if key[0] == arm and key[2].startswith("quarantine ")]
    row = {}
    for state in states:
        rates = study.final(arm, scope="subset", state=state)
        row |= {f"{name}_{state.replace(' ', '_')}": mean(rates[name]) for name in ("hack", "solve")}
    return row
