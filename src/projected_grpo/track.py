"""Send the rows of runs to an experiment tracker, after a run or during it, never from within training.

    python -m projected_grpo.track RESULTS [--to trackio|wandb|tensorboard] [--project NAME] [--every SECONDS]

1. Metrics are the columns of steps.parquet, and hack, solve and attempted of the evaluation: on the subset along the
   run, and on all problems at its end. The step is the optimizer's. What is not a number is left out.
2. A run is called {arm}-replicate{n}-{digest of its first row}: a run that is made anew with other settings is another.
3. RESULTS/track/{tracker}.json says what was sent, and the next call sends what is new; with --every, until Ctrl-C.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from projected_grpo.artifacts.io import read_provenance, write_text
from projected_grpo.command import extra, run
from projected_grpo.errors import UserError, one_line
from projected_grpo.reading import Run, along, counted, load, rates

Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Tracked:
    """A run as a tracker knows it; `results` is where files of the tracker's own may lie."""

    results: Path
    project: str
    name: str
    arm: str
    config: Mapping


@contextmanager
def _trackio(tracked: Tracked) -> Iterator[Log]:
    with extra("track"):
        import trackio
    quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}  # this process is not the one that trains
    sent = trackio.init(
        tracked.project, tracked.name, tracked.arm, config=dict(tracked.config), resume="allow", **quiet
    )
    yield lambda step, values: sent.log(dict(values), step=step)
    trackio.finish()


@contextmanager
def _wandb(tracked: Tracked) -> Iterator[Log]:
    with extra("wandb"):
        import wandb
        from wandb.errors import UsageError
    folder = tracked.results / "track"
    folder.mkdir(parents=True, exist_ok=True)
    names = {"project": tracked.project, "id": tracked.name, "name": tracked.name, "group": tracked.arm}
    how = {"dir": str(folder), "resume": "allow", "reinit": "create_new"}
    try:
        sent = wandb.init(**names, config=dict(tracked.config), **how)
    except UsageError as error:
        raise UserError(f"wandb: {one_line(error)}; WANDB_MODE=offline keeps the runs on this machine") from error
    sent.define_metric("*", step_metric="step")  # its own step may not go back, as the evaluation does
    yield lambda step, values: sent.log({"step": step, **values})
    sent.finish()


@contextmanager
def _tensorboard(tracked: Tracked) -> Iterator[Log]:
    with extra("tensorboard"):
        from tensorboard.summary import Writer
    writer = Writer(str(tracked.results / "track" / "tensorboard" / tracked.project / tracked.name))

    def log(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    yield log
    writer.close()


TRACKERS = {"trackio": _trackio, "wandb": _wandb, "tensorboard": _tensorboard}


def main(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.track", description="Send runs to a tracker.")
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the results directory of an experiment")
    parser.add_argument("--to", choices=TRACKERS, default="trackio", help="the tracker (default trackio)")
    parser.add_argument("--project", default="projected_grpo", help="the project there (default projected_grpo)")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="look for new rows again, until Ctrl-C")
    options = parser.parse_args(arguments)
    while True:
        count = send(options.results, options.to, options.project)
        print(f"{time.strftime('%H:%M:%S')} {count} new points to {options.to}, project {options.project}", flush=True)
        if options.every is None:
            return
        time.sleep(options.every)


def send(results: Path, to: str, project: str) -> int:
    """Send what was not sent before; return the number of points, each a step with its metrics."""
    file, count = results / "track" / f"{to}.json", 0
    sent = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known = sent.setdefault(project, {})
    for each in load(results).runs:
        points = [training(each), evaluation(each)]
        if not any(points):
            continue
        tracked = Tracked(results, project, name(each), each.arm, config(each))
        before = known.get(tracked.name, [0, 0])
        new = [point for part, old in zip(points, before, strict=True) for point in part[old:]]
        if new:
            with TRACKERS[to](tracked) as log:
                for step, values in new:
                    log(step, values)
            known[tracked.name] = [len(part) for part in points]
            write_text(file, json.dumps(sent, indent=1))
            count += len(new)
    return count


def training(run: Run) -> list[tuple[int, dict[str, float]]]:
    """Return (step, metrics) of every optimizer step so far."""
    return [(int(row.pop("step")), finite(row)) for row in run.read("steps").to_dict("records")]


def evaluation(run: Run) -> list[tuple[int, dict[str, float]]]:
    """Return (step, rates) of every checkpoint on the subset, then of the last step on all problems."""
    rows = run.read("evaluation")
    if rows.empty:
        return []
    points = []
    for scope, part in (("subset", along(rows)), ("full", counted(rows))):
        means = rates(part, "step").add_prefix(f"evaluation/{scope}/")
        points += [(int(step), finite(row)) for step, row in means.iterrows()]
    return points


def name(run: Run) -> str:
    """Return the run's name in a tracker; the first row is what two runs of an arm differ in, if in anything."""
    first = run.read("steps").head(1)
    first = counted(run.read("evaluation")).head(1) if first.empty else first.astype(float)
    digest = hashlib.sha256(json.dumps(first.to_dict("records"), sort_keys=True, default=str).encode()).hexdigest()
    return f"{run.arm}-replicate{run.replicate}-{digest[:8]}"


def config(run: Run) -> dict:
    """Return the run's arm and replicate, and once it is trained, the settings behind it."""
    settings = read_provenance(run.file("steps"))["config"] if run.trained else {}
    return {**settings, "arm_name": run.arm, "replicate": run.replicate}


def finite(row: Mapping) -> dict[str, float]:
    """Return the numbers of a row."""
    return {key: float(value) for key, value in row.items() if pd.notna(value) and math.isfinite(value)}


if __name__ == "__main__":
    sys.exit(run(main))
