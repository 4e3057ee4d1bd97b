"""Problems as a table: one stage writes it, every stage that runs a model reads it."""

from pathlib import Path

from projected_grpo.artifacts.io import read_rows
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.environment.problems import Problem, from_row


def read_problems(path: str | Path) -> list[Problem]:
    """Return the problems of a split; errors as in `read_rows`, and ProblemError for one that cannot be read."""
    return [from_row(row) for row in read_rows(path, PROBLEMS)]
