"""The workflow as a user runs it, in copies of the repository: shared by the tests that start Snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from projected_grpo.portable import lacking

ROOT = Path(__file__).resolve().parents[1]
SMOKE = yaml.safe_load((ROOT / "presets/smoke.yaml").read_text())
ELSEWHERE = ["--config", "portable=false"] if lacking() else []  # of AVX2, which the smoke preset needs
FILES = [
    "Snakefile",
    "config.yaml",
    "rules",
    "workflow_scripts",
    "report",
    "schemas",
    "presets",
    "profiles",
    "envs",
    "workflow",
    "config",
    "src",
]


def copy_of_the_repository(folder):
    for name in FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    return folder


def copy_with_results(smoke_folder, folder):
    """Copy the repository, and to it a run's results with their metadata, as a user would take them along."""
    copy_of_the_repository(folder)
    (folder / ".snakemake").mkdir()
    for name in ("results", ".snakemake/metadata"):
        subprocess.run(["cp", "-a", str(smoke_folder / name), str(folder / name)], check=True)
    return folder


def snakemake(folder, *arguments, package=None, **variables):
    environment = {**os.environ, "PYTHONPATH": str(package or folder / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    environment |= variables
    command = [sys.executable, "-m", "snakemake", *ELSEWHERE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def smoke(folder, *arguments):
    done = snakemake(folder, "--configfile", "presets/smoke.yaml", *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done


def planned(folder, *arguments, preset="presets/smoke.yaml") -> dict[str, int]:
    """Return how many jobs of each rule a dry run lists; the default target is not counted."""
    done = snakemake(folder, "--configfile", preset, "-n", "--quiet", "rules", *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")}


def source_of_needs() -> str:
    """Return the function of rules/common.smk that says what a job asks for."""
    text = (ROOT / "rules/common.smk").read_text()
    return re.search(r"^def needs\(.*?(?=^\S)", text, flags=re.MULTILINE | re.DOTALL).group()
