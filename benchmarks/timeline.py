"""Where the time of table 1 goes: start-up per job, and the jobs on 1, 2 and 4 cores as a Gantt picture.

    make timeline
    python benchmarks/timeline.py RESULTS [--replicates 1 2 3] [--write docs/performance.md]

RESULTS holds the benchmark files of a finished run of table 1, and perhaps others, that had no more jobs at a time than
cores: with more, a job takes longer than on a core of its own. The jobs that table 1 needs are laid out anew on 1, 2
and 4 such cores, in the order of the workflow, each as long as it took; so this is what more cores could buy, and the
critical path is what none can. Start-up is measured here: a fresh interpreter that imports what a stage's script
imports.
"""

import argparse
import ast
import heapq
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.figure import Figure

from projected_grpo.configs import merged
from projected_grpo.documents.blocks import machine, replace_block
from projected_grpo.workflow.arms import replicates_of, used_directions
from projected_grpo.workflow.config import prepared
from projected_grpo.workflow.timing import job_seconds
from projected_grpo.workflow.twins import with_twins

ROOT = Path(__file__).resolve().parents[1]
NEEDS = {  # a stage waits for all jobs of these; besides, an evaluation for its training, a twin for its arm
    "base_model": [],
    "problems": [],
    "teacher_pool": ["base_model", "problems"],
    "pools": ["teacher_pool"],
    "pairs": ["pools"],
    "evaluate_start": ["base_model", "problems"],
    "direction": ["pairs"],
    "signal": ["direction"],
    "train": ["direction", "signal"],
    "evaluate": ["evaluate_start"],
    "table1": ["evaluate"],
    "figures": ["evaluate"],
}
GREY, YELLOW, SKY, PINK, BLUE, RED, BLACK = "#8A8A8A", "#E69F00", "#56B4E9", "#CC79A7", "#0072B2", "#D55E00", "#222222"
COLOURS = [GREY, GREY, YELLOW, SKY, SKY, RED, PINK, PINK, BLUE, RED, BLACK, BLACK]
CORES = (1, 2, 4)
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--replicates", type=int, nargs="+", help="those laid out (default: config.yaml's)")
    parser.add_argument("--write", type=Path, help="document to put the tables into; the figure goes beside it")
    options = parser.parse_args()
    config = default_config()
    replicates = options.replicates or replicates_of(config, "table1")
    jobs = read_jobs(options.results / "benchmarks", config, replicates)
    plans = {cores: plan(jobs, cores) for cores in CORES}
    startups = {stage: startup(stage) for stage in ("teacher_pool", "direction", "train", "evaluate")}
    text = f"{machine()}; {len(replicates)} replicates.\n\n{tables(jobs, plans, startups)}"
    print(text)
    if options.write:
        figure(plans).savefig(options.write.with_name("timeline.png"), dpi=150)
        text += "\n![Table 1's jobs on 1, 2 and 4 cores](timeline.png)\n"
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "timeline", text), encoding="utf-8"
        )


def default_config() -> dict:
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    return with_twins(prepared(merged([ROOT / "config.yaml"]), schema))


def read_jobs(folder: Path, config: Mapping, replicates: Iterable[int]) -> pd.DataFrame:
    """Return the jobs that these replicates of table 1 need, in the workflow's order.

    Columns: stage, name, seconds, and after: the name of the training that the job waits for, or "".
    """
    arms = config["tables"]["table1"]
    directions = {name for arm in arms for name in used_directions(config, arm)}
    signals = {config["arms"][arm].get("signal") for arm in arms}
    names = {*arms, *directions, *signals, "all", "natural_all"}
    wanted = {f"{name}_replicate{n}" for name in names for n in replicates} | {f"replicate{n}" for n in replicates}
    jobs = pd.DataFrame(job_seconds(folder), columns=["stage", "name", "seconds"])
    jobs = jobs[jobs["stage"].isin(NEEDS) & (jobs["name"].isin(wanted) | ~jobs["name"].str.contains("replicate"))]
    jobs["after"] = jobs["name"].where(jobs["stage"] == "evaluate", "")
    for twin, n in product((arm for arm in arms if "twin_of" in config["arms"][arm]), replicates):
        of = (jobs["stage"] == "train") & (jobs["name"] == f"{twin}_replicate{n}")
        jobs.loc[of, "after"] = f"{config['arms'][twin]['twin_of']}_replicate{n}"
    order = {stage: place for place, stage in enumerate(NEEDS)}
    return jobs.sort_values(["stage", "name"], key=lambda c: c.map(order).fillna(0), kind="stable")


def plan(jobs: pd.DataFrame, cores: int) -> pd.DataFrame:
    """Return the jobs with core and start: whichever core is free first takes the next job that may begin."""
    ends: dict[str, float] = dict.fromkeys(NEEDS, 0.0)
    trained: dict[str, float] = {"": 0.0}
    waiting = list(jobs.itertuples(index=False))
    free = [(0.0, core) for core in range(cores)]
    placed = []
    while waiting:
        now, core = heapq.heappop(free)
        ready = [(_ready(job, waiting, ends, trained), place) for place, job in enumerate(waiting)]
        begin, place = min((max(now, at), place) for at, place in ready if at is not None)
        job = waiting.pop(place)
        end = begin + job.seconds
        ends[job.stage] = max(ends[job.stage], end)
        if job.stage == "train":
            trained[job.name] = end
        placed.append({**job._asdict(), "core": core, "start": begin})
        heapq.heappush(free, (end, core))
    return pd.DataFrame(placed)


def _ready(job, waiting, ends, trained) -> float | None:
    """Return from when a job may begin, or None while something that it needs has not been placed."""
    if job.after not in trained or any(other.stage in NEEDS[job.stage] for other in waiting):
        return None
    return max([trained[job.after], *(ends[stage] for stage in NEEDS[job.stage])])


def startup(stage: str) -> list[float]:
    """Return the seconds in which a fresh interpreter has imported what the stage's script imports, REPEATS times."""
    tree = ast.parse((ROOT / "workflow_scripts" / f"{stage}.py").read_text(encoding="utf-8"))
    imports = "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", imports], check=True)
        seconds.append(time.perf_counter() - started)
    return seconds


def tables(jobs: pd.DataFrame, plans: dict[int, pd.DataFrame], startups: dict[str, list[float]]) -> str:
    """Return jobs and minutes per stage, the length of each plan, and start-up per job."""
    lines = ["| stage | jobs | minutes | start-up of a job, s |", "| --- | --- | --- | --- |"]
    for stage, part in jobs.groupby("stage", sort=False):
        own = f"{statistics.median(startups[stage]):.1f}" if stage in startups else ""
        lines.append(f"| {stage} | {len(part)} | {part['seconds'].sum() / 60:.1f} | {own} |")
    total = jobs["seconds"].sum()
    everywhere = plan(jobs, len(jobs))
    lines += ["", "| cores | minutes | busy |", "| --- | --- | --- |"]
    for cores, placed in plans.items():
        end = (placed["start"] + placed["seconds"]).max()
        lines.append(f"| {cores} | {end / 60:.1f} | {100 * total / (cores * end):.0f}% |")
    path = (everywhere["start"] + everywhere["seconds"]).max()
    lines.append(f"| any number: the critical path | {path / 60:.1f} | |")
    return "\n".join(lines) + "\n"


def figure(plans: dict[int, pd.DataFrame]) -> Figure:
    drawn = Figure(figsize=(10, 3.6), layout="constrained")
    panels = drawn.subplots(len(plans), 1, sharex=True, height_ratios=list(plans))
    for axes, (cores, placed) in zip(panels, plans.items(), strict=True):
        for stage, colour in zip(NEEDS, COLOURS, strict=True):
            part = placed[placed["stage"] == stage]
            axes.barh(
                part["core"],
                part["seconds"] / 60,
                left=part["start"] / 60,
                color=colour,
                height=0.8,
                ec="white",
                lw=0.3,
            )
        axes.set_yticks([])
        axes.set_ylabel(f"{cores} core{'s' if cores > 1 else ''}", rotation=0, ha="right", va="center")
        axes.spines[["top", "right", "left"]].set_visible(False)
    panels[-1].set_xlabel("minutes (each job as long as it was measured)")
    shown = ["base_model", "teacher_pool", "direction", "train", "evaluate"]
    handles = [panels[0].barh([0], [0], color=COLOURS[list(NEEDS).index(stage)], label=stage) for stage in shown]
    drawn.legend(handles=handles, loc="outside upper right", ncols=len(shown), frameon=False, fontsize=8)
    return drawn


if __name__ == "__main__":
    main()
