"""Print what an artifact is, its columns and its provenance, and check it against its schema.

    python -m projected_grpo.artifacts FILE...
    python -m projected_grpo.artifacts --document > docs/artifacts.md

A file that is unreadable or not of its schema is one line on standard error and exit status 1.
"""

import signal
import sys

from projected_grpo.artifacts import catalogue
from projected_grpo.artifacts.io import ArtifactError


def main(arguments: list[str]) -> int:
    if arguments == ["--document"]:
        print(catalogue.document(), end="")
        return 0
    if not arguments or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m projected_grpo.artifacts FILE... | --document", file=sys.stderr)
        return 2
    status = 0
    for path in arguments:
        try:
            print(catalogue.describe(path))
        except ArtifactError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough, as `head`, ends the program silently
    sys.exit(main(sys.argv[1:]))
