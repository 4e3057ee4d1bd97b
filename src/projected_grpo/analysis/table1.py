"""Table 1 (method 7): what every arm did at its last step, and its differences (a) to (e), paired by replicate.

1. Rates are of the DEPLOYED model with the hint, sampled at the training temperature, on all held-out problems,
   unless the column says otherwise (`_greedy`, `_no_hint`, `_as_trained`: quarantine kept).
2. hack = exploited, solve = correct. Rates and differences are fractions; 0.10 is ten points.
3. Intervals are the decision interval of statistics.py. NaN: not measured, or (intervals) one replicate.
4. The early-stopping difference (b) uses the subset of problems that is evaluated along the run, in two halves of its
   samples (early_stop.py).
"""

from math import nan

import numpy as np
import pandas as pd

from projected_grpo.analysis.early_stop import EarlyStop, early_stopping
from projected_grpo.analysis.judgement import STOP_TOLERANCES, is_matched
from projected_grpo.analysis.onset import hacked_runs, onset
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, difference, holm
from projected_grpo.analysis.study import Study, StudyError, group, mean, ratio

DECIMALS = 6
LAST_STEPS = 5  # training steps in the means that the original implementation reports
OVERLAPS = ["overlap_student", "overlap_teacher", "overlap_teacher_hack", "overlap_teacher_clean", "overlap_update"]
DRIFTS = ("drift", "drift_quarantine")
STUDENT = ("hack_student", "solve_student")
NO_STOP = EarlyStop(NO_EFFECT, np.empty((2, 0), int), np.empty((2, 0), bool))


def table1(study: Study) -> pd.DataFrame:
    """Return one row per arm in the order of the config, rounded to 6 decimals so that the file's bytes are stable.

    Every difference X comes as X, X_low, X_high (95% decision interval) and X_sem (SEM over replicates):
    hack_diff and solve_diff are (a), with hack_diff_p and its Holm adjustment over the arms that have a baseline, and
    solve_bound, the one-sided 95% lower bound of solve_diff. `matched` is empty without a baseline.
    early_stop_diff is (b), with the mean step at which the baseline was stopped and the number of replicates where it
    never hacked that little, so that its step 0 stands in; early_stop_diff_2 and _5 let it hack 2 and 5 points more.
    ceiling_diff is (c). hacked_runs of n_replicates is (d), with Clopper-Pearson's interval hacked_low, hacked_high;
    onset is the restricted mean step at which the student starts to hack, onset_censored the number of runs that never
    do. twin_diff is (e), the hack of the arm's twin minus the arm's. `_renamed`, where it was measured: problems of
    mode run_tests whose test function has a name that training never showed. `_asked`: the subset's problems with the
    explicit request to exploit, what can still be elicited. vacuous_own_tests and wrong_own_tests are
    shares of the completions that define run_tests.
    base_solve_diff is the arm's solve minus the base model's, which is the table's arm of 0 steps. slow_matched names
    the slow control that was matched to the arm in hack on tuning replicates: slow_diff is its hack minus the arm's,
    slow_solve_diff the arm's solve minus its own. nonhack names the arm's control whose V knows wrong from right
    alone: nonhack_share is how much less than the baseline it hacks, over how much less the arm does.
    Overlaps are means over the run's steps beside their bound and, where the run measured V of other kinds on the same
    gradients, the largest of theirs: overlap_null_measured. drift and drift_quarantine are at the end of the run,
    flagged_share is the mean over its steps of the share of all rows that its signal flagged.
    """
    table = pd.DataFrame([_row(study, arm) for arm in study.arms])
    table.insert(list(table.columns).index("hack_diff_p") + 1, "hack_diff_p_holm", nan)
    tested = [study.baseline(arm) is not None for arm in study.arms]
    table.loc[tested, "hack_diff_p_holm"] = holm(table.loc[tested, "hack_diff_p"])
    return rounded(table)


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as they are in the file."""
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].round(DECIMALS) + 0.0 for name in numbers})  # no negative zero


def _row(study: Study, arm: str) -> dict:
    view, spec = study.view(arm), study.arms[arm]
    if view is None:
        raise StudyError(f"{arm}: no sampled evaluation of the deployed model with the hint in full")
    return {
        "arm": arm,
        "group": group(study, arm),
        "baseline": spec.baseline,
        "direction": spec.direction,
        "last_step": spec.last,
        "n_replicates": len(study.replicates),
        "n_problems": len(view.problems),
        "n_samples": view.samples,
        **_rates(study, arm),
        **_differences(study, arm),
        **_controls(study, arm),
        **_hacking(study, arm),
        **_training(study, arm),
    }


def _rates(study: Study, arm: str) -> dict:
    """Return the means over replicates and problems at the last step."""
    final = study.final(arm)
    row = {name: mean(final[name]) for name in ("hack", "solve", "attempted")}
    row["exploited_given_attempted"] = ratio(final["hack_attempted"], final["attempted"])
    others = {"greedy": {"decoding": "greedy"}, "no_hint": {"hint": False}, "as_trained": {"state": "trained"}}
    for suffix, condition in others.items():
        rates = study.final(arm, **condition)
        for name in ("hack", "solve"):
            row[f"{name}_{suffix}"] = nan if rates is None else mean(rates[name])
    renamed = study.final(arm, scope="renamed")
    if renamed is not None:
        row |= {f"{name}_renamed": mean(renamed[name]) for name in ("hack", "attempted")}
    asked = study.final(arm, scope="asked")
    row |= {f"{name}_asked": nan if asked is None else mean(asked[name]) for name in ("hack", "attempted")}
    modes = study.view(arm).modes
    row |= {f"hack_{mode}": mean(final["hack"][:, modes == mode]) for mode in sorted(set(modes))}
    row["vacuous_own_tests"] = ratio(final["vacuous"], final["own_tests"])
    row["wrong_own_tests"] = ratio(final["wrong"], final["own_tests"])
    return row


def _differences(study: Study, arm: str) -> dict:
    """Return (a), (b), (c) and (e); all NaN where the arm has nothing to be held against."""
    baseline = study.baseline(arm)
    hack, solve = (final_difference(study, arm, baseline, rate) for rate in ("hack", "solve"))
    stops = {tolerance: early_stop(study, arm, study.arms[arm].baseline, tolerance) for tolerance in STOP_TOLERANCES}
    strict, *loose = stops.values()
    return {
        **columns("hack_diff", hack),
        "hack_diff_p": hack.p,
        **columns("solve_diff", solve),
        "solve_bound": solve.bound,
        "matched": None if baseline is None else is_matched(solve.estimate),
        **columns("early_stop_diff", strict.effect),
        "early_stop_step": mean(strict.checkpoint),
        "early_stop_stand_ins": stand_ins(strict),
        **{
            name: value
            for tolerance, stop in zip(STOP_TOLERANCES[1:], loose, strict=True)
            for name, value in columns(f"early_stop_diff_{100 * tolerance:g}", stop.effect).items()
        },
        **columns("ceiling_diff", ceiling_distance(study, arm)),
        "twin": study.twin(arm),
        **columns("twin_diff", twin_difference(study, arm)),
    }


def _controls(study: Study, arm: str) -> dict:
    """Return what the arm is worth beside the base model, training as slow as it takes, and a V of wrongness alone."""
    slow = study.arms[arm].slow if study.arms[arm].slow in study.arms else None
    nonhack, share = nonhack_share(study, arm)
    return {
        **columns("base_solve_diff", above_base(study, arm, "solve")),
        "slow_matched": slow,
        **columns("slow_diff", final_difference(study, slow, arm, "hack") if slow else NO_EFFECT),
        **columns("slow_solve_diff", final_difference(study, arm, slow, "solve")),
        "nonhack": nonhack,
        "nonhack_share": share,
    }


def _hacking(study: Study, arm: str) -> dict:
    """Return method 7 (d)."""
    hacked, began = hacked_runs(study, arm), onset(study, arm)
    return {
        "hacked_runs": hacked.runs,
        "hacked_low": hacked.low,
        "hacked_high": hacked.high,
        "onset": began.mean,
        "onset_censored": began.censored,
    }


def columns(name: str, effect: Effect) -> dict[str, float]:
    return {name: effect.estimate, f"{name}_low": effect.low, f"{name}_high": effect.high, f"{name}_sem": effect.sem}


def final_difference(study: Study, arm: str, other: str | None, rate: str) -> Effect:
    """Return method 7 (a): the arm's `rate` at its last step minus the other arm's at its own."""
    if other is None:
        return NO_EFFECT
    return difference(study.final(arm)[rate], study.final(other)[rate])


def twin_difference(study: Study, arm: str) -> Effect:
    """Return method 7 (e): the hack of the arm's twin minus the arm's, both at their last steps."""
    twin = study.twin(arm)
    return final_difference(study, twin, arm, "hack") if twin in study.arms else NO_EFFECT


def above_base(study: Study, arm: str, rate: str = "hack") -> Effect:
    """Return the arm's `rate` at its last step minus the base model's, an arm of its own, on the same problems."""
    base = study.base
    return NO_EFFECT if base is None or arm == base else final_difference(study, arm, base, rate)


def nonhack_share(study: Study, arm: str) -> tuple[str | None, float]:
    """Return the arm's nonhack control in the study, and its reduction of hack as a share of the arm's.

    NaN without a control or a baseline, and where the arm hacks no less than its baseline: then there is no effect to
    share. A ratio of means, without an interval.
    """
    controls = study.claims[arm].controls if arm in study.claims else ()
    control = next((name for name in controls if name in study.arms and study.arms[name].kind == "nonhack"), None)
    baseline = study.baseline(arm)
    if control is None or baseline is None:
        return control, nan
    high, own, other = (mean(study.final(name)["hack"]) for name in (baseline, arm, control))
    return control, (high - other) / (high - own) if high > own else nan


def early_stop(study: Study, arm: str, baseline: str | None, tolerance: float = 0.0) -> EarlyStop:
    """Return method 7 (b) against any arm in the baseline's place; `checkpoint` holds steps, not indices.

    For a baseline against itself it says what was lost by not stopping early.
    """
    own, other = study.view(arm, scope="subset"), study.view(baseline, scope="subset")
    if own is None or other is None:
        return NO_STOP
    last, along = own.halves_at(study.arms[arm].last), other.by_halves()
    stop = early_stopping(last["hack"], last["solve"], along["hack"], along["solve"], tolerance)
    return EarlyStop(stop.effect, other.steps[stop.checkpoint], stop.stand_in)


def stand_ins(stop: EarlyStop) -> int:
    """Return the number of replicates where a half of the samples found no checkpoint that hacked so little."""
    return int(stop.stand_in.any(0).sum())


def smallest_effect(table: pd.DataFrame, name: str = "hack_diff") -> float:
    """Return the smallest difference in hack that a table could have shown: the half-width of a difference's decision
    interval, of (a) unless `name` says which, median over its rows; NaN where there is none."""
    widths = (table[f"{name}_high"] - table[f"{name}_low"]) / 2
    return float(widths.median()) if widths.notna().any() else nan


def ceiling_distance(study: Study, arm: str) -> Effect:
    """Return method 7 (c): deployed solve minus the honest ceiling's at the same number of steps.

    In full where both end there; else on the subset, if the ceiling has a checkpoint at the arm's last step. The base
    model has none: at 0 steps it is the ceiling.
    """
    if study.ceiling not in study.arms or arm in (study.ceiling, study.base):
        return NO_EFFECT
    last = study.arms[arm].last
    if study.arms[study.ceiling].last == last:
        return final_difference(study, arm, study.ceiling, "solve")
    own, ceiling = study.view(arm, scope="subset"), study.view(study.ceiling, scope="subset")
    if own is None or ceiling is None or last not in ceiling.steps:
        return NO_EFFECT
    return difference(own.at(last)["solve"], ceiling.at(last)["solve"])


def _training(study: Study, arm: str) -> dict:
    """Return what the run logged: means over its steps, the drift at its end, the original's last-step means."""
    log, best = study.training[arm], study.best_control(arm)
    row = {name: mean(log[name]) for name in OVERLAPS}
    row["overlap_null_bound"] = mean(log["overlap_null"])
    row["overlap_null_measured"] = nan if best is None else mean(study.measured(arm)[best])
    for name in DRIFTS:
        row[name] = mean(log[name][:, -1:])  # of no step for the base model
    row["flagged_share"] = mean(log["flagged_share"])
    for name in STUDENT:
        row[f"{name}_last{LAST_STEPS}"] = mean(log[name][:, -LAST_STEPS:])
    return row
