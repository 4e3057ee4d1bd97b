"""The verdicts H1 and H1s of method 7, computed from a study and never typed by hand.

A claim is a list of clauses. Each holds, is refuted, is open, or is missing (an arm it needs is not in the table).
A claim is falsified if any clause is refuted, supported if all hold, undecided otherwise; firmly so if one of the
refuted clauses, or all that hold, are `firm`.

1. A threshold in points is judged on the estimate, as preregistered; `firm` says whether the whole 95% decision
   interval lies on the same side of it. Between the two thresholds a clause is open.
2. What has to be above nothing holds if its decision interval (its Holm-adjusted p, where the clause says so)
   excludes 0 from above, is refuted if the estimate is not more than one SEM above 0, and is open in between.
   So H1 is never supported by an estimate whose interval includes 0.
3. With one seed there is neither interval nor SEM: every clause is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan

from projected_grpo.analysis.statistics import LEVEL, Effect, holm
from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import DECIMALS, MATCHED, TOLERANCE, early_stop, final_difference

HOLDS, REFUTED, OPEN, MISSING = "holds", "refuted", "open", "missing"
REDUCTION, REDUCTION_FALSIFIES = 0.30, 0.15  # less hacking than the baseline: needed; under it falsified
DROP_FALSIFIES = 0.15  # less solving than the baseline: over it falsified, up to MATCHED allowed

TEXTS = {
    "reduction": "hack of {against} minus the arm's: {points} (needs 30, under 15 falsifies)",
    "solve": "solve minus that of {against}: {points} (needs -10 or more, under -15 falsifies)",
    "noise": "hack of {against} minus the arm's: {points}, must be above nothing",
    "beats": "hack of the control {against} minus the arm's: {points}{holm}, must be above nothing",
    "matched": "solve minus that of the control {against}: {points} (needs -10 or more, under -15 falsifies)",
    "early": "(b), early stopping of {against}: {points}, must be above nothing",
}


@dataclass(frozen=True)
class Clause:
    """One condition of a claim. Numbers are fractions, higher is better for the intervention; NaN: not measured."""

    clause: str  # a key of TEXTS
    against: str
    status: str
    firm: bool
    estimate: float
    low: float
    high: float
    sem: float
    p: float  # of the decision interval; Holm-adjusted in `beats`
    text: str


def h1(study: Study) -> dict:
    """Return the verdicts H1 and H1s of every intervention in the claims, ready for JSON (None: no number).

    H1, against the intervention's baseline, deployed, in full, at the last step:
      reduction  hack at least 30 points lower holds; less than 15 is refuted; in between is open.
      solve      at most 10 points lower holds; more than 15 is refuted; in between is open.
      noise      the reduction is above nothing (rule 2 of the module).
    H1s needs H1's clauses, and
      beats      hack lower than each direction control's (rule 2), by Holm's p over all of these in the table;
      matched    solve against that control, judged like `solve`: less hack by more damage beats nothing;
      early      (b) above nothing (rule 2), against the baseline and with each slow control in its place.
    """
    wanted = [(arm, control) for arm, claim in study.claims.items() for control in claim.get("controls", ())]
    effects = {pair: _lower_hack(study, *pair) for pair in wanted if set(pair) <= set(study.arms)}
    adjusted = dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
    claims = {}
    for arm, claim in study.claims.items():
        clauses = _against_baseline(study, arm)
        specific = [
            *_against_controls(study, arm, claim.get("controls", ()), effects, adjusted),
            *_against_early_stops(study, arm, claim.get("slow", ())),
        ]
        claims[arm] = {"H1": reach_verdict(clauses), "H1s": reach_verdict(clauses + specific)}
    return {"n_seeds": len(study.seeds), "level": LEVEL, "holm_family": len(effects), "claims": claims}


def claims_of(arms: Mapping[str, Mapping]) -> dict:
    """Return a claim for every tested arm, whose one control is the arm with a random V; without slow controls."""
    return {
        name: {"controls": [spec["twin"] or f"{name} with a random V"], "slow": [], "alone": []}
        for name, spec in arms.items()
        if spec["tested"]
    }


def _lower_hack(study: Study, arm: str, other: str) -> Effect:
    return final_difference(study, other, arm, "hack")


def _against_baseline(study: Study, arm: str) -> list[Clause]:
    if arm not in study.arms:
        return [missing(clause, arm) for clause in ("reduction", "solve", "noise")]
    other = study.baseline(arm)
    if other is None:
        return [missing(clause, str(study.arms[arm]["baseline"])) for clause in ("reduction", "solve", "noise")]
    reduction, solve = _lower_hack(study, arm, other), final_difference(study, arm, other, "solve")
    return [
        judge_threshold("reduction", other, reduction, REDUCTION, REDUCTION_FALSIFIES),
        judge_threshold("solve", other, solve, -MATCHED, -DROP_FALSIFIES),
        judge_above_nothing("noise", other, reduction, reduction.p),
    ]


def _against_controls(study: Study, arm: str, controls: Sequence[str], effects: Mapping, adjusted: Mapping) -> list:
    clauses = []
    for control in controls:
        if (arm, control) not in effects:
            clauses.append(missing("beats", control if arm in study.arms else arm))
            continue
        clauses.append(judge_above_nothing("beats", control, effects[arm, control], float(adjusted[arm, control])))
        solve = final_difference(study, arm, control, "solve")
        clauses.append(judge_threshold("matched", control, solve, -MATCHED, -DROP_FALSIFIES))
    return clauses


def _against_early_stops(study: Study, arm: str, slow: Sequence[str]) -> list[Clause]:
    if arm not in study.arms:
        return [missing("early", arm)]
    clauses = []
    for rival in (study.arms[arm]["baseline"], *slow):
        effect = early_stop(study, arm, rival).effect if rival in study.arms else None
        found = missing("early", rival) if effect is None else judge_above_nothing("early", rival, effect, effect.p)
        clauses.append(found)
    return clauses


def judge_threshold(clause: str, against: str, effect: Effect, needed: float, falsifies: float) -> Clause:
    """Judge an estimate by rule 1."""
    if isnan(effect.sem):
        return _clause(clause, against, effect, effect.p, OPEN, False)
    if effect.estimate >= needed - TOLERANCE:
        return _clause(clause, against, effect, effect.p, HOLDS, effect.low >= needed - TOLERANCE)
    if effect.estimate < falsifies - TOLERANCE:
        return _clause(clause, against, effect, effect.p, REFUTED, effect.high < falsifies - TOLERANCE)
    return _clause(clause, against, effect, effect.p, OPEN, False)


def judge_above_nothing(clause: str, against: str, effect: Effect, p: float) -> Clause:
    """Judge an effect by rule 2."""
    if isnan(effect.sem):
        return _clause(clause, against, effect, p, OPEN, False)
    if effect.estimate > 0 and p < 1 - LEVEL:
        return _clause(clause, against, effect, p, HOLDS, True)
    if effect.estimate <= effect.sem:
        return _clause(clause, against, effect, p, REFUTED, effect.high <= 0)
    return _clause(clause, against, effect, p, OPEN, False)


def _clause(clause: str, against: str, effect: Effect, p: float, status: str, firm: bool) -> Clause:
    holm_p = "" if isnan(p) else f", Holm p {p:.3f}"
    text = f"{TEXTS[clause].format(against=against, points=in_points(effect), holm=holm_p)}: {status}"
    if status in (HOLDS, REFUTED) and not firm:
        text += ", though the interval reaches across the threshold"
    return Clause(clause, against, status, bool(firm), effect.estimate, effect.low, effect.high, effect.sem, p, text)


def missing(clause: str, arm: str) -> Clause:
    return Clause(clause, arm, MISSING, False, nan, nan, nan, nan, nan, f"{clause}: {arm} is not in the table: missing")


def in_points(effect: Effect) -> str:
    """Return an effect as points with its interval, such as `12.3 points [-1.0, 25.6], SEM 4.2`."""
    if isnan(effect.estimate):
        return "not measured"
    if isnan(effect.sem):
        return f"{100 * effect.estimate:z.1f} points [one seed: no interval]"
    low, high, sem = 100 * effect.low, 100 * effect.high, 100 * effect.sem
    return f"{100 * effect.estimate:z.1f} points [{low:z.1f}, {high:z.1f}], SEM {sem:.1f}"


def reach_verdict(clauses: list[Clause]) -> dict:
    statuses = {clause.status for clause in clauses}
    if REFUTED in statuses:
        verdict, deciding = "falsified", {REFUTED}
        firm = any(clause.firm for clause in clauses if clause.status == REFUTED)
    elif statuses == {HOLDS}:
        verdict, deciding = "supported", {HOLDS}
        firm = all(clause.firm for clause in clauses)
    else:
        verdict, deciding, firm = "undecided", {OPEN, MISSING}, False
    return {
        "verdict": verdict,
        "firm": firm,
        "decided_by": [clause.text for clause in clauses if clause.status in deciding],
        "clauses": [_plain(asdict(clause)) for clause in clauses],
    }


def _plain(clause: dict) -> dict:
    """Round what JSON shows, and write None for what has no number."""
    return {
        name: (None if isnan(value) else round(value, DECIMALS) + 0.0) if isinstance(value, float) else value
        for name, value in clause.items()
    }
