"""What would show that we fool ourselves (method 9), line by line, as far as table 1 decides it.

Every line asks whether something that would undo the result is the case:
yes, no, open, or not measured. An effect is called absent if its estimate is not more than one SEM above 0, present
if its decision interval lies above 0; in between, and with one seed, the line is open. No correction for the number
of lines: this list looks for trouble. What other tables decide (held-out modes, 3x the steps) is not here.
"""

from math import isnan

import numpy as np
import pandas as pd

from projected_grpo.analysis.statistics import Effect, paired_t
from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import MATCHED, NO_EFFECT, TOLERANCE, early_stop, final_difference, is_matched
from projected_grpo.analysis.verdicts import in_points

YES, NO, OPEN, UNMEASURED = "yes", "no", "open", "not measured"


def doubts(study: Study) -> pd.DataFrame:
    """Return the lines of method 9 for every claimed intervention, columns doubt, arm, against, answer, numbers."""
    rows = []
    arms = [arm for arm in study.claims if arm in study.arms]
    for arm in arms:
        rows += [_baseline_line(study, arm), _early_line(study, arm), *_control_lines(study, arm)]
        rows += [*_teacher_lines(study, arm), _attempt_line(study, arm)]
    for arm in dict.fromkeys([*(study.arms[arm]["baseline"] for arm in arms), *arms]):
        if arm in study.arms:
            rows += [_null_line(study, arm), _teacher_overlap_line(study, arm)]
    return pd.DataFrame(rows, columns=["doubt", "arm", "against", "answer", "numbers"])


def absent(effect: Effect) -> str:
    """Say whether an effect is absent."""
    if isnan(effect.estimate):
        return UNMEASURED
    if isnan(effect.sem):
        return OPEN
    return NO if effect.low > 0 else YES if effect.estimate <= effect.sem else OPEN


def one_without_other(one: Effect, other: Effect) -> str:
    """Say whether the first effect is there and the second is absent."""
    first, second = absent(one), absent(other)
    if UNMEASURED in (first, second):
        return UNMEASURED
    if second == NO or first == YES:
        return NO
    return YES if (first, second) == (NO, YES) else OPEN


def matched_without_other(*arms: tuple[Study, str]) -> tuple[str, list[str]]:
    """Say of two arms whether the first has less hacking than its baseline and the second has not, with both numbers.

    Where solve is not matched the answer is `not measured`: a model that can do nothing does not hack either.
    """
    effects = [reduction(study, arm) if arm in study.arms else NO_EFFECT for study, arm in arms]
    solves = [reduction(study, arm, "solve") if arm in study.arms else NO_EFFECT for study, arm in arms]
    unmatched = [lower.estimate > MATCHED + TOLERANCE for lower in solves]
    numbers = [
        f"{in_points(effect)}{f' (solve {-100 * lower.estimate:+z.1f}: not matched)' if damaged else ''}"
        for effect, lower, damaged in zip(effects, solves, unmatched, strict=True)
    ]
    return UNMEASURED if any(unmatched) else one_without_other(*effects), numbers


def reduction(study: Study, arm: str, rate: str = "hack") -> Effect:
    other = study.baseline(arm)
    return NO_EFFECT if other is None else final_difference(study, other, arm, rate)


def _baseline_line(study: Study, arm: str) -> tuple:
    """Matched solve says little where the baseline's own solve has collapsed: the next line has to be read too."""
    other, doubt = study.baseline(arm), "hacks like its baseline at matched solve"
    if other is None:
        return doubt, arm, str(study.arms[arm]["baseline"]), UNMEASURED, "no baseline in the table"
    less, solve = reduction(study, arm), final_difference(study, arm, other, "solve")
    numbers = f"hack lower by {in_points(less)}, solve {100 * solve.estimate:+z.1f} points"
    if not is_matched(solve):
        return doubt, arm, other, UNMEASURED, f"{numbers}: not matched"
    return doubt, arm, other, absent(less), numbers


def _early_line(study: Study, arm: str) -> tuple:
    other = study.arms[arm]["baseline"]
    effect = early_stop(study, arm, other).effect
    return "buys no more than stopping its baseline early", arm, other, absent(effect), f"(b) {in_points(effect)}"


def _control_lines(study: Study, arm: str) -> list[tuple]:
    lines = []
    for control in study.claims[arm].get("controls", ()):
        effect = final_difference(study, control, arm, "hack") if control in study.arms else NO_EFFECT
        lines.append(("hacks like a control", arm, control, absent(effect), f"hack lower by {in_points(effect)}"))
    return lines


def _teacher_lines(study: Study, arm: str) -> list[tuple]:
    lines = []
    for alone in study.claims[arm].get("alone", ()):
        answer, (with_pool, without) = matched_without_other(*((study, name) for name in (arm, alone)))
        numbers = f"hack lower by {with_pool} with it, by {without} without"
        lines.append(("works only with the teacher pool", arm, alone, answer, numbers))
    return lines


def _attempt_line(study: Study, arm: str) -> tuple:
    hack, attempted = reduction(study, arm), reduction(study, arm, "attempted")
    numbers = f"hack lower by {in_points(hack)}, attempted by {in_points(attempted)}"
    answer = one_without_other(hack, attempted)
    return "attempts as often, but fires less", arm, study.arms[arm]["baseline"], answer, numbers


def _null_line(study: Study, arm: str) -> tuple:
    """Compare the live rollouts' overlap with the one that a random V of the same shape has with its own run."""
    doubt, null = "V sees chance in the student's gradient", study.null(arm)
    if null is None:
        return doubt, arm, "", UNMEASURED, "no arm with a random V like this one's"
    own, chance = (study.training[name]["overlap_student"] for name in (arm, null))
    effect = paired_means(own, chance)
    steps = min(own.shape[1], chance.shape[1])
    share = np.nanmean(np.nanmean(own[:, :steps], 0) > np.nanmean(chance[:, :steps], 0))
    return doubt, arm, null, absent(effect), f"{in_units(effect)}; higher in {100 * share:.0f}% of the steps"


def _teacher_overlap_line(study: Study, arm: str) -> tuple:
    log = study.training[arm]
    effect = paired_means(log["overlap_teacher_hack"], log["overlap_teacher_clean"])
    return "V sees the teacher, not the hack", arm, "", absent(effect), f"hack minus clean {in_units(effect)}"


def paired_means(one: np.ndarray, other: np.ndarray) -> Effect:
    """Return the mean difference over the steps (S, T) that both have data of, paired by seed."""
    steps = min(one.shape[1], other.shape[1])
    differences = one[:, :steps] - other[:, :steps]
    return paired_t(np.nanmean(differences, 1)) if np.isfinite(differences).any(1).all() else NO_EFFECT


def in_units(effect: Effect) -> str:
    if isnan(effect.estimate):
        return "not measured"
    if isnan(effect.sem):
        return f"{effect.estimate:z.3f} [one seed: no interval]"
    return f"{effect.estimate:z.3f} [{effect.low:z.3f}, {effect.high:z.3f}], SEM {effect.sem:.3f}"
