"""How far a grid of runs has come: a table in the terminal that refreshes, and {results}/progress.html.

    python -m projected_grpo.watch [--configfile FILE ...] [--tables TABLE ...] [--every SECONDS]

1. The grid is that of the workflow with the same config files. Curves are of the live rollouts in training.
2. A training in progress is read from the file that it would resume from, so it is seen every `checkpoint_every` steps.
3. Time left: of a training, its steps to come at its own seconds per step, or the others' where it has not begun; of an
   evaluation, the mean of those that are done; together, divided by the number of runs in training.

It only reads, but for progress.html. Where the output is no terminal, it prints one table and ends.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from projected_grpo.artifacts.io import write_text
from projected_grpo.command import extra, run
from projected_grpo.configs import merged
from projected_grpo.reading import Run
from projected_grpo.reporting.progress import Grid, Progress, page, table
from projected_grpo.workflow.arms import steps_of
from projected_grpo.workflow.config import ConfigError, prepared, unknown
from projected_grpo.workflow.folds import grid, with_folds
from projected_grpo.workflow.timing import job_seconds
from projected_grpo.workflow.twins import with_twins


def main(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.watch", description="Watch a grid of runs.")
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="as given to snakemake")
    parser.add_argument("--tables", nargs="+", metavar="TABLE", help="only what these tables need (default: all)")
    parser.add_argument("--every", type=float, default=10, metavar="SECONDS", help="between two looks (default 10)")
    options = parser.parse_args(arguments)
    with extra("watch"):
        from rich.console import Console
        from rich.live import Live
    schema = yaml.safe_load(Path("schemas/config.schema.yaml").read_text(encoding="utf-8"))
    config = with_twins(prepared(merged(["config.yaml", *options.configfile]), schema))
    for name in options.tables or ():
        if name not in config["tables"]:
            raise ConfigError(unknown("--tables", name, config["tables"]))
    console = Console()
    if not console.is_terminal:
        console.print(table(look(config, options.tables)))
        return
    with Live(table(look(config, options.tables)), console=console, auto_refresh=False) as live:
        while True:
            seen = look(config, options.tables)
            live.update(table(seen), refresh=True)
            if all(each.state == "done" for each in seen.runs):
                return
            time.sleep(options.every)


def look(config: Mapping, tables: Sequence[str] | None) -> Grid:
    """Return the state of every run of some tables, or of all, and write it to progress.html.

    The config is the one with its twins and without the folds' own arms.
    """
    results, full = Path(config["results"]), {**config, **with_folds(config)}
    runs = []
    for arm, replicates in grid(config, tables).items():
        for n in replicates:
            folder = results / f"replicate{n}" / "runs" / arm
            log = results / "logs" / "train" / f"{arm}_replicate{n}.log"
            runs.append(progress(Run(arm, n, folder), log, steps_of(full, arm)))
    evaluations = [seconds for stage, _, seconds in job_seconds(results / "benchmarks") if stage == "evaluate"]
    at_a_time = max(1, sum(run.state == "training" for run in runs))
    seen = Grid(str(results), runs, time_left(runs, evaluations, at_a_time), at_a_time)
    write_text(results / "progress.html", page(seen))
    return seen


def progress(run: Run, log: Path, last: int) -> Progress:
    """Return how far one run of `last` steps has come."""
    files = [*run.folder.glob("resume/*.snapshot"), *run.folder.glob("*.parquet"), *([] if run.trained else [log])]
    written = max(map(_written, files), default=0)
    if not written:
        return Progress(run.arm, run.replicate, "waiting", 0, last)
    evaluated = run.file("evaluation").exists()
    state = "done" if evaluated else "trained" if run.trained else "training"
    step, seconds, hack, solve = _numbers(run, written)
    return Progress(run.arm, run.replicate, state, step, last, seconds, (time.time() - written) / 60, hack, solve)


def _written(path: Path) -> float:
    """Return when a file was last written, 0 if it is not there: what is looked at may be removed at any time."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


@cache
def _numbers(run: Run, written: float) -> tuple:
    """Return the step, the seconds of a step, and hack and solve at every step, of a run last written to at a time."""
    steps, timing = run.read("steps"), run.read("timing")
    if steps.empty:
        return 0, None, (), ()
    return (
        int(steps["step"].max()),
        float(timing["seconds"].sum() / timing["step"].nunique()) if len(timing) else None,
        tuple(steps["hack_student"]),
        tuple(steps["solve_student"]),
    )


def time_left(runs: Sequence[Progress], evaluations: Sequence[float], at_a_time: int) -> float | None:
    """Return the minutes until all runs are done, None before any has shown how long a step takes.

    `evaluations` are the seconds of those that are done.
    """
    known = [each.seconds for each in runs if each.seconds]
    if not known:
        return None
    usual, evaluation = sum(known) / len(known), sum(evaluations) / len(evaluations) if evaluations else 0.0
    left = sum((each.last - each.step) * (each.seconds or usual) for each in runs)
    left += sum(evaluation for each in runs if each.state != "done")
    return left / 60 / at_a_time


if __name__ == "__main__":
    sys.exit(run(main))
