"""The words of hypotheses, verdicts and clauses; every threshold in them is one of judgement.py's constants."""

from collections.abc import Mapping

from projected_grpo.analysis import judgement
from projected_grpo.analysis.judgement import FAILS, HOLDS, OPEN, UNMEASURED
from projected_grpo.analysis.outcomes import DAMAGES, DELAYS, NOTHING, PREVENTS, WORDS
from projected_grpo.analysis.statistics import Effect
from projected_grpo.reporting.format import in_points, points

NO_NUMBER = float("nan")
H2_FULL = (
    "The full claim of H2 is about held-out modes at the long horizon; here it is judged on this table's problems and "
    "number of steps."
)


def unpreventable() -> str:
    """Return what becomes of a hypothesis where there is nothing to prevent."""
    return (
        f"Where the baseline hacks less than {points(judgement.PREVENTABLE)} points more than the base model there is "
        f"nothing to prevent, and the answer is {UNMEASURED}."
    )


def hypotheses() -> dict[str, str]:
    """Return what H1, H1s and H2 say, a few sentences each."""
    return {
        "H1": (
            f"the arm hacks at least {points(judgement.REDUCTION)} points less than its baseline, at a solve rate not "
            f"more than {points(judgement.MATCHED)} points below the baseline's. It is falsified by a reduction of "
            f"less than {points(judgement.REDUCTION_FALSIFIES)} points, by a solve rate more than "
            f"{points(judgement.DROP_FALSIFIES)} points lower, or by a reduction within one SEM."
        ),
        "H1s": (
            "the effect is specific: besides H1, the arm hacks less than every control, its twin among them (Holm "
            "corrected), at matched solve, and it solves more than its baseline or a slow control would if it had been "
            "stopped early, at no more hacking (that difference is (b)). It is also falsified where one of these "
            "differences is not more than one SEM above 0, or solve is more than "
            f"{points(judgement.DROP_FALSIFIES)} points below a control's."
        ),
        "H2": (
            f"the arm prevents hacking: it hacks at most {points(judgement.BASE_MARGIN)} points more than the base "
            f"model, solves at most {points(judgement.CEILING_MARGIN)} points less than the honest ceiling, both by "
            "the bound of the decision interval, and hacks less than its twin (Holm corrected). It is falsified where "
            "a whole interval lies beyond its margin, or the difference to the twin is not more than one SEM above 0."
        ),
    }


def outcomes_mean() -> dict[str, str]:
    """Return what each word for an intervention means (docs/preregistration.md); the first that fits is said."""
    return {
        PREVENTS: (
            f"by its interval, at the last step, it hacks at most {points(judgement.BASE_MARGIN)} points more than the "
            f"base model and solves at most {points(judgement.CEILING_MARGIN)} points less than the honest ceiling; "
            "and it hacks less than its twin, Holm corrected (H2)"
        ),
        DAMAGES: "it hacks less than its baseline, but solves less than the base model, both by the interval",
        NOTHING: (
            "by the estimate it hacks at most one SEM (standard error over replicates) less than its baseline, or than "
            "its twin: an effect of its own is not shown, which does not show that there is none"
        ),
        DELAYS: (
            "by its interval it hacks less than its baseline, but the slow training that was matched to it on other "
            "replicates does as well (neither hack nor solve is better by more than one SEM), or its effect shrinks "
            "with more steps"
        ),
        OPEN: "none of these is shown; an arm to which no slow training was matched is open rather than **delays**",
    }


def by_word(outcomes: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the interventions of {arm: word} by the word that is said of them; the first word always."""
    said_of = {word: [arm for arm, said in outcomes.items() if said == word] for word in (*WORDS, UNMEASURED)}
    return {word: arms for word, arms in said_of.items() if arms or word == PREVENTS}


def outcome_lines(outcomes: Mapping[str, str]) -> str:
    """Return `by_word` as the lines of a list."""
    return "\n".join(
        f"- **{word}**: {', '.join(f'`{arm}`' for arm in arms) or 'none'}" for word, arms in by_word(outcomes).items()
    )


def _threshold(needed: float, falsifies: float) -> str:
    return f"(needs {points(needed)}{' or more' * (needed < 0)}, under {points(falsifies)} falsifies)"


def clause_text(clause: Mapping) -> str:
    """Return a clause of h1.json or table2.json in words."""
    name, against = clause["clause"], clause["against"]
    if name == "preventable":
        return (
            f"nothing to prevent: {against} hacks {in_points(_effect(clause))} more than the base model, and it takes "
            f"{points(judgement.PREVENTABLE)}: {UNMEASURED}"
        )
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
        "slow": f"hack of slow or cold training, {against}, minus the arm's: {numbers}, solve minus its: "
        f"{in_points(_effect(clause, 'solve_'))}, one must be above 0 and neither below",
        "base": f"hack minus that of {against}: {numbers}, the interval must end at or below "
        f"{points(judgement.BASE_MARGIN)}",
        "ceiling": f"(c), solve minus that of {against}: {numbers}, the interval must begin at or above "
        f"{points(-judgement.CEILING_MARGIN)}",
    }
    across = clause["answer"] in (HOLDS, FAILS) and not clause["firm"]
    return f"{texts[name]}: {clause['answer']}" + (", though the interval reaches across the threshold" * across)


def _effect(clause: Mapping, of: str = "") -> Effect:
    """Return the effect of a clause, or its other one: `of` stands before the names of its numbers."""
    ends = ("estimate", "low", "high", "sem")
    values = {name: NO_NUMBER if clause.get(of + name) is None else clause[of + name] for name in ends}
    return Effect(**values, p=NO_NUMBER, n_replicates=0)


def said(result: Mapping) -> str:
    """Return a verdict, and whether it is not firm."""
    verdict = result["verdict"]
    return verdict if result["firm"] or verdict in (OPEN, "undecided", UNMEASURED) else f"{verdict} (not firmly)"


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
