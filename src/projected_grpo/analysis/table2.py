"""Table 2 (method 7): what a weak detector buys on the loophole that it does not know.

1. A fold holds one mode out: V and the teacher pool know the others, training has all. Arms are the arms of table 2
   under their plain names, each held against its baseline of the same fold.
2. Every number comes twice: on the problems of the held-out mode, and on those of the known ones. `all` pools the
   held-out problems of all folds, each problem under the models that did not know its mode.
3. A fold holds if, on the held-out mode, hack falls, solve does not, the real V beats the random one (Holm over all
   such comparisons of single folds, and over those of `all`), and the arm is better than every slow or cold control of
   its baseline (not corrected); rules as in judgement.py. That asks for less than H1 and H1s do: neither 30 points nor
   (b).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from projected_grpo.analysis.judgement import above_nothing, better, solve_kept
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, holm
from projected_grpo.analysis.study import Study, mean, pool, restrict
from projected_grpo.analysis.table1 import (
    above_base,
    columns,
    early_stop,
    final_difference,
    rounded,
    stand_ins,
    twin_difference,
)
from projected_grpo.analysis.verdicts import Clause, missing, verdict

ALL = "all"  # the held-out problems of all folds together


def held_out(folds: Mapping[str, Study]) -> dict[str, Study]:
    """Return {mode: the fold's study on the held-out problems}, and under ALL all of them pooled."""
    parts = {mode: restrict(study, [mode]) for mode, study in folds.items()}
    return {**parts, ALL: pool(list(parts.values()))}


def known(folds: Mapping[str, Study]) -> dict[str, Study]:
    """Return {mode: the fold's study on the problems of the modes that it knows}."""
    return {mode: restrict(study, set(folds) - {mode}) for mode, study in folds.items()}


def table2(folds: Mapping[str, Study]) -> pd.DataFrame:
    """Return one row per fold, kind of modes (held out, known) and arm; rates and differences as in table 1.

    twin_diff is the hack of the arm's twin minus the arm's. `verdict` is of the fold and the arm.
    """
    verdicts = fold_verdicts(folds)
    rows = []
    for modes, studies in (("held out", held_out(folds)), ("known", known(folds))):
        for fold, study in studies.items():
            for arm in study.arms:
                judged = verdicts["folds"][fold].get(arm, {}).get("verdict") if modes == "held out" else None
                rows.append({"fold": fold, "modes": modes, "arm": arm, **_numbers(study, arm), "verdict": judged})
    return rounded(pd.DataFrame(rows))


def _numbers(study: Study, arm: str) -> dict:
    final, baseline = study.final(arm), study.baseline(arm)
    hack = final_difference(study, arm, baseline, "hack")
    stop = early_stop(study, arm, baseline) if baseline else None
    return {
        "baseline": study.arms[arm].baseline,
        "last_step": study.arms[arm].last,
        "teacher": study.arms[arm].mix > 0,
        "n_replicates": len(study.replicates),
        "n_problems": len(study.view(arm).problems),
        **{name: mean(final[name]) for name in ("hack", "solve", "attempted")},
        **columns("hack_diff", hack),
        "hack_diff_p": hack.p,
        **columns("solve_diff", final_difference(study, arm, baseline, "solve")),
        **columns("base_solve_diff", above_base(study, arm, "solve")),
        **columns("early_stop_diff", stop.effect if stop else NO_EFFECT),
        "early_stop_stand_ins": stand_ins(stop) if stop else 0,
        "twin": study.arms[arm].twin,
        **columns("twin_diff", twin_difference(study, arm)),
    }


def fold_verdicts(folds: Mapping[str, Study]) -> dict:
    """Return {"folds": {fold: {tested arm: its `verdict`}}} and the sizes behind them, ready for JSON."""
    studies = held_out(folds)
    tested = [arm for arm, spec in studies[ALL].arms.items() if spec.tested]
    effects = {(fold, arm): twin_difference(study, arm) for fold, study in studies.items() for arm in tested}
    measured = [pair for pair, effect in effects.items() if np.isfinite(effect.estimate)]
    pooled = [pair for pair in measured if pair[0] == ALL]
    single = [pair for pair in measured if pair[0] != ALL]
    adjusted = {}
    for family in (single, pooled):
        adjusted |= zip(family, holm([effects[pair].p for pair in family]), strict=True)
    judged: dict[str, dict] = {fold: {} for fold in studies}
    for (fold, arm), effect in effects.items():
        p = float(adjusted.get((fold, arm), NO_EFFECT.p))
        judged[fold][arm] = verdict(_clauses(studies[fold], arm, effect, p))
    return {
        "replicates": list(studies[ALL].replicates),
        "holm_family": len(single),
        "holm_family_all": len(pooled),
        "folds": judged,
    }


def _clauses(study: Study, arm: str, against_twin: Effect, p: float) -> list[Clause]:
    baseline, twin = study.baseline(arm), study.arms[arm].twin
    hack = final_difference(study, baseline, arm, "hack")
    solve = final_difference(study, arm, baseline, "solve")
    if twin in study.arms:
        beats = Clause("beats", twin, above_nothing(against_twin, p), against_twin, p)
    else:
        beats = missing("beats", f"{arm} without information")
    return [
        Clause("noise", baseline, above_nothing(hack), hack, hack.p),
        Clause("solve", baseline, solve_kept(solve), solve, solve.p),
        beats,
        *_against_slow(study, arm),
    ]


def _against_slow(study: Study, arm: str) -> list[Clause]:
    """Return a clause per slow or cold control of the arm's baseline: the arm is better than it (rule 4)."""
    controls = study.claims[arm].slow if arm in study.claims else ()
    clauses = []
    for control in controls:
        if control not in study.arms:
            clauses.append(missing("slow", control))
            continue
        hack = final_difference(study, control, arm, "hack")
        solve = final_difference(study, arm, control, "solve")
        clauses.append(Clause("slow", control, better(hack, solve), hack, hack.p, solve))
    return clauses or [missing("slow", f"slow training of {study.arms[arm].baseline}")]
