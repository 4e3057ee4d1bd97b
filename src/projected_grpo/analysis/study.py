"""What the tables and figures read: every run of a study as arrays of rates, checked to be comparable.

A study is a set of arms, each with the same seeds. What a run measured becomes one `View` per condition
(scope, state, hint, decoding): per-problem means over the samples, on a grid (seeds, checkpoints, problems).
Words as in the tables: hack is `exploited`, solve is `correct`. Rates are fractions; steps are optimizer steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.errors import UserError

CONDITION = ["scope", "state", "hint", "decoding"]
GROUPS = ["interventions", "direction controls", "slow controls", "without a teacher pool", "honest ceiling"]
RATES = ["hack", "solve", "attempted", "hack_attempted", "own_tests", "vacuous", "wrong"]


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

    def at(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the rates (S, P) at one checkpoint; a step that is none is a StudyError."""
        index = np.flatnonzero(self.steps == step)
        if len(index) == 0:
            raise StudyError(f"{self.name}: no evaluation at step {step}, only at {self.steps.tolist()}")
        return {name: values[:, index[0]] for name, values in self.rates.items()}


@dataclass(frozen=True)
class TableArm:
    """What a table needs to know of an arm.

    baseline   the arm that it is held against, maybe itself
    last       its number of steps
    direction  the name of the V that it uses or measures
    null       the arm whose V is random and like this arm's: it measures the null of the overlaps
    twin       the arm that differs by a random V alone
    tested     it is an intervention with a hack direction, no baseline and no control
    mix        the teacher's share of each group
    project    what its intervention projects
    run        the name of its runs on disk, where that is another
    """

    baseline: str | None
    last: int
    direction: str | None = None
    null: str | None = None
    twin: str | None = None
    tested: bool = False
    mix: float = 0.0
    project: str = "gradient"
    run: str | None = None


@dataclass(frozen=True)
class Claim:
    """What an intervention is held against: `controls` with other directions, `slow` controls, and the arms that repeat
    it without a teacher pool (`alone`)."""

    controls: Sequence[str] = ()
    slow: Sequence[str] = ()
    alone: Sequence[str] = ()


@dataclass(frozen=True)
class Sizes:
    """How much is behind a table's numbers: on all held-out problems at the last step, and on the subset along it."""

    seeds: tuple[int, ...]
    problems: int
    samples: int
    subset_problems: int
    subset_samples: int


@dataclass(frozen=True)
class Study:
    """Arms in the order of the config, with what they measured."""

    arms: Mapping[str, TableArm]
    seeds: tuple[int, ...]
    claims: Mapping[str, Claim]
    ceiling: str | None
    views: Mapping[tuple, View]  # (arm, scope, state, hint, decoding) -> View
    training: Mapping[str, Mapping[str, np.ndarray]]  # arm -> column of steps.parquet -> (S, T)

    def view(self, arm: str, scope="full", state="deployed", hint=True, decoding="sample") -> View | None:
        """Return what `arm` measured under a condition, or None if it was not evaluated under it."""
        return self.views.get((arm, scope, state, hint, decoding))

    def final(self, arm: str, **condition) -> Mapping[str, np.ndarray] | None:
        """Return the rates (S, P) at the arm's last step, or None as in `view`."""
        view = self.view(arm, **condition)
        return None if view is None else view.at(self.arms[arm].last)

    def baseline(self, arm: str) -> str | None:
        """Return the arm that `arm` is held against, if it is another one and present."""
        name = self.arms[arm].baseline
        return name if name in self.arms and name != arm else None

    def null(self, arm: str) -> str | None:
        """Return the arm that measures the null of `arm`'s overlaps, if it is named, another one, and present."""
        name = self.arms[arm].null
        return name if name in self.arms and name != arm else None

    def has_quarantine(self, arm: str) -> bool:
        return any(key[0] == arm and key[2] == "trained" for key in self.views)


def group(study: Study, arm: str) -> str:
    """Return the arm's group in GROUPS, which follows from the claims and the baselines.

    An arm held against another baseline than the claimed interventions are (than the first arm is, where no claim
    names an arm of the study) was trained without a teacher pool.
    """
    claimed = [name for name in study.claims if name in study.arms] or list(study.arms)[:1]
    if arm == study.ceiling:
        return GROUPS[4]
    if any(arm in claim.controls for claim in study.claims.values()):
        return GROUPS[1]
    if any(arm in claim.slow for claim in study.claims.values()):
        return GROUPS[2]
    if study.arms[arm].baseline in {study.arms[name].baseline for name in claimed}:
        return GROUPS[0]
    return GROUPS[3]


def read_study(
    results: str | Path,
    arms: Mapping[str, Mapping],
    seeds: Sequence[int],
    claims: Mapping[str, Mapping] | None = None,
    ceiling: str | None = None,
) -> Study:
    """Read `{results}/replicate{n}/runs/{arm}/{evaluation,steps}.parquet` of every run, one after the other.

    `arms` and `claims` have the fields of TableArm and of Claim; without claims, every tested arm claims to beat its
    twin.
    """
    known = {name: TableArm(**spec) for name, spec in arms.items()}
    made = claims_of(known) if claims is None else {name: Claim(**spec) for name, spec in claims.items()}

    def read(arm: str, seed: int) -> tuple:
        folder = Path(results) / f"replicate{seed}" / "runs" / (known[arm].run or arm)
        return arm, seed, read_table(folder / "evaluation.parquet", EVALUATION), read_table(folder / "steps.parquet")

    return build_study((read(arm, seed) for arm in arms for seed in seeds), known, made, ceiling)


def claims_of(arms: Mapping[str, TableArm]) -> dict[str, Claim]:
    """Return a claim for every tested arm, whose one control is the arm with a random V; without slow controls."""
    return {name: Claim([spec.twin or f"{name} with a random V"]) for name, spec in arms.items() if spec.tested}


def sizes(study: Study) -> Sizes:
    """Return the sizes behind the study, of its first arm: they are the same for all."""
    first = next(iter(study.arms))
    full, subset = study.view(first), study.view(first, scope="subset")
    along = (len(subset.problems), subset.samples) if subset else (0, 0)
    return Sizes(study.seeds, len(full.problems), full.samples, *along)


def read_directions(summaries: Iterable[str | Path]) -> pd.DataFrame:
    """Read `.../{direction}/draw{n}/summary.parquet` files into one row per direction: its metrics over all modules,
    means over the draws, and `draws`, their number."""
    rows = []
    for path in map(Path, summaries):
        summary = read_table(path, DIRECTION_SUMMARY)
        metrics = summary[summary["module"] == "all"].set_index("metric")["value"]
        rows.append({"direction": path.parts[-2], "draws": 1, **metrics})
    if not rows:
        return pd.DataFrame()
    by_direction = pd.DataFrame(rows).groupby("direction", sort=False)
    return by_direction.mean().assign(draws=by_direction.size())


def build_study(
    runs: Iterable[tuple[str, int, pd.DataFrame, pd.DataFrame]],
    arms: Mapping[str, TableArm],
    claims: Mapping[str, Claim],
    ceiling: str | None,
) -> Study:
    """Build a study from (arm, seed, evaluation, steps) of every run, schemas as in projected_grpo.artifacts.

    `runs` may be a generator: each run is reduced before the next is read. Arms with different seeds, different
    problems or different checkpoints between seeds are a StudyError.
    """
    views, training = {}, {}
    for arm, seed, evaluation, steps in runs:
        training.setdefault(arm, {})[seed] = steps.sort_values("step")
        for condition, view in _views(evaluation, f"{arm}, seed {seed}").items():
            views.setdefault((arm, *condition), {})[seed] = view
    seeds = tuple(sorted({seed for by_seed in training.values() for seed in by_seed}))
    for arm in arms:
        if sorted(training.get(arm, {})) != list(seeds) or not seeds:
            raise StudyError(f"{arm}: runs with seeds {sorted(training.get(arm, {}))}, but the study has {list(seeds)}")
    stacked = {key: _stack(by_seed, seeds, key) for key, by_seed in views.items()}
    _check_problems(stacked)
    curves = {arm: _columns([training[arm][seed] for seed in seeds], arm) for arm in arms}
    return Study(dict(arms), seeds, dict(claims), ceiling, stacked, curves)


def restrict(study: Study, modes: Iterable[str]) -> Study:
    """Return the study on the problems of some modes alone; its training logs stay whole."""
    return replace(study, views={key: _of_modes(view, set(modes)) for key, view in study.views.items()})


def pool(studies: Sequence[Study]) -> Study:
    """Return studies of the same arms and seeds on different problems as one, on all their problems."""
    first = studies[0]
    views = {}
    for key in first.views:
        parts = [study.views[key] for study in studies]
        views[key] = replace(
            parts[0],
            problems=tuple(problem for part in parts for problem in part.problems),
            modes=np.concatenate([part.modes for part in parts]),
            rates={rate: np.concatenate([part.rates[rate] for part in parts], 2) for rate in RATES},
        )
    return replace(first, views=views)


def _of_modes(view: View, modes: set[str]) -> View:
    kept = np.isin(view.modes, list(modes))
    problems = tuple(problem for problem, keep in zip(view.problems, kept, strict=True) if keep)
    rates = {rate: values[:, :, kept] for rate, values in view.rates.items()}
    return replace(view, problems=problems, modes=view.modes[kept], rates=rates)


def mean(values) -> float:
    """Return the mean of what is there, NaN if nothing is."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """Return the mean over seeds of sum(part) / sum(whole), both (S, P); seeds where the whole is 0 have no ratio."""
    part, whole = part.sum(1), whole.sum(1)
    return mean(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _views(evaluation: pd.DataFrame, name: str) -> dict[tuple, View]:
    """Reduce the rows of one run to one View per condition, with a seed axis of length 1."""
    rows = evaluation[[*CONDITION, "step", "problem_id", "mode"]].copy()
    rows["hack"], rows["solve"] = evaluation["exploited"].astype(float), evaluation["correct"].astype(float)
    rows["attempted"] = evaluation["attempted"].astype(float)
    rows["hack_attempted"] = rows["hack"] * rows["attempted"]
    rows["own_tests"] = evaluation["wrong_tests"].notna().astype(float)
    rows["vacuous"] = (evaluation["vacuous_tests"] == True).astype(float)  # noqa: E712, None is neither
    rows["wrong"] = (evaluation["wrong_tests"] == True).astype(float)  # noqa: E712
    views = {}
    for condition, group in rows.groupby(CONDITION, sort=True):
        cells = group.groupby(["step", "problem_id"], sort=True)
        means, sizes, modes = cells[RATES].mean(), cells.size(), group.groupby("problem_id", sort=True)["mode"].first()
        steps = np.unique(means.index.get_level_values("step"))
        if len(means) != len(steps) * len(modes) or sizes.nunique() != 1:
            raise StudyError(f"{name}, {condition}: not every problem has the same samples at every checkpoint")
        grid = {rate: means[rate].to_numpy().reshape(1, len(steps), len(modes)) for rate in RATES}
        views[condition] = View(name, steps, tuple(modes.index), modes.to_numpy(), int(sizes.iloc[0]), grid)
    return views


def _stack(by_seed: Mapping[int, View], seeds: tuple[int, ...], key: tuple) -> View:
    name = ", ".join(map(str, key))
    if sorted(by_seed) != list(seeds):
        raise StudyError(f"{name}: evaluated for seeds {sorted(by_seed)}, but the study has {list(seeds)}")
    views = [by_seed[seed] for seed in seeds]
    first = views[0]
    for view in views:
        if view.problems != first.problems or not np.array_equal(view.steps, first.steps):
            raise StudyError(f"{name}: the seeds were evaluated on different problems or at different checkpoints")
    rates = {rate: np.concatenate([view.rates[rate] for view in views]) for rate in RATES}
    return View(name, first.steps, first.problems, first.modes, first.samples, rates)


def _check_problems(views: Mapping[tuple, View]) -> None:
    """Every arm must have been evaluated on the same problems of a scope, or a paired difference means nothing."""
    problems = {}
    for (arm, scope, *_), view in views.items():
        other, known = problems.setdefault(scope, (arm, view.problems))
        if known != view.problems:
            raise StudyError(f"{arm} and {other} were evaluated on different problems (scope {scope})")


def _columns(frames: list[pd.DataFrame], arm: str) -> dict[str, np.ndarray]:
    if len({len(frame) for frame in frames}) != 1:
        raise StudyError(f"{arm}: the seeds were trained for different numbers of steps")
    return {name: np.stack([frame[name].to_numpy(float) for frame in frames]) for name in frames[0].columns}
