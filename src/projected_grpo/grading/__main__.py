"""Grade a file of completions, or check that this machine can.

    python -m projected_grpo.grading [--workers N] [--audit] [--sandbox NAME] PROBLEMS.jsonl COMPLETIONS.jsonl OUT
    python -m projected_grpo.grading --self-test

Problems are as docs/problems.md describes them; completions are {"problem_id": ..., "completion": ...}. The verdicts
come in the order of the completions. Bad input is one line on standard error and exit status 2; a machine that cannot
confine is status 1.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from projected_grpo.environment.problems import Problem, read_problems
from projected_grpo.files import FileError, identity, read_rows
from projected_grpo.grading import SANDBOXES, Grader, GraderError, Verdict
from projected_grpo.grading.grader import WALL_SECONDS
from projected_grpo.workflow.code_version import code_version

_CHUNK = 64  # submissions between two states of the progress bar


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        if options.self_test:
            with Grader(sandbox=options.sandbox):
                print(f"self-test passed: this machine confines submissions by {options.sandbox}")
            return 0
        *read, written = (Path(file).resolve() for file in options.files)
        if written in read:
            raise FileError(f"{options.files[2]} would be written over; give the verdicts a file of their own")
        problems, left_out = _problems(options.files[0])
        completions = _completions(options.files[1], problems, left_out)
        if left_out:
            print(f"left out of {options.files[0]}: {len(left_out)} problems, {', '.join(sorted(left_out))}")
        with Grader(options.workers, sandbox=options.sandbox) as grader:
            verdicts = [v for part in _progress(completions) for v in grader.grade(part, audit=options.audit)]
        _write(options, completions, verdicts)
        _summarise(verdicts)
        return 0
    except GraderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.grading", description="Grade completions.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="PROBLEMS.jsonl COMPLETIONS.jsonl VERDICTS.parquet")
    parser.add_argument("--workers", type=int, default=1, help="submissions graded at a time (default 1)")
    parser.add_argument("--audit", action="store_true", help="also judge each completion's own run_tests")
    parser.add_argument("--sandbox", choices=SANDBOXES, default=SANDBOXES[0], help="how submissions are confined")
    parser.add_argument("--self-test", action="store_true", help="only check that this machine confines submissions")
    options = parser.parse_args(arguments)
    if len(options.files) != (0 if options.self_test else 3):
        parser.error("give PROBLEMS.jsonl COMPLETIONS.jsonl VERDICTS.parquet, or --self-test alone")
    return options


def _problems(path: str) -> tuple[dict[str, Problem], dict[str, str]]:
    """Return the problems by id, and why others are left out."""
    problems, left_out = read_problems(path)
    return {problem.id: problem for problem in problems}, left_out


def _completions(path: str, problems: dict[str, Problem], left_out: dict[str, str]) -> list[tuple[Problem, str]]:
    pairs = []
    for where, row in read_rows(path):
        if not isinstance(row.get("completion"), str) or "problem_id" not in row:
            raise FileError(f"{where}: needs problem_id and completion, a text")
        try:
            problem_id = identity(row["problem_id"])
        except ValueError as error:
            raise FileError(f"{where}: problem_id: {error}") from error
        if problem_id in left_out:
            raise FileError(f"{where}: problem {problem_id} cannot be graded: {left_out[problem_id]}")
        if problem_id not in problems:
            raise FileError(f"{where}: unknown problem {problem_id}")
        pairs.append((problems[problem_id], row["completion"]))
    return pairs


def _progress(pairs: list) -> Iterator[list]:
    """Yield the pairs in chunks; on a terminal, draw a bar on standard error."""
    with tqdm(total=len(pairs), unit=" completions", disable=None) as bar:
        for start in range(0, len(pairs), _CHUNK):
            yield pairs[start : start + _CHUNK]
            bar.update(len(pairs[start : start + _CHUNK]))


def _write(options: argparse.Namespace, completions: list[tuple[Problem, str]], verdicts: list[Verdict]) -> None:
    from projected_grpo.artifacts.io import write_table  # heavy, as are the others, and not needed by --self-test
    from projected_grpo.artifacts.provenance import provenance
    from projected_grpo.artifacts.schemas.grading import VERDICTS

    rows = [
        {"problem_id": problem.id, "mode": problem.mode} | verdict.to_row()
        for (problem, _), verdict in zip(completions, verdicts, strict=True)
    ]
    settings = {"sandbox": options.sandbox, "wall_seconds": WALL_SECONDS, "audit": options.audit}
    source = provenance({"grading": settings}, code_version(__file__))
    write_table(options.files[2], rows, VERDICTS, source)


def _summarise(verdicts: list[Verdict]) -> None:
    print(f"{'completions':<14}{len(verdicts):>8}")
    for name in ("format_ok", "correct", "passed", "exploited", "attempted"):
        count = sum(getattr(verdict, name) for verdict in verdicts)
        share = f"{count / len(verdicts):>8.1%}" if verdicts else ""
        print(f"{name:<14}{count:>8}{share}")
    for status, count in sorted(Counter(verdict.status for verdict in verdicts).items()):
        print(f"{'status ' + status:<14}{count:>8}")


if __name__ == "__main__":
    sys.exit(main())
