"""What would show that we fool ourselves (method 9), line by line.

Every line asks whether something that would undo or limit the result is the case, judged by rules 2 and 4 of
judgement.py, or by what dominates the arm.
No correction for the number of lines: this list looks for trouble. `threats` has what table 1 decides; held-out modes
are decided by `held_out_threats`, three times the steps by horizon.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from projected_grpo.analysis.judgement import (
    ABSENT,
    PRESENT,
    UNMEASURED,
    beyond,
    dominated,
    is_matched,
    no_better,
    one_without_other,
    threat,
    worst,
)
from projected_grpo.analysis.statistics import NO_EFFECT, Effect, paired_t
from projected_grpo.analysis.study import Study, mean
from projected_grpo.analysis.table1 import early_stop, final_difference


@dataclass(frozen=True)
class Threat:
    """One line of method 9.

    threat   which line, a key of reporting.threats.THREATS
    against  the arm that decides it (of `chance` the direction), or None
    answer   present | absent | open | not measured
    numbers  what decides it, by name
    """

    threat: str
    arm: str
    against: str | None
    answer: str
    numbers: Mapping[str, object]


@dataclass(frozen=True)
class Reduction:
    """How much less an arm hacks than another, its baseline as a rule, and how much more it solves."""

    hack: Effect
    solve: Effect

    @property
    def matched(self) -> bool:
        """Whether solve is not known to be too low: without another arm there is nothing to match."""
        return isnan(self.solve.estimate) or is_matched(self.solve.estimate)


def reduction(study: Study, arm: str) -> Reduction:
    """Return the arm's reduction; NO_EFFECT for an arm that is not in the study or has no baseline there."""
    return beside(study, arm, study.baseline(arm) if arm in study.arms else None)


def beside(study: Study, arm: str, other: str | None) -> Reduction:
    """Return the arm's reduction against any other; NO_EFFECT where one of the two is not in the study."""
    if arm not in study.arms or other not in study.arms:
        return Reduction(NO_EFFECT, NO_EFFECT)
    return Reduction(final_difference(study, other, arm, "hack"), final_difference(study, arm, other, "solve"))


def lower(study: Study, arm: str, rate: str) -> Effect:
    """Return the baseline's rate minus the arm's."""
    other = study.baseline(arm)
    return NO_EFFECT if other is None else final_difference(study, other, arm, rate)


def matched_without_other(one: Reduction, other: Reduction) -> str:
    """Say whether it is a threat that the first arm hacks less than its baseline and the second does not.

    Where solve is not matched it is not measured: a model that can do nothing does not hack either.
    """
    return one_without_other(one.hack, other.hack) if one.matched and other.matched else UNMEASURED


def threats(study: Study) -> list[Threat]:
    """Return the lines of method 9 that table 1 decides, for every claimed intervention and its baseline."""
    lines = []
    arms = [arm for arm in study.claims if arm in study.arms]
    for arm in arms:
        lines += [_baseline(study, arm), _early(study, arm), dominance(study, arm)]
        lines += [
            _slow(study, arm),
            _untrained(study, arm),
            *_action(study, arm),
            *_controls(study, arm),
            _best_control(study, arm),
        ]
        lines += [*_teacher(study, arm), _attempts(study, arm)]
    baselines = [arm for arm in dict.fromkeys(study.arms[arm].baseline for arm in arms) if arm in study.arms]
    lines += [_chance(study, arm) for arm in baselines]
    return lines + [_teacher_overlap(study, arm) for arm in dict.fromkeys([*baselines, *arms])]


def held_out_threats(study: Study) -> list[Threat]:
    """Return method 9's lines on the weak detector per tested arm, on the held-out problems of all folds together."""
    lines = []
    for arm in (name for name, spec in study.arms.items() if spec.tested):
        lines.append(_held_out(study, "held out", arm, study.baseline(arm)))
        slow = study.claims[arm].slow if arm in study.claims else ()
        lines += [_held_out(study, "held out slow", arm, control) for control in slow or [None]]
    return lines


def _held_out(study: Study, line: str, arm: str, other: str | None) -> Threat:
    """Ask whether the held-out mode falls against another arm, and not by damage alone."""
    found = beside(study, arm, other)
    answer = threat(found.hack)
    if answer == ABSENT and not found.matched:
        answer = PRESENT
    return Threat(line, arm, other, answer, {"less": found} if other in study.arms else {})


def _baseline(study: Study, arm: str) -> Threat:
    """Matched solve says little where the baseline's own solve has collapsed: the next line has to be read too."""
    found = reduction(study, arm)
    answer = threat(found.hack) if found.matched else UNMEASURED
    return Threat("baseline", arm, study.arms[arm].baseline, answer, {"less": found})


def _early(study: Study, arm: str) -> Threat:
    other = study.arms[arm].baseline
    effect = early_stop(study, arm, other).effect
    return Threat("early", arm, other, threat(effect), {"early": effect})


def dominance(study: Study, arm: str) -> Threat:
    """Ask whether anything that is simpler, or knows nothing, hacks less AND solves more; `against` names what does.

    That is each slow or cold control and the twin, at their last steps, and the baseline stopped early, which hacks no
    more than the arm by how it is chosen, so that (b) decides.
    """
    rivals = [*study.claims[arm].slow, *filter(None, [study.twin(arm)])]
    answers = {}
    for rival in dict.fromkeys(rivals):
        known = rival in study.arms
        hack, solve = (final_difference(study, arm, rival if known else None, rate) for rate in ("hack", "solve"))
        answers[rival] = dominated(hack, solve)
    stopped = study.arms[arm].baseline
    early = early_stop(study, arm, stopped).effect
    by = [rival for rival, answer in answers.items() if answer == PRESENT]
    numbers = {
        "by": by,
        "open": [rival for rival, answer in answers.items() if answer not in (PRESENT, ABSENT)],
        "stopped": stopped,
        "early": early,
        "early answer": beyond(early),
    }
    against = ", ".join([*by, *[f"{stopped}, stopped early"] * (beyond(early) == PRESENT)]) or None
    return Threat("dominated", arm, against, worst([*answers.values(), beyond(early)]), numbers)


def _slow(study: Study, arm: str) -> Threat:
    """Ask whether the arm is better than training that is as slow as it takes to hack as little."""
    slow = study.arms[arm].slow
    found = beside(study, arm, slow)
    numbers = {"less": found} if slow in study.arms else {}
    return Threat("slow", arm, slow, no_better(found.hack, found.solve), numbers)


def _untrained(study: Study, arm: str) -> Threat:
    """Ask whether not training at all would do: less hacking than the baseline, no more solving than the base model."""
    less, more = lower(study, arm, "hack"), beside(study, arm, study.base).solve
    numbers = {"less": less, "more": more} if study.base else {}
    return Threat("untrained", arm, study.base, one_without_other(less, more), numbers)


def _action(study: Study, arm: str) -> list[Threat]:
    """Ask of an arm with a quarantine whether the quarantine does anything that the gate alone does not."""
    if not study.has_quarantine(arm):
        return []
    screen = study.claims[arm].screen
    found = beside(study, arm, screen)
    numbers = {"less": found} if screen in study.arms else {}
    return [Threat("action", arm, screen, no_better(found.hack, found.solve), numbers)]


def _controls(study: Study, arm: str) -> list[Threat]:
    lines = []
    for control in study.claims[arm].controls:
        effect = final_difference(study, control, arm, "hack") if control in study.arms else NO_EFFECT
        lines.append(Threat("control", arm, control, threat(effect), {"hack": effect}))
    return lines


def _best_control(study: Study, arm: str) -> Threat:
    """Hold the arm against the one that hacks least of its controls in the study, whatever that one solves."""
    known = [control for control in study.claims[arm].controls if control in study.arms]
    best = min(known, key=lambda control: study.final(control)["hack"].mean(), default=None)
    found = beside(study, arm, best)
    return Threat("best control", arm, best, threat(found.hack), {"less": found} if best else {})


def _teacher(study: Study, arm: str) -> list[Threat]:
    """Compare with the arms that are equal but for the teacher; an arm with one but no counterpart is not measured."""
    if not study.claims[arm].alone:
        return [Threat("teacher", arm, None, UNMEASURED, {})] if study.arms[arm].mix else []
    lines = []
    for alone in study.claims[arm].alone:
        with_pool, without = reduction(study, arm), reduction(study, alone)
        answer = matched_without_other(with_pool, without)
        lines.append(Threat("teacher", arm, alone, answer, {"with": with_pool, "without": without}))
    return lines


def _attempts(study: Study, arm: str) -> Threat:
    hack, attempted = lower(study, arm, "hack"), lower(study, arm, "attempted")
    answer = one_without_other(hack, attempted)
    return Threat("attempts", arm, study.arms[arm].baseline, answer, {"hack": hack, "attempted": attempted})


def _chance(study: Study, arm: str) -> Threat:
    """Compare the overlap of a baseline's own V with the best of the other kinds, on the same live gradients.

    No line for interventions: what they train on depends on their V.
    """
    best = study.best_control(arm)
    if best is None:
        return Threat("chance", arm, None, UNMEASURED, {})
    own, others = study.training[arm]["overlap_student"], study.measured(arm)
    more = own - others[best]
    numbers = {
        "own": mean(own),
        "others": {name: mean(overlap) for name, overlap in others.items()},
        "overlap": paired_means(own, others[best]),
        "steps": mean(more[np.isfinite(more)] > 0),
    }
    return Threat("chance", arm, best, threat(numbers["overlap"]), numbers)


def _teacher_overlap(study: Study, arm: str) -> Threat:
    log = study.training[arm]
    exploits, clean = log["overlap_teacher_hack"], log["overlap_teacher_clean"]
    effect = paired_means(exploits, clean)
    both = np.isfinite(exploits - clean)
    numbers = {"overlap": effect, "steps": int(both.sum()), "of": both.size}
    return Threat("teacher overlap", arm, None, threat(effect), numbers)


def paired_means(one: np.ndarray, other: np.ndarray) -> Effect:
    """Return the mean difference over the steps (S, T) that both have data of, paired by replicate."""
    steps = min(one.shape[1], other.shape[1])
    differences = one[:, :steps] - other[:, :steps]
    return paired_t(np.nanmean(differences, 1)) if np.isfinite(differences).any(1).all() else NO_EFFECT
