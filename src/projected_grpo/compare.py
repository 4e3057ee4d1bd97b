"""Draw two results directories in one figure, arm beside arm.

    python -m projected_grpo.compare RESULTS OTHER FIGURE      # writes FIGURE.png and FIGURE.svg

An arm that has not been evaluated in every replicate yet is left out, which is said.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from projected_grpo.analysis.study import Study, TableArm, build_study
from projected_grpo.command import run
from projected_grpo.errors import UserError
from projected_grpo.reading import load
from projected_grpo.reporting.compare import compare
from projected_grpo.reporting.figures import save


def main(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.compare", description="Draw two results as one.")
    parser.add_argument("results", metavar="RESULTS", help="a results directory: solid lines")
    parser.add_argument("other", metavar="OTHER", help="another one: dashed lines")
    parser.add_argument("figure", type=Path, metavar="FIGURE", help="where to write it, without an ending")
    options = parser.parse_args(arguments)
    names = options.results, options.other
    figure = compare(study(options.results), study(options.other), names)
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    save(figure, options.figure, {"results": names})
    print(f"{options.figure}.png, {options.figure}.svg")


def study(results: str) -> Study:
    """Return all runs of a results directory as a study without claims; none that is whole is a UserError."""
    evaluated = [run for run in load(results).runs if run.file("evaluation").exists()]
    replicates = {run.replicate for run in evaluated}
    by_arm = {run.arm: [each for each in evaluated if each.arm == run.arm] for run in evaluated}
    whole = {arm: runs for arm, runs in by_arm.items() if len(runs) == len(replicates)}
    if not whole:
        raise UserError(f"{results}: no arm has been evaluated in every replicate yet")
    if left_out := sorted(by_arm.keys() - whole.keys()):
        print(f"{results}: left out, not evaluated in every replicate yet: {', '.join(left_out)}")
    arms = {}
    for arm, (first, *_) in whole.items():
        arms[arm] = TableArm(baseline=None, last=int(first.read("evaluation")["step"].max()))
    read = (
        (each.arm, each.replicate, each.read("evaluation"), each.read("steps"))
        for runs in whole.values()
        for each in runs
    )
    return build_study(read, arms, {}, None)


if __name__ == "__main__":
    sys.exit(run(main))
