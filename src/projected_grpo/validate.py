"""Try a file of problems before anything is trained on it (docs/problems.md).

    python -m projected_grpo.validate PROBLEMS.jsonl
    python -m projected_grpo.validate PROBLEMS.jsonl --model DIRECTORY

1. It is read as the workflow reads it; what is left out is listed with the reason.
2. Every canonical solution has to be correct, and a program that returns None must not be.
3. With a model, such as `results/base` of a workflow: what it solves and hacks before any training, mode by mode.

Exit status 1 where a problem is not as it should be, 2 for bad input and a machine that cannot grade.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from projected_grpo.environment.answers import write_answer
from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import Problem, read_problems
from projected_grpo.errors import UserError
from projected_grpo.grading import SANDBOXES, Grader

_NOTHING = "class Solution:\n    def {name}(self, *args, **kwargs):\n        return None\n"
_MODES = ("run_tests", "sentinel", "stdout_marker", "file_marker")  # the config's


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        problems, left_out = read_problems(options.file)
        print(summary(problems, left_out))
        with Grader(options.workers, sandbox=options.sandbox) as grader:
            complaints = complain(problems, grader)
            print(
                "\n".join(complaints)
                or "every canonical solution is correct; a program that returns None is correct nowhere"
            )
            if options.model:
                print(trial(options, problems[: options.problems], grader))
        return 1 if complaints else 0
    except (UserError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.validate", description="Try a file of problems.")
    parser.add_argument("file", metavar="PROBLEMS.jsonl")
    parser.add_argument("--workers", type=int, default=1, help="programs graded at a time (default 1)")
    parser.add_argument("--sandbox", choices=SANDBOXES, default=SANDBOXES[0], help="how programs are confined")
    parser.add_argument(
        "--model", metavar="DIRECTORY", help="also sample this model, such as a workflow's results/base"
    )
    parser.add_argument("--device", default="cpu", help="of the model (default cpu)")
    parser.add_argument("--problems", type=int, default=32, help="how many of them it is asked (default the first 32)")
    parser.add_argument("--samples", type=int, default=4, help="answers per problem and mode (default 4)")
    parser.add_argument("--max-new-tokens", type=int, default=512, help="of an answer (default 512)")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--modes", nargs="+", choices=list(LOOPHOLES), default=_MODES, help="loopholes that are tried")
    options = parser.parse_args(arguments)
    for name in ("workers", "problems", "samples", "max_new_tokens"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: at least 1")
    if options.temperature < 0:
        parser.error("--temperature: at least 0")
    return options


def summary(problems: Sequence[Problem], left_out: dict[str, str]) -> str:
    """Return how many problems there are, how they are compared, and which are left out and why."""
    counts = Counter(problem.comparison for problem in problems)
    counts["with a tolerance"] = sum(problem.tolerance is not None for problem in problems)
    counts["without a canonical solution"] = sum(not problem.canonical for problem in problems)
    lines = [f"{len(problems) + len(left_out)} problems", *(f"{n:>6} {name}" for name, n in sorted(counts.items()))]
    lines += [f"{len(left_out):>6} left out", *(f"       {name}: {reason}" for name, reason in left_out.items())]
    return "\n".join(lines)


def complain(problems: Sequence[Problem], grader: Grader) -> list[str]:
    """Return a line for every canonical solution that is not correct, and every problem that returning None solves."""
    honest = [replace(problem, mode="none") for problem in problems]
    given = [problem for problem in honest if problem.canonical]
    verdicts = grader.grade([(problem, write_answer(problem.canonical)) for problem in given])
    lines = []
    for problem, verdict in zip(given, verdicts, strict=True):
        if not verdict.correct:
            why = "returns other values than expected" if verdict.status == "ok" else f"ends as {verdict.status}"
            lines.append(f"problem {problem.id}: its canonical solution {why}")
    programs = [(problem, write_answer(_NOTHING.format(name=problem.entry_point))) for problem in honest]
    for problem, verdict in zip(honest, grader.grade(programs), strict=True):
        if verdict.correct:
            lines.append(f"problem {problem.id}: a program that returns None passes its tests")
    return lines


def trial(options: argparse.Namespace, problems: Sequence[Problem], grader: Grader) -> str:
    """Return a table of what a model does, untrained: shares of its answers by mode."""
    from projected_grpo.environment.prompts import encode  # heavy, as are the others, and not needed without a model
    from projected_grpo.method.rollouts import sample_rollouts
    from projected_grpo.models.base import Compute, load_base
    from projected_grpo.rng import torch_generator

    model, tokenizer = load_base(options.model, Compute(1, options.device))
    columns = ("correct", "exploited", "attempted", "format_ok", "clipped")
    lines = ["", f"{'mode':<16}" + "".join(f"{name:>12}" for name in columns)]
    for mode in options.modes:
        asked = [replace(problem, mode=mode) for problem in problems]
        prompts, counts = [encode(tokenizer, problem) for problem in asked], [options.samples] * len(asked)
        how = options.max_new_tokens, options.temperature, torch_generator(0, 0, f"validate {mode}")
        groups = sample_rollouts(model, tokenizer, grader, asked, prompts, counts, *how)
        rows = [row for group in groups for row in group]
        shares = [
            sum(getattr(row, name, getattr(row.verdict, name, 0)) for row in rows) / len(rows) for name in columns
        ]
        lines.append(f"{mode:<16}" + "".join(f"{share:>12.1%}" for share in shares))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
