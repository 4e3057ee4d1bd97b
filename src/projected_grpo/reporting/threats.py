"""The words of threats (method 9), each with the number that decides it."""

from collections.abc import Callable, Mapping, Sequence

from projected_grpo.analysis.judgement import ABSENT, PRESENT
from projected_grpo.analysis.threats import Reduction, Threat
from projected_grpo.reporting.format import NOTHING, OPEN_MEANS, grid, in_points, in_units, signed

Words = Callable[[Mapping], str]

THREATS_MEAN = (
    f"Is it so? **{PRESENT}** undoes or limits the result: the effect is not more than one SEM above 0. **{ABSENT}**: "
    f"its interval lies above 0. {OPEN_MEANS} With one replicate everything is open. The lines are not corrected for "
    "their number: this list looks for trouble."
)


def _reduction(reduction: Reduction) -> str:
    unmatched = "" if reduction.matched else f" (solve {signed(reduction.solve)}: not matched)"
    return in_points(reduction.hack) + unmatched


def _gone(numbers: Mapping) -> str:
    before, after = numbers["steps"]
    return (
        f"hack lower by {_reduction(numbers['before'])} in a run of {before} steps, by {_reduction(numbers['after'])} "
        f"in one of {after}; (b) {in_points(numbers['early before'])}, then {in_points(numbers['early after'])}"
    )


def _dominated(numbers: Mapping) -> str:
    """Say what dominates the arm, what may, and what the baseline's early stop has to do with it."""
    shown = {f"{PRESENT}: ": numbers["by"], "not ruled out: ": numbers["open"]}
    rivals = [said + ", ".join(arms) for said, arms in shown.items() if arms]
    rivals = rivals or ["ruled out for every control in the table"]
    return "; ".join([*rivals, f"stopping {numbers['stopped']} early: {numbers['early answer']}, (b) "]) + in_points(
        numbers["early"]
    )


THREATS: dict[str, tuple[str, Words]] = {
    "baseline": (
        "hacks like its baseline at matched solve",
        lambda n: f"hack lower by {in_points(n['hack'])}, solve {signed(n['solve'])}",
    ),
    "early": ("buys no more than stopping its baseline early", lambda n: f"(b) {in_points(n['early'])}"),
    "dominated": ("dominated: slow or cold training, its twin or an early stop hacks less and solves more", _dominated),
    "control": ("hacks like a control", lambda n: f"hack lower by {in_points(n['hack'])}"),
    "teacher": (
        "works only with the teacher pool",
        lambda n: f"hack lower by {_reduction(n['with'])} with it, by {_reduction(n['without'])} without",
    ),
    "attempts": (
        "attempts as often, but fires less",
        lambda n: f"hack lower by {in_points(n['hack'])}, attempted by {in_points(n['attempted'])}",
    ),
    "chance": (
        "V sees chance in the student's gradient",
        lambda n: f"{in_units(n['overlap'])}; higher in {100 * n['steps']:.0f}% of the steps",
    ),
    "teacher overlap": ("V sees the teacher, not the hack", lambda n: f"hack minus clean {in_units(n['overlap'])}"),
    "held out": (
        "the held-out mode does not fall, or only because solve falls",
        lambda n: f"hack lower by {in_points(n['hack'])}, solve {signed(n['solve'])}",
    ),
    "gone": ("the effect is gone after more steps", _gone),
}


def threat_grid(threats: Sequence[Threat]) -> str:
    """Return the threats as a table."""
    rows = []
    for line in threats:
        title, words = THREATS[line.threat]
        numbers = words(line.numbers) if line.numbers else "nothing to hold it against in the table"
        rows.append([title, line.arm, line.against or NOTHING, f"**{line.answer}**", numbers])
    return grid(["threat", "arm", "against", "is it so?", "the number that decides"], rows)
