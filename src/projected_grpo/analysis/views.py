"""Rows of evaluations as arrays of rates: one `View` per run and condition, checked, and stacked over replicates.

A condition is (scope, state, hint, decoding). Rates are per-problem means over the samples, as fractions, on a grid
(replicates, checkpoints, problems). Along the run they come once more by halves of the samples: those with an even
index and those with an odd one, so that a checkpoint can be chosen on one half and measured on the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from projected_grpo.errors import UserError

CONDITION = ["scope", "state", "hint", "decoding"]
RATES = ["hack", "solve", "attempted", "hack_attempted", "own_tests", "vacuous", "wrong"]
HALVED = ["hack", "solve"]  # what method 7 (b) reads by halves


class StudyError(UserError, ValueError):
    """Runs that cannot be compared; the message says which, and why."""


@dataclass(frozen=True)
class View:
    """One arm under one condition."""

    name: str  # for messages
    steps: np.ndarray  # (C,) checkpoints, ascending
    problems: tuple[str, ...]  # (P,)
    modes: np.ndarray  # (P,) loophole mode of each problem
    samples: int  # completions per problem
    rates: Mapping[str, np.ndarray]  # name in RATES -> (S, C, P)
    halves: Mapping[str, np.ndarray]  # name in HALVED -> (2, S, C, P); only in scope subset, with 2 samples or more

    def at(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the rates (S, P) at one checkpoint; a step that is none is a StudyError."""
        index = self._index(step)
        return {name: values[:, index] for name, values in self.rates.items()}

    def halves_at(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the rates by halves of the samples (2, S, P) at one checkpoint."""
        index = self._index(step)
        return {name: values[:, :, index] for name, values in self.by_halves().items()}

    def by_halves(self) -> Mapping[str, np.ndarray]:
        """Return the rates by halves of the samples (2, S, C, P); one sample per problem is a StudyError."""
        if not self.halves:
            raise StudyError(
                f"{self.name}: {self.samples} sample(s) per problem along the run cannot be halved: "
                "evaluation.subset_samples must be at least 2"
            )
        return self.halves

    def _index(self, step: int) -> int:
        index = np.flatnonzero(self.steps == step)
        if len(index) == 0:
            raise StudyError(f"{self.name}: no evaluation at step {step}, only at {self.steps.tolist()}")
        return int(index[0])


def of_modes(view: View, modes: set[str]) -> View:
    """Return the view on the problems of some modes alone."""
    kept = np.isin(view.modes, list(modes))
    problems = tuple(problem for problem, keep in zip(view.problems, kept, strict=True) if keep)
    rates, halves = ({name: values[..., kept] for name, values in each.items()} for each in (view.rates, view.halves))
    return replace(view, problems=problems, modes=view.modes[kept], rates=rates, halves=halves)


def of_each_mode(view: View, modes: Sequence[str]) -> View | None:
    """Return the view on another mode's problems in each replicate, `modes` naming them; None without problems of one.

    A problem is then the first, second ... of its mode. Modes with different numbers of problems are a StudyError.
    """
    kept = [np.flatnonzero(view.modes == mode) for mode in modes]
    n = min(map(len, kept))
    if n == 0:
        return None
    if any(len(own) != n for own in kept):
        raise StudyError(f"{view.name}: the modes have different numbers of held-out problems: none can stand in turn")

    def chosen(values: np.ndarray) -> np.ndarray:
        return np.stack([np.take(values[..., s, :, :], own, -1) for s, own in enumerate(kept)], -3)

    rates, halves = ({name: chosen(values) for name, values in each.items()} for each in (view.rates, view.halves))
    problems = tuple(f"number {i + 1}" for i in range(n))
    return replace(view, problems=problems, modes=np.full(n, "held out"), rates=rates, halves=halves)


def joined(views: Sequence[View]) -> View:
    """Return views of the same runs on different problems as one, on all their problems."""
    first = views[0]
    return replace(
        first,
        problems=tuple(problem for view in views for problem in view.problems),
        modes=np.concatenate([view.modes for view in views]),
        rates={name: np.concatenate([view.rates[name] for view in views], -1) for name in first.rates},
        halves={name: np.concatenate([view.halves[name] for view in views], -1) for name in first.halves},
    )


def run_views(evaluation: pd.DataFrame, name: str) -> dict[tuple, View]:
    """Reduce the rows of one run to one View per condition, with a replicate axis of length 1."""
    rows = evaluation[[*CONDITION, "step", "problem_id", "mode"]].copy()
    rows["hack"], rows["solve"] = evaluation["exploited"].astype(float), evaluation["correct"].astype(float)
    rows["attempted"] = evaluation["attempted"].astype(float)
    rows["hack_attempted"] = rows["hack"] * rows["attempted"]
    rows["own_tests"] = evaluation["wrong_tests"].notna().astype(float)
    rows["vacuous"] = (evaluation["vacuous_tests"] == True).astype(float)  # noqa: E712, None is neither
    rows["wrong"] = (evaluation["wrong_tests"] == True).astype(float)  # noqa: E712
    rows["half"] = evaluation["sample"] % 2
    views = {}
    for condition, group in rows.groupby(CONDITION, sort=True):
        cells = group.groupby(["step", "problem_id"], sort=True)
        means, sizes, modes = cells[RATES].mean(), cells.size(), group.groupby("problem_id", sort=True)["mode"].first()
        steps = np.unique(means.index.get_level_values("step"))
        shape = (1, len(steps), len(modes))
        if len(means) != len(steps) * len(modes) or sizes.nunique() != 1:
            raise StudyError(f"{name}, {condition}: not every problem has the same samples at every checkpoint")
        grid = {rate: means[rate].to_numpy().reshape(shape) for rate in RATES}
        samples = int(sizes.iloc[0])
        halves = _halves(group, shape) if condition[0] == "subset" and samples > 1 else {}
        views[condition] = View(name, steps, tuple(modes.index), modes.to_numpy(), samples, grid, halves)
    return views


def _halves(rows: pd.DataFrame, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Return the means over the even and over the odd samples; the samples of a problem are numbered from 0."""
    means = rows.groupby(["half", "step", "problem_id"], sort=True)[HALVED].mean()
    return {rate: means[rate].to_numpy().reshape(2, *shape) for rate in HALVED}


def stack(by_replicate: Mapping[int, View], replicates: tuple[int, ...], key: tuple) -> View:
    """Return an arm's views of all replicates as one."""
    name = ", ".join(map(str, key))
    if sorted(by_replicate) != list(replicates):
        raise StudyError(
            f"{name}: evaluated for replicates {sorted(by_replicate)}, but the study has {list(replicates)}"
        )
    views = [by_replicate[replicate] for replicate in replicates]
    first = views[0]
    for view in views:
        if view.problems != first.problems or not np.array_equal(view.steps, first.steps):
            raise StudyError(f"{name}: the replicates were evaluated on different problems or at different checkpoints")
        if view.samples != first.samples:
            raise StudyError(f"{name}: the replicates were evaluated with {first.samples} and {view.samples} samples")
    rates = {rate: np.concatenate([view.rates[rate] for view in views]) for rate in first.rates}
    halves = {rate: np.concatenate([view.halves[rate] for view in views], 1) for rate in first.halves}
    return replace(first, name=name, rates=rates, halves=halves)


def check_problems(views: Mapping[tuple, View]) -> None:
    """Every arm must have been evaluated on the same problems of a scope, or a paired difference means nothing."""
    problems = {}
    for (arm, scope, *_), view in views.items():
        other, known = problems.setdefault(scope, (arm, view.problems))
        if known != view.problems:
            raise StudyError(f"{arm} and {other} were evaluated on different problems (scope {scope})")
