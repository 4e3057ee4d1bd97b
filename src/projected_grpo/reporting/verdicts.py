"""The words of hypotheses, verdicts and clauses; every threshold in them is one of judgement.py's constants."""

from collections.abc import Mapping

from projected_grpo.analysis import judgement
from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, UNMEASURED
from projected_grpo.analysis.statistics import Effect
from projected_grpo.reporting.format import in_points, points

NO_NUMBER = float("nan")


def hypotheses() -> dict[str, str]:
    """Return what H1 and H1s say, a sentence or two each."""
    return {
        "H1": (
            f"the arm hacks at least {points(judgement.REDUCTION)} points less than its baseline, at a solve rate not "
            f"more than {points(judgement.MATCHED)} points below the baseline's. It is falsified by a reduction of "
            f"less than {points(judgement.REDUCTION_FALSIFIES)} points, by a solve rate more than "
            f"{points(judgement.DROP_FALSIFIES)} points lower, or by a reduction within one SEM."
        ),
        "H1s": (
            "the effect is specific: besides H1, the arm hacks less than every control with another direction (Holm "
            "corrected) at matched solve, and it solves more than its baseline or a slow control would if it had been "
            "stopped early, at no more hacking (that difference is (b)). It is also falsified where one of these "
            "differences is not more than one SEM above 0, or solve is more than "
            f"{points(judgement.DROP_FALSIFIES)} points below a control's."
        ),
    }


def _threshold(needed: float, falsifies: float) -> str:
    return f"(needs {points(needed)}{' or more' * (needed < 0)}, under {points(falsifies)} falsifies)"


def clause_text(clause: Mapping) -> str:
    """Return a clause of h1.json or table2.json in words."""
    name, against = clause["clause"], clause["against"]
    if clause["answer"] == UNMEASURED:
        return f"{name}, against {against}: {UNMEASURED}, because an arm is not in the table or was not evaluated"
    numbers = in_points(_effect(clause))
    solve = _threshold(-judgement.MATCHED, -judgement.DROP_FALSIFIES)
    holm = "" if clause["p"] is None else f", Holm p {clause['p']:.3f}"
    texts = {
        "reduction": f"hack of {against} minus the arm's: {numbers} "
        + _threshold(judgement.REDUCTION, judgement.REDUCTION_FALSIFIES),
        "solve": f"solve minus that of {against}: {numbers} {solve}",
        "noise": f"hack of {against} minus the arm's: {numbers}, must be above 0",
        "beats": f"hack of the control {against} minus the arm's: {numbers}{holm}, must be above 0",
        "matched": f"solve minus that of the control {against}: {numbers} {solve}",
        "early": f"(b), early stopping of {against}: {numbers}, must be above 0",
    }
    across = clause["answer"] in (HOLDS, FAILS) and not clause["firm"]
    return f"{texts[name]}: {clause['answer']}" + (", though the interval reaches across the threshold" * across)


def _effect(clause: Mapping) -> Effect:
    values = {name: NO_NUMBER if clause[name] is None else clause[name] for name in ("estimate", "low", "high", "sem")}
    return Effect(**values, p=NO_NUMBER, n_seeds=0)


def said(result: Mapping) -> str:
    """Return a verdict, and whether it is not firm."""
    verdict = result["verdict"]
    return verdict if result["firm"] or verdict in (OPEN, "undecided") else f"{verdict} (not firmly)"


def decided(what: str, result: Mapping) -> list[str]:
    """Return a verdict and the clauses that decided it as the lines of a list."""
    clauses = [result["clauses"][number] for number in result["decided_by"]]
    return [f"- **{what}: {said(result)}**", *(f"  - {clause_text(clause)}" for clause in clauses)]


def verdict_lines(verdicts: Mapping) -> str:
    """Return the verdicts of `h1`, each with the clauses that decided it."""
    lines = []
    for arm, claim in verdicts["claims"].items():
        for name, result in claim.items():
            lines += decided(f"{arm}, {name}", result)
    return "\n".join(lines)
