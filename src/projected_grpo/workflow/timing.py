"""How long jobs took, from the benchmark files that Snakemake leaves."""

import csv
from collections.abc import Iterator
from pathlib import Path


def job_seconds(benchmarks: Path) -> Iterator[tuple[str, str, float]]:
    """Yield stage, name within it ("" for its only job) and seconds of every job that left a benchmark file."""
    for path in sorted(benchmarks.rglob("*.tsv")):
        stage, _, name = path.relative_to(benchmarks).with_suffix("").as_posix().partition("/")
        with path.open(encoding="utf-8") as rows:
            for row in csv.DictReader(rows, delimiter="\t"):
                yield stage, name, float(row["s"])


def stage_minutes(benchmarks: Path) -> str:
    """Return one line per stage: its jobs and their minutes together."""
    totals: dict[str, tuple[int, float]] = {}
    for stage, _, seconds in job_seconds(benchmarks):
        jobs, total = totals.get(stage, (0, 0.0))
        totals[stage] = (jobs + 1, total + seconds)
    return "\n".join(f"{stage:<14}{jobs:>4} jobs {total / 60:>7.1f} min" for stage, (jobs, total) in totals.items())
