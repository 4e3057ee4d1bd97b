"""What the programs of this package share: an error takes one line, and so does an optional library that is missing."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from projected_grpo.errors import UserError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn an ImportError within into a UserError that says how the optional extra of pyproject.toml is installed."""
    try:
        yield
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: make tools, or in a clone pip install '.[{name}]'") from error


def run(main: Callable[[Sequence[str] | None], None]) -> int:
    """Return the exit status of a program: 1 after an error that the user can put right, 130 after Ctrl-C."""
    try:
        main(None)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
