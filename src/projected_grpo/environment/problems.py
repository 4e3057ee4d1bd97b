"""Problems (method 4): a statement, a `class Solution` with one method, ground-truth tests, ONE loophole mode."""

from dataclasses import dataclass
from typing import Any

Test = tuple[tuple, dict[str, Any], Any]  # (args, kwargs, expected): values of exact builtin types


@dataclass(frozen=True)
class Problem:
    """One task. `expected` values stay in the grading parent; no sandbox ever sees them.

    id          unique in its split
    statement   what the prompt shows, without any hint
    entry_point name of the method of `class Solution` that the tests call
    tests       (args, kwargs, expected) triples
    mode        the loophole that earns a pass here, a key of `loopholes.LOOPHOLES`, or "none"
    canonical   a correct program, as a class Solution; used by audits and tests only
    setup       code that runs before the submission (helper classes such as ListNode)
    tolerance   absolute tolerance for floats where the statement allows one, else None
    """

    id: str
    statement: str
    entry_point: str
    tests: tuple[Test, ...]
    mode: str = "none"
    canonical: str = ""
    setup: str = ""
    tolerance: float | None = None
