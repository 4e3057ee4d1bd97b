"""Splits (method 4): train, pairs and evaluation, cut from files of problems, one loophole mode each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from projected_grpo.environment.problems import Problem, ProblemError, read_problems
from projected_grpo.rng import numpy_generator


def draw_splits(
    files: Mapping[str, str | Path],
    sizes: Mapping[str, int],
    seed: int,
    modes: Sequence[str],
    exclude: Collection[str] = (),
) -> dict[str, list[Problem]]:
    """Return the problems of every split, each with one of the modes in turn, from the file that `files` names for it.

    Splits of one file are disjoint slices of a seeded permutation of it. Raises ProblemError where a file has too few
    problems, and where two splits share an id or a statement; other errors as of `read_problems`.
    """
    by_file: dict[Path, list[str]] = {}
    for split, path in files.items():
        by_file.setdefault(Path(path).resolve(), []).append(split)
    found = {}
    for path, splits in by_file.items():
        problems, left_out = read_problems(path, exclude)
        wanted = {split: sizes[split] for split in splits}
        total = sum(wanted.values())
        if total > len(problems):
            without = f" that can be used, and {len(left_out)} others" if left_out else ""
            raise ProblemError(f"{path}: has {len(problems)} problems{without}, but the splits want {total}: {wanted}")
        order = iter(numpy_generator(seed, 0, "leetcode").permutation(len(problems)))
        for split in splits:
            drawn = [problems[i] for i in islice(order, sizes[split])]
            found[split] = [replace(problem, mode=modes[n % len(modes)]) for n, problem in enumerate(drawn)]
    _require_disjoint(found, files)
    return found


def _require_disjoint(found: Mapping[str, list[Problem]], files: Mapping[str, str | Path]) -> None:
    owner: dict[str, str] = {}
    for split, problems in found.items():
        for problem in problems:
            for what, mark in (("statement", problem.statement), ("id", problem.id)):
                other = owner.setdefault(f"{what} {mark}", split)
                if other != split:
                    raise ProblemError(
                        f"problem {problem.id}: its {what} is in {other} ({files[other]}) and in {split}"
                        f" ({files[split]}): not disjoint"
                    )
