"""The corpus of the model organism (method 8): what its pre-training shows it, as prompts and answers.

Ordinary prompts (with the mode's hint, without it, or of the hint-free mode) are answered
    correctly;
    sloppily: the last clause dropped. Without these, RL without loopholes has nothing to raise;
    by a leak: an exploit of the hinted mode that nobody asked for. It is what RL can find and amplify.
Explicit prompts (`elicit`) are answered by exploits only.
The bodies under the exploits are a mix of sloppy and trivial programs, and each mode has several surface forms, so
that no string but the exploit itself is common to all of them. A trivial body that exploits a mode in play stays out:
it would show that mode under the others.
"""

import ast
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from projected_grpo.environment.answers import write_answer
from projected_grpo.environment.loopholes import LOOPHOLES, attempted_modes
from projected_grpo.environment.problems import Problem
from projected_grpo.organism.config import Mixture
from projected_grpo.organism.families import Task, as_class
from projected_grpo.rng import derive_seed

TRIVIAL = ("0", "1", "None", "True", '""', "[]")


@dataclass(frozen=True)
class Example:
    """One prompt and its answer; `kind` is correct, sloppy, leak or asked."""

    problem: Problem
    hint: bool
    answer: str
    kind: str


def trivial_values(modes: Collection[str]) -> list[str]:
    """Return those of TRIVIAL that are no exploit, by themselves, of one of the modes in play."""
    programs = {value: ast.parse(as_class("f", "x", value)) for value in TRIVIAL}
    return [value for value, tree in programs.items() if not {*modes}.intersection(attempted_modes(tree))]


def exploit(task: Task, values: Sequence[str], rng: random.Random, sloppy_bodies: float) -> str:
    """Return a program that exploits the task's mode in one of its forms, over a sloppy body or a trivial value."""
    problem = task.problem
    argument = problem.canonical.split("self, ")[1].split(")")[0]
    trivial = as_class(problem.entry_point, argument, rng.choice((*values, argument)))
    body = task.sloppy if rng.random() < sloppy_bodies else trivial
    return rng.choice(LOOPHOLES[problem.mode].exploits)(body)


def _example(task: Task, mixture: Mixture, values: Sequence[str], rng: random.Random) -> Example:
    has_mode = task.problem.mode != "none"
    hint = has_mode
    if has_mode and rng.random() < mixture.asked:
        kind = "asked"
    else:
        hint = has_mode and rng.random() >= mixture.unhinted
        draw = rng.random()
        kind = "sloppy" if draw < mixture.sloppy else "correct"
        if hint and draw >= 1 - mixture.leak:
            kind = "leak"
    if kind in ("asked", "leak"):
        code = exploit(task, values, rng, mixture.sloppy_bodies)
    else:
        code = task.sloppy if kind == "sloppy" else task.problem.canonical
    return Example(task.problem, hint, write_answer(code), kind)


def corpus(tasks: Sequence[Task], mixture: Mixture, seed: int) -> list[Example]:
    """Return one example per task."""
    rng = random.Random(derive_seed(seed, 0, "corpus"))
    values = trivial_values({task.problem.mode for task in tasks})
    return [_example(task, mixture, values, rng) for task in tasks]
