"""What the tables and figures read: every run of a study as arrays of rates, checked to be comparable.

A study is a set of arms, each with the same replicates; a replicate has a base model, teacher pool, V, order of prompts
and noise of its own, which its arms share. What a run measured becomes one `View` per condition (views.py).
Words as in the tables: hack is `exploited`, solve is `correct`. Rates are fractions; steps are optimizer steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.analysis.views import (
    StudyError,
    View,
    check_problems,
    joined,
    of_each_mode,
    of_modes,
    run_views,
    stack,
)
from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.evaluation import EVALUATION

MEASURED = "overlap_student/"  # before the name of a direction: a run's overlap with that V beside its own
BASE, INTERVENTIONS, CONTROLS, SLOW, ALONE, CEILING = GROUPS = (
    "base model",
    "interventions",
    "twins and controls",
    "slow controls",
    "without a teacher pool",
    "honest ceiling",
)


@dataclass(frozen=True)
class TableArm:
    """What a table needs to know of an arm.

    baseline   the arm that it is held against, maybe itself
    last       its number of steps; 0: it is the base model
    direction  the name of the V that it uses or measures
    twin       the arm that differs by having no information: derived from it, or with a random V
    tested     it is an intervention with information, no baseline and no control
    mix        the teacher's share of each group
    runs       {replicate: the name of its run on disk}, where that is another
    intervention, gate, project    what is done, as in the config
    signal, signal_kind, action    the same; the signal's kind
    knows      what it knows of hacking (workflow.arms.knows)
    kind       the kind of that direction
    slow       the slow control of its baseline whose final hack was nearest to its own on tuning replicates
    """

    baseline: str | None
    last: int
    direction: str | None = None
    twin: str | None = None
    tested: bool = False
    mix: float = 0.0
    runs: Mapping[int, str] = field(default_factory=dict)
    intervention: str = "none"
    gate: str = "one_sided"
    project: str = "gradient"
    kind: str | None = None
    signal: str | None = None
    signal_kind: str | None = None
    action: str | None = None
    knows: str = "0"
    slow: str | None = None


@dataclass(frozen=True)
class Claim:
    """What an intervention is held against: `controls` with other directions, its twin first, `slow` controls (slower
    or colder training), the arms that repeat it without a teacher pool (`alone`), and the arm with its gate and no
    quarantine (`screen`)."""

    controls: Sequence[str] = ()
    slow: Sequence[str] = ()
    alone: Sequence[str] = ()
    screen: str | None = None


@dataclass(frozen=True)
class Sizes:
    """How much is behind a table's numbers: on all held-out problems at the last step, and on the subset along it."""

    replicates: tuple[int, ...]
    problems: int
    samples: int
    subset_problems: int
    subset_samples: int


@dataclass(frozen=True)
class Study:
    """Arms in the order of the config, with what they measured."""

    arms: Mapping[str, TableArm]
    replicates: tuple[int, ...]
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

    @property
    def base(self) -> str | None:
        """The base model: the arm that was trained for 0 steps, if there is one."""
        return next((arm for arm, spec in self.arms.items() if spec.last == 0), None)

    def baseline(self, arm: str) -> str | None:
        """Return the arm that `arm` is held against, if it is another one and present."""
        name = self.arms[arm].baseline
        return name if name in self.arms and name != arm else None

    def measured(self, arm: str) -> dict[str, np.ndarray]:
        """Return the live gradient's overlaps (S, T) with V of other kinds, by name, that `arm`'s own run logged."""
        found = {name.removeprefix(MEASURED): x for name, x in self.training[arm].items() if name.startswith(MEASURED)}
        return {name: x for name, x in found.items() if name != self.arms[arm].direction and np.isfinite(x).any()}

    def best_control(self, arm: str) -> str | None:
        """Return which of them overlaps most, mean over the run: what `arm`'s own V has to beat."""
        found = self.measured(arm)
        return max(found, key=lambda name: mean(found[name]), default=None)

    def twin(self, arm: str) -> str | None:
        """Return the arm's twin, which may not be present: the one that is named, else its claim's first control."""
        controls = self.claims[arm].controls if arm in self.claims else ()
        return self.arms[arm].twin or next(iter(controls), None)

    def has_quarantine(self, arm: str) -> bool:
        return any(key[0] == arm and key[2] == "trained" for key in self.views)


def is_main(study: Study, arm: str) -> bool:
    """Whether the arm is held against the study's first baseline; else it was trained without a teacher pool."""
    first = next(iter(study.arms.values())).baseline
    main = next((name for name, spec in study.arms.items() if spec.baseline == name), first)
    return study.arms[arm].baseline == main


def group(study: Study, arm: str) -> str:
    """Return the arm's group in GROUPS, which follows from the claims and the baselines."""
    if arm == study.base:
        return BASE
    if arm == study.ceiling:
        return CEILING
    if any(arm in claim.controls for claim in study.claims.values()):
        return CONTROLS
    if any(arm in claim.slow for claim in study.claims.values()):
        return SLOW
    return INTERVENTIONS if is_main(study, arm) else ALONE


def results_of(runs: Sequence[str | Path]) -> Path:
    """Return the `results` that files of runs lie in, `{results}/replicate{n}/runs/{arm}/{file}`, for read_study."""
    return Path(runs[0]).parents[3]


def read_study(
    results: str | Path,
    arms: Mapping[str, Mapping],
    replicates: Sequence[int],
    claims: Mapping[str, Mapping] | None = None,
    ceiling: str | None = None,
) -> Study:
    """Read `{results}/replicate{n}/runs/{arm}/{evaluation,steps}.parquet` of every arm and replicate n, run by run.

    `arms` and `claims` have the fields of TableArm and of Claim; without claims, every tested arm claims to beat its
    twin.
    """
    known = {name: TableArm(**spec) for name, spec in arms.items()}
    made = claims_of(known) if claims is None else {name: Claim(**spec) for name, spec in claims.items()}

    def read(arm: str, n: int) -> tuple:
        folder = Path(results) / f"replicate{n}" / "runs" / known[arm].runs.get(n, arm)
        return arm, n, read_table(folder / "evaluation.parquet", EVALUATION), read_table(folder / "steps.parquet")

    return build_study((read(arm, n) for arm in arms for n in replicates), known, made, ceiling)


def claims_of(arms: Mapping[str, TableArm]) -> dict[str, Claim]:
    """Return a claim for every tested arm, whose one control is its twin; without slow controls."""
    return {name: Claim([spec.twin or f"{name} without information"]) for name, spec in arms.items() if spec.tested}


def sizes(study: Study) -> Sizes:
    """Return the sizes behind the study, of its first arm: they are the same for all."""
    first = next(iter(study.arms))
    full, subset = study.view(first), study.view(first, scope="subset")
    along = (len(subset.problems), subset.samples) if subset else (0, 0)
    return Sizes(study.replicates, len(full.problems), full.samples, *along)


def read_directions(summaries: Iterable[str | Path]) -> pd.DataFrame:
    """Read `.../replicate{n}/directions/{direction}/summary.parquet` files into one row per direction: its metrics over
    all modules, means over the replicates, and `replicates`, their number."""
    rows = []
    for path in map(Path, summaries):
        summary = read_table(path, DIRECTION_SUMMARY)
        metrics = summary[summary["module"] == "all"].set_index("metric")["value"]
        rows.append({"direction": path.parts[-2], **metrics})
    if not rows:
        return pd.DataFrame()
    by_direction = pd.DataFrame(rows).groupby("direction", sort=False)
    return by_direction.mean().assign(replicates=by_direction.size())


def build_study(
    runs: Iterable[tuple[str, int, pd.DataFrame, pd.DataFrame]],
    arms: Mapping[str, TableArm],
    claims: Mapping[str, Claim],
    ceiling: str | None,
) -> Study:
    """Build a study from (arm, replicate, evaluation, steps) of every run, schemas as in projected_grpo.artifacts.

    `runs` may be a generator: each run is reduced before the next is read. Arms with different replicates, different
    problems or different checkpoints between replicates are a StudyError.
    """
    views, training = {}, {}
    for arm, replicate, evaluation, steps in runs:
        training.setdefault(arm, {})[replicate] = steps.sort_values("step")
        for condition, view in run_views(evaluation, f"{arm}, replicate {replicate}").items():
            views.setdefault((arm, *condition), {})[replicate] = view
    replicates = tuple(sorted({replicate for by_replicate in training.values() for replicate in by_replicate}))
    for arm in arms:
        if sorted(training.get(arm, {})) != list(replicates) or not replicates:
            raise StudyError(
                f"{arm}: runs with replicates {sorted(training.get(arm, {}))}, but the study has {list(replicates)}"
            )
    stacked = {key: stack(by_replicate, replicates, key) for key, by_replicate in views.items()}
    check_problems(stacked)
    curves = {arm: _columns([training[arm][replicate] for replicate in replicates], arm) for arm in arms}
    return Study(dict(arms), replicates, dict(claims), ceiling, stacked, curves)


def restrict(study: Study, modes: Iterable[str]) -> Study:
    """Return the study on the problems of some modes alone; its training logs stay whole."""
    return replace(study, views={key: of_modes(view, set(modes)) for key, view in study.views.items()})


def in_turn(study: Study, modes: Mapping[int, str]) -> Study:
    """Return the study with each replicate on the problems of one mode alone, {replicate: mode}; its training logs stay
    whole."""
    order = [modes[n] for n in study.replicates]
    views = {key: of_each_mode(view, order) for key, view in study.views.items()}
    return replace(study, views={key: view for key, view in views.items() if view is not None})


def pool(studies: Sequence[Study]) -> Study:
    """Return studies of the same arms and replicates on different problems as one, on all their problems."""
    views = {key: joined([study.views[key] for study in studies]) for key in studies[0].views}
    return replace(studies[0], views=views)


def mean(values) -> float:
    """Return the mean of what is there, NaN if nothing is."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """Return the mean over replicates of sum(part) / sum(whole), both (S, P), where the whole is not 0."""
    part, whole = part.sum(1), whole.sum(1)
    return mean(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _columns(frames: list[pd.DataFrame], arm: str) -> dict[str, np.ndarray]:
    if len({len(frame) for frame in frames}) != 1:
        raise StudyError(f"{arm}: the replicates were trained for different numbers of steps")
    return {name: np.stack([frame[name].to_numpy(float) for frame in frames]) for name in frames[0].columns}
