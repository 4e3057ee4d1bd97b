"""Write the rollouts of every run as logs that `inspect view` opens.

    python -m projected_grpo.inspect RESULTS [--steps STEP ...]
    inspect view --log-dir RESULTS/inspect

RESULTS/inspect/replicate{n}/{arm}/evaluation.eval has the completions that the tables count, step{step}.eval the
rollouts of one step of training. What a run does not have, or not yet, is left out.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from projected_grpo.artifacts.problems import read_problems
from projected_grpo.command import run
from projected_grpo.errors import UserError
from projected_grpo.reading import load


def main(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.inspect", description="Write logs of Inspect.")
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the results directory of an experiment")
    parser.add_argument("--steps", type=int, nargs="+", default=[], help="also the rollouts of these training steps")
    options = parser.parse_args(arguments)
    from projected_grpo.inspect import logs  # needs inspect_ai, and --help does not

    results, folder = load(options.results), options.results / "inspect"
    count = 0
    for name in ["evaluation", *(f"step{step}" for step in options.steps)]:
        problems = read_problems(options.results / "problems" / f"{logs.split_of(name)}.parquet")
        found = {each: rows for each in results.runs if len(rows := logs.rows_of(each, name))}
        for each, rows in found.items():
            path = folder / f"replicate{each.replicate}" / each.arm / f"{name}.eval"
            logs.write(path, logs.log(each, name, rows, problems))
        if not found:
            print(f"{name}: no run has it, or not yet")
        count += len(found)
    if not count:
        raise UserError(f"{options.results}: no run has been evaluated yet, and none has a step of --steps")
    print(f"{count} logs: inspect view --log-dir {folder}")


if __name__ == "__main__":
    sys.exit(run(main))
