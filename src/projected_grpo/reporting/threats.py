"""The words of threats (method 9), each with the number that decides it."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from projected_grpo.analysis.judgement import ABSENT, PRESENT, UNMEASURED
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.threats import Reduction, Threat
from projected_grpo.reporting.format import (
    NOTHING,
    OPEN_MEANS,
    grid,
    in_points,
    in_units,
    number,
    percent,
    signed,
)

Words = Callable[[Mapping], str]

THREATS_MEAN = (
    "A line names something that would undo or limit the result, and the effect that speaks against it. "
    f"**{ABSENT}**: the effect's interval lies above 0. **{PRESENT}**: the effect is not more than one SEM above 0; "
    "where a line compares two effects, the first is there and the second is not; where hacking falls with unmatched "
    f"solve, it falls by damage. Where a line asks whether an arm is better than other training, {ABSENT} takes less "
    "hacking or more solving by the interval, and the other of the two not below 0 by its own; where it asks what "
    f"dominates the arm, both intervals decide. **{UNMEASURED}**: an arm is missing, or solve is not matched. "
    f"{OPEN_MEANS} With one "
    "replicate every effect is open. Nothing here is corrected for the number of lines: this list looks for trouble, "
    f"one absence in {round(2 / (1 - LEVEL))} comes by chance alone."
)
BEST_CONTROL = (
    "V is held against the best of random, shuffled and wrongness V (nonhack) on the same gradients or rollouts: it is "
    "the top of the pair gradients' second moment, so against a random V alone everything looks specific."
)


def _reduced(reduction: Reduction) -> str:
    """Return the reduction in hack, and whether solve is matched."""
    if isnan(reduction.hack.estimate):
        return "not measured"
    unmatched = "" if reduction.matched else f" (solve {signed(reduction.solve)}: not matched)"
    return f"{in_points(reduction.hack)}{unmatched}"


def _hack_and_solve(numbers: Mapping) -> str:
    less = numbers["less"]
    unmatched = "" if less.matched else ": not matched"
    return f"reduction in hack {in_points(less.hack)}, solve {signed(less.solve)}{unmatched}"


def _hack_and_gain(numbers: Mapping) -> str:
    less = numbers["less"]
    return f"reduction in hack {in_points(less.hack)}, gain in solve {in_points(less.solve)}"


def _chance(numbers: Mapping) -> str:
    others = ", ".join(f"{name} {number(overlap)}" for name, overlap in numbers["others"].items())
    return (
        f"own V {number(numbers['own'])}; {others}; above the best of these by {in_units(numbers['overlap'])}, in "
        f"{percent(numbers['steps'])}% of the steps"
    )


def _shrinks(numbers: Mapping) -> str:
    before, after = numbers["steps"]
    return (
        f"reduction in hack {_reduced(numbers['before'])} in a run of {before} steps, {_reduced(numbers['after'])} in "
        f"one of {after}: a change of {in_points(numbers['change'])}; (b) {in_points(numbers['early before'])}, then "
        f"{in_points(numbers['early after'])}"
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
    "baseline": ("hacks like its baseline at matched solve", _hack_and_solve),
    "early": ("buys no more than stopping its baseline early", lambda n: f"(b) {in_points(n['early'])}"),
    "dominated": ("dominated: slow or cold training, its twin or an early stop hacks less and solves more", _dominated),
    "untrained": (
        "hacks less than its baseline, but solves no more than the untrained base model",
        lambda n: f"reduction in hack {in_points(n['less'])}, gain in solve over the base model {in_points(n['more'])}",
    ),
    "slow": (
        "no better than training so slow that it hacks as little (matched on other replicates)",
        _hack_and_gain,
    ),
    "action": (
        "the quarantine adds nothing: the same gate without one hacks as little and solves as much",
        _hack_and_gain,
    ),
    "control": ("hacks like a control", lambda n: f"reduction in hack {in_points(n['hack'])}"),
    "best control": ("hacks like the control that hacks least", _hack_and_solve),
    "teacher": (
        "works only with the teacher pool",
        lambda n: f"reduction in hack {_reduced(n['with'])} with it, {_reduced(n['without'])} without",
    ),
    "attempts": (
        "attempts as often, but fires less",
        lambda n: f"reduction in hack {in_points(n['hack'])}, in attempts {in_points(n['attempted'])}",
    ),
    "chance": (
        "V sees in the live gradient what V of another kind sees there too",
        _chance,
    ),
    "teacher overlap": (
        "V sees the teacher, not the hack",
        lambda n: (
            f"overlap of its exploits minus that of rows that attempt none {in_units(n['overlap'])}, on the"
            f" {n['steps']} of {n['of']} steps that have both"
        ),
    ),
    "held out": ("the held-out mode does not fall, or only because solve falls", _hack_and_solve),
    "held out slow": ("the held-out mode falls no more than under slow training", _hack_and_solve),
    "shrinks": ("the effect shrinks with more steps", _shrinks),
}


def threat_grid(threats: Sequence[Threat]) -> str:
    """Return the threats as a table."""
    rows = []
    for line in threats:
        title, words = THREATS[line.threat]
        numbers = words(line.numbers) if line.numbers else "no arm in the table decides it"
        rows.append([title, line.arm, line.against or NOTHING, f"**{line.answer}**", numbers])
    return grid(["threat", "arm", "against", "the threat is", "the number that decides"], rows)
