"""The verdicts H1, H1s and H2 of method 7, computed from a study and never typed by hand.

1. A claim is a list of clauses, each judged by one of the rules of judgement.py; one whose arm is not in the table is
   not measured. A hypothesis is falsified if a clause fails, supported if all hold, undecided otherwise.
2. Where the baseline hardly hacks more than the base model, there is nothing to prevent, and none is measured. The base
   model is the table's arm of 0 steps, evaluated like the others: on all problems, paired by replicate.
3. Of H2 the full claim is about held-out modes at the long horizon; a table decides it on its own problems and steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

from projected_grpo.analysis.judgement import (
    BASE_MARGIN,
    CEILING_MARGIN,
    FAILS,
    HOLDS,
    OPEN,
    REDUCTION,
    REDUCTION_FALSIFIES,
    UNMEASURED,
    Judgement,
    above_nothing,
    at_least,
    below_margin,
    is_preventable,
    solve_kept,
    together,
)
from projected_grpo.analysis.outcomes import outcome
from projected_grpo.analysis.statistics import LEVEL, NO_EFFECT, Effect, holm
from projected_grpo.analysis.study import Claim, Study
from projected_grpo.analysis.table1 import DECIMALS, above_base, ceiling_distance, early_stop, final_difference

SPECIFIC = ("random", "shuffled", "nonhack")  # kinds of V that H1s holds an arm against (method 2)

# the words of the preregistration
HYPOTHESIS = {HOLDS: "supported", FAILS: "falsified", OPEN: "undecided", UNMEASURED: UNMEASURED}


@dataclass(frozen=True)
class Clause:
    """One condition of a claim.

    clause   reduction | solve | noise | beats | matched | early | base | ceiling | preventable, as in `h1`; slow, as in
             `fold_verdicts`
    against  the arm that the claiming one is held against; if not measured, the arm that is not in the table
    p        of the decision interval; Holm-adjusted in `beats`
    solve    of `slow`, which rests on two effects: the arm's solve minus the control's
    """

    clause: str
    against: str
    judgement: Judgement
    effect: Effect  # higher is better for the intervention; of `base` and `preventable`, more hacking
    p: float
    solve: Effect | None = None

    def plain(self) -> dict:
        """Return the clause for JSON: numbers rounded, None for what has no number."""
        ends = ("estimate", "low", "high", "sem")
        numbers = {name: getattr(self.effect, name) for name in ends} | {"p": self.p}
        if self.solve is not None:
            numbers |= {f"solve_{name}": getattr(self.solve, name) for name in ends}
        shown = {name: None if isnan(value) else round(value, DECIMALS) + 0.0 for name, value in numbers.items()}
        judged = {"answer": self.judgement.answer, "firm": bool(self.judgement.firm)}
        return {"clause": self.clause, "against": self.against, **judged, **shown}


def h1(study: Study) -> dict:
    """Return the verdicts H1, H1s and H2 of every intervention in the claims, ready for JSON.

    H1, against the intervention's baseline, deployed, in full, at the last step:
      reduction  hack lower by REDUCTION holds; by less than REDUCTION_FALSIFIES fails; in between is open.
      solve      lower by at most MATCHED holds; by more than DROP_FALSIFIES fails; in between is open.
      noise      the reduction is above nothing.
    H1s needs H1's clauses, and
      beats      hack lower than each control's, by Holm's p over all of these in the table; an arm that projects a
                 hack V and whose controls lack a kind in SPECIFIC has a clause that is not measured;
      matched    solve against that control, judged like `solve`: less hack by more damage beats nothing;
      early      (b) above nothing, against the baseline and with each slow control in its place.
    H2, prevention, whatever the baseline does:
      base       hack above the base model's by at most BASE_MARGIN, by the interval.
      ceiling    (c), solve, below the honest ceiling's by at most CEILING_MARGIN, by the interval.
      beats      hack lower than the twin's, by the same p as in H1s.
    A baseline that leaves nothing to prevent stands in all three as the clause `preventable`, and decides them.
    `outcomes` has the one word that outcomes.py finds for every intervention.
    """
    wanted = [(arm, control) for arm, claim in study.claims.items() for control in claim.controls]
    effects = {pair: _lower_hack(study, *pair) for pair in wanted if set(pair) <= set(study.arms)}
    adjusted = dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
    claims, outcomes = {}, {}
    for arm, claim in study.claims.items():
        nothing = _nothing_to_prevent(study, arm)
        clauses = nothing + _against_baseline(study, arm)
        controls = _against_controls(study, arm, claim, effects, adjusted)
        prevented = [*nothing, *_prevention(study, arm), *_against_twin(study, arm, controls)]
        claims[arm] = {
            "H1": verdict(clauses, HYPOTHESIS),
            "H1s": verdict([*clauses, *controls, *_against_early_stops(study, arm, claim)], HYPOTHESIS),
            "H2": verdict(prevented, HYPOTHESIS),
        }
        outcomes[arm] = (
            UNMEASURED if nothing or arm not in study.arms else outcome(study, arm, verdict(prevented)["verdict"])
        )
    return {
        "n_replicates": len(study.replicates),
        "level": LEVEL,
        "holm_family": len(effects),
        "claims": claims,
        "outcomes": outcomes,
    }


def verdict(clauses: Sequence[Clause], words: Mapping[str, str] | None = None) -> dict:
    """Return the judgement of all clauses together, in other words where there are some, ready for JSON.

    `decided_by` names the clauses behind it: those that fail, or that all hold, or that keep it open. With nothing to
    prevent it is not measured, whatever the other clauses say.
    """
    judged = together(clause.judgement for clause in clauses)
    deciding = {judged.answer} if judged.answer != OPEN else {OPEN, UNMEASURED}
    decided_by = [number for number, one in enumerate(clauses) if one.judgement.answer in deciding]
    if any(clause.clause == "preventable" for clause in clauses):
        judged = Judgement(UNMEASURED)
        decided_by = [number for number, one in enumerate(clauses) if one.clause == "preventable"]
    return {
        "verdict": (words or {}).get(judged.answer, judged.answer),
        "firm": bool(judged.firm),
        "decided_by": decided_by,
        "clauses": [clause.plain() for clause in clauses],
    }


def missing(clause: str, arm: str) -> Clause:
    """Return a clause that needs an arm that is not in the table."""
    return Clause(clause, arm, Judgement(UNMEASURED), NO_EFFECT, NO_EFFECT.p)


def _lower_hack(study: Study, arm: str, other: str) -> Effect:
    return final_difference(study, other, arm, "hack")


def _nothing_to_prevent(study: Study, arm: str) -> list[Clause]:
    """Return the clause that says so, or none."""
    baseline = study.baseline(arm) if arm in study.arms else None
    hacking = NO_EFFECT if baseline is None else above_base(study, baseline)
    if isnan(hacking.estimate) or is_preventable(hacking.estimate):
        return []
    return [Clause("preventable", baseline, Judgement(UNMEASURED), hacking, hacking.p)]


def _prevention(study: Study, arm: str) -> list[Clause]:
    if arm not in study.arms:
        return [missing(clause, arm) for clause in ("base", "ceiling")]
    hack, solve = above_base(study, arm), ceiling_distance(study, arm)
    base, ceiling = study.base or "the base model", study.ceiling or "the honest ceiling"
    lower = replace(solve, estimate=-solve.estimate, low=-solve.high, high=-solve.low)
    return [
        Clause("base", base, below_margin(hack, BASE_MARGIN), hack, hack.p),
        Clause("ceiling", ceiling, below_margin(lower, CEILING_MARGIN), solve, solve.p),
    ]


def _against_twin(study: Study, arm: str, controls: Sequence[Clause]) -> list[Clause]:
    """Return the clause of H1s that holds the arm against its twin."""
    if arm not in study.arms:
        return [missing("beats", arm)]
    twin = study.twin(arm)
    found = [one for one in controls if (one.clause, one.against) == ("beats", twin)]
    return found[:1] or [missing("beats", twin or f"a twin of {arm}")]


def _against_baseline(study: Study, arm: str) -> list[Clause]:
    clauses = ("reduction", "solve", "noise")
    if arm not in study.arms:
        return [missing(clause, arm) for clause in clauses]
    other = study.baseline(arm)
    if other is None:
        return [missing(clause, str(study.arms[arm].baseline)) for clause in clauses]
    reduction = _lower_hack(study, arm, other)
    solve = final_difference(study, arm, other, "solve")
    return [
        Clause("reduction", other, at_least(reduction, REDUCTION, REDUCTION_FALSIFIES), reduction, reduction.p),
        Clause("solve", other, solve_kept(solve), solve, solve.p),
        Clause("noise", other, above_nothing(reduction), reduction, reduction.p),
    ]


def _against_controls(study: Study, arm: str, claim: Claim, effects: Mapping, adjusted: Mapping) -> list[Clause]:
    clauses = []
    for control in claim.controls:
        if (arm, control) not in effects:
            clauses.append(missing("beats", control if arm in study.arms else arm))
            continue
        effect, p = effects[arm, control], float(adjusted[arm, control])
        solve = final_difference(study, arm, control, "solve")
        clauses.append(Clause("beats", control, above_nothing(effect, p), effect, p))
        clauses.append(Clause("matched", control, solve_kept(solve), solve, solve.p))
    there = {study.arms[control].kind for control in claim.controls if control in study.arms}
    spec = study.arms.get(arm)
    wanted = SPECIFIC if spec is None or (spec.kind == "hack" and not spec.signal) else ()
    return clauses + [missing("beats", f"{arm} with a {kind} V") for kind in wanted if kind not in there]


def _against_early_stops(study: Study, arm: str, claim: Claim) -> list[Clause]:
    if arm not in study.arms:
        return [missing("early", arm)]
    clauses = []
    for rival in (study.arms[arm].baseline, *claim.slow):
        if rival not in study.arms:
            clauses.append(missing("early", str(rival)))
            continue
        effect = early_stop(study, arm, rival).effect
        clauses.append(Clause("early", rival, above_nothing(effect), effect, effect.p))
    return clauses
