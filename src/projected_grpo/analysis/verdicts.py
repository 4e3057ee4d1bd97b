"""The verdicts H1 and H1s of method 7, computed from a study and never typed by hand.

A claim is a list of clauses, each judged by one of the rules of judgement.py; one whose arm is not in the table is not
measured. A hypothesis is falsified if a clause fails, supported if all hold, undecided otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan

from projected_grpo.analysis.judgement import (
    FAILS,
    HOLDS,
    OPEN,
    REDUCTION,
    REDUCTION_FALSIFIES,
    UNMEASURED,
    Judgement,
    above_nothing,
    at_least,
    solve_kept,
    together,
)
from projected_grpo.analysis.statistics import LEVEL, NO_EFFECT, Effect, holm
from projected_grpo.analysis.study import Claim, Study
from projected_grpo.analysis.table1 import DECIMALS, early_stop, final_difference

HYPOTHESIS = {HOLDS: "supported", FAILS: "falsified", OPEN: "undecided"}  # the words of the preregistration


@dataclass(frozen=True)
class Clause:
    """One condition of a claim.

    clause   reduction | solve | noise | beats | matched | early, as in `h1`
    against  the arm that the claiming one is held against; if not measured, the arm that is not in the table
    p        of the decision interval; Holm-adjusted in `beats`
    """

    clause: str
    against: str
    judgement: Judgement
    effect: Effect  # higher is better for the intervention
    p: float

    def plain(self) -> dict:
        """Return the clause for JSON: numbers rounded, None for what has no number."""
        numbers = {name: value for name, value in asdict(self.effect).items() if name not in ("p", "n_seeds")}
        numbers["p"] = self.p
        shown = {name: None if isnan(value) else round(value, DECIMALS) + 0.0 for name, value in numbers.items()}
        judged = {"answer": self.judgement.answer, "firm": bool(self.judgement.firm)}
        return {"clause": self.clause, "against": self.against, **judged, **shown}


def h1(study: Study) -> dict:
    """Return the verdicts H1 and H1s of every intervention in the claims, ready for JSON.

    H1, against the intervention's baseline, deployed, in full, at the last step:
      reduction  hack lower by REDUCTION holds; by less than REDUCTION_FALSIFIES fails; in between is open.
      solve      lower by at most MATCHED holds; by more than DROP_FALSIFIES fails; in between is open.
      noise      the reduction is above nothing.
    H1s needs H1's clauses, and
      beats      hack lower than each direction control's, by Holm's p over all of these in the table;
      matched    solve against that control, judged like `solve`: less hack by more damage beats nothing;
      early      (b) above nothing, against the baseline and with each slow control in its place.
    """
    wanted = [(arm, control) for arm, claim in study.claims.items() for control in claim.controls]
    effects = {pair: _lower_hack(study, *pair) for pair in wanted if set(pair) <= set(study.arms)}
    adjusted = dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
    claims = {}
    for arm, claim in study.claims.items():
        clauses = _against_baseline(study, arm)
        specific = [
            *_against_controls(study, arm, claim, effects, adjusted),
            *_against_early_stops(study, arm, claim),
        ]
        claims[arm] = {"H1": verdict(clauses, HYPOTHESIS), "H1s": verdict(clauses + specific, HYPOTHESIS)}
    return {"n_seeds": len(study.seeds), "level": LEVEL, "holm_family": len(effects), "claims": claims}


def verdict(clauses: Sequence[Clause], words: Mapping[str, str] | None = None) -> dict:
    """Return the judgement of all clauses together, in other words where there are some, ready for JSON.

    `decided_by` names the clauses behind it: those that fail, or that all hold, or that keep it open.
    """
    judged = together(clause.judgement for clause in clauses)
    deciding = {judged.answer} if judged.answer != OPEN else {OPEN, UNMEASURED}
    return {
        "verdict": (words or {}).get(judged.answer, judged.answer),
        "firm": bool(judged.firm),
        "decided_by": [number for number, one in enumerate(clauses) if one.judgement.answer in deciding],
        "clauses": [clause.plain() for clause in clauses],
    }


def missing(clause: str, arm: str) -> Clause:
    """Return a clause that needs an arm that is not in the table."""
    return Clause(clause, arm, Judgement(UNMEASURED), NO_EFFECT, NO_EFFECT.p)


def _lower_hack(study: Study, arm: str, other: str) -> Effect:
    return final_difference(study, other, arm, "hack")


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
    return clauses


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
