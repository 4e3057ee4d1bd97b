"""Whether a study was run after its preregistration: asked of git, in the clone that its results lie in."""

import subprocess
from pathlib import Path

from projected_grpo.errors import UserError

PAGE = "docs/preregistration.md"
MAKE = ("src", "rules", "workflow_scripts", "config.yaml", "presets", "Snakefile")  # what results are made by


class RegistrationError(UserError, ValueError):
    """Results that no registered commit made; one line."""


def registered_commit(results: Path) -> str:
    """Return the commit that made a results directory: that of the clone around it, which has to have the
    preregistration, and nothing of what makes results changed since. A RegistrationError says what is not so."""
    if _git(results, "status", "--porcelain", "--", *(f":/{name}" for name in MAKE)):
        raise RegistrationError(f"{results}: its clone has changes that no commit has; nobody knows what made it")
    commit = _git(results, "rev-parse", "HEAD")
    if not _git(results, "log", "-1", "--format=%H", commit, "--", f":/{PAGE}"):
        raise RegistrationError(f"{results}: made by {commit[:12]}, which does not have {PAGE} yet")
    return commit


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RegistrationError(f"{folder}: git {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()
