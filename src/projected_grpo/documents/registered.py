"""Whether a preset was run after its preregistration: asked of git, in the clone that its results lie in.

1. What made them: the clone has no changes that no commit has, and the code of its commit is what the verdicts and the
   trained runs record.
2. When: replicates that the default experiment does not have were trained after the last commit of the preregistration.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from projected_grpo.artifacts.io import read_provenance
from projected_grpo.configs import merged
from projected_grpo.errors import UserError

PAGE = "docs/preregistration.md"
STUDY, CONFIRMATION = "presets/study.yaml", "presets/confirmation.yaml"
REGISTERED = {STUDY: PAGE, CONFIRMATION: CONFIRMATION}  # by which file
MAKE = ("src", "rules", "workflow_scripts", "config.yaml", "presets", "Snakefile")  # what results are made by
TABLES = {"h1": "table1", "table3": "table3", "horizon": "horizon"}  # verdicts that may be there: their script
VERSION = "import sys; from projected_grpo.workflow import code_version as v; print(v.code_version(sys.argv[1]))"


class RegistrationError(UserError, ValueError):
    """Results that no registered commit made; one line."""


def registered_commit(results: Path, preset: str) -> str:
    """Return the commit that made the results directory of a preset of REGISTERED: that of the clone around it, which
    has to have the preregistration, and nothing of what makes results changed since. A RegistrationError says what is
    not so."""
    page = REGISTERED[preset]
    if _git(results, "status", "--porcelain", "--", *(f":/{name}" for name in MAKE)):
        raise RegistrationError(f"{results}: its clone has changes that no commit has; nobody knows what made it")
    commit = _git(results, "rev-parse", "HEAD")
    registered = _git(results, "log", "-1", "--format=%ct", commit, "--", f":/{page}")
    if not registered:
        raise RegistrationError(f"{results}: made by {commit[:12]}, which does not have {page} yet")
    _check_code(results, Path(_git(results, "rev-parse", "--show-toplevel")), commit)
    _check_time(results, preset, int(registered))
    return commit


def unseen_replicates(results: Path, preset: str) -> list[int]:
    """Return the replicates of a preset that the default experiment does not have: those were seen before it was
    registered."""
    clone = Path(_git(results, "rev-parse", "--show-toplevel"))
    default = clone / "config.yaml"
    known = merged([default])["replicates"]
    return [n for n in merged([default, clone / preset])["replicates"] if n not in known]


def page_at(results: Path, commit: str) -> str:
    """Return the preregistration as it stood at a commit of the clone around a results directory."""
    return _git(results, "show", f"{commit}:{PAGE}") + "\n"


def _check_code(results: Path, clone: Path, commit: str) -> None:
    for name, script in TABLES.items():
        path = results / f"{name}.json"
        if not path.exists():
            continue
        recorded = json.loads(path.read_text(encoding="utf-8")).get("provenance", {}).get("code")
        if recorded != _code_version(clone, script):
            raise RegistrationError(f"{path}: not made by the code of {commit[:12]}; run snakemake there again")
    trained = _code_version(clone, "train")
    for path in results.glob("replicate*/runs/*/steps.parquet"):
        if read_provenance(path)["code"] != trained:
            raise RegistrationError(f"{path}: not trained by the code of {commit[:12]}; run snakemake there again")


def _check_time(results: Path, preset: str, registered: int) -> None:
    """Refuse runs that are as old as the preregistration, of the replicates that nobody is to have seen."""
    runs = {n: list(results.glob(f"replicate{n}/runs/*/steps.parquet")) for n in unseen_replicates(results, preset)}
    if not runs or not all(runs.values()):
        raise RegistrationError(f"{results}: lacks runs of replicates that only {preset} has; nobody knows their age")
    oldest = min((path for paths in runs.values() for path in paths), key=lambda path: path.stat().st_mtime)
    if oldest.stat().st_mtime <= registered:
        raise RegistrationError(
            f"{oldest}: trained before the last commit of {REGISTERED[preset]}, so not registered by it"
        )


def _code_version(clone: Path, script: str) -> str:
    """Return the version of a script as the clone's own package counts it."""
    return _said(
        clone, sys.executable, "-B", "-c", VERSION, f"workflow_scripts/{script}.py", PYTHONPATH=str(clone / "src")
    )


def _git(folder: Path, *arguments: str) -> str:
    return _said(folder, "git", *arguments)


def _said(folder: Path, *command: str, **environment: str) -> str:
    """Return what a command prints in a folder; where it fails, a RegistrationError has the last line of its words."""
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise RegistrationError(f"{folder}: {command[0]}: {error.strerror}") from error
    if done.returncode:
        *_, last = ["it failed without a word", *done.stderr.strip().splitlines()]
        raise RegistrationError(f"{folder}: {Path(command[0]).name} {command[1]}: {last}")
    return done.stdout.strip()
