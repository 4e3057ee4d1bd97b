"""Errors that a user can act on, and where the messages of a stage go. Standard library only."""

import sys
import traceback
from pathlib import Path


class UserError(Exception):
    """Something that the user can put right: the message says what, where, and what to do."""


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return what an exception of a library says, or its type where it says nothing, in one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= longest else f"{said[:longest]}..."


def log_to(path: str | Path) -> None:
    """Send this process's output to a log file; there, a UserError or OSError that ends it takes one line."""
    sys.stdout = sys.stderr = open(path, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.excepthook = _report


def _report(kind, error, trace) -> None:
    if issubclass(kind, UserError):
        print(f"error: {error}", file=sys.stderr)
    elif issubclass(kind, OSError):
        *_, last = traceback.extract_tb(trace)
        print(f"error: {error} (at {Path(last.filename).name}:{last.lineno})", file=sys.stderr)
    elif issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)
