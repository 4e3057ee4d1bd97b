"""docs/ecosystem.md: every example runs as it stands, beside the results of a run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_harness import ROOT, SMOKE, copy_with_results, smoke

PAGE = (ROOT / "docs/ecosystem.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
MODULES = {"trl": "trl", "hub": "datasets", "verifiers": "verifiers", "notebooks": "nbclient"}  # by extra


@pytest.fixture(scope="module")
def repository(smoke_run, tmp_path_factory):
    """A copy with the smoke preset's results, which stand in `results` too, as those of replicate 1."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("page") / "repository")
    for path in (folder / SMOKE["results"]).iterdir():
        (folder / "results" / path.name.replace("replicate0", "replicate1")).symlink_to(path)
    shutil.copytree(ROOT / "docs/notebooks", folder / "docs/notebooks")
    return folder


def run(folder, program, *arguments):
    """Run a program in the folder, with its package as if it were installed."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.parametrize("title", SECTIONS)
def test_every_example_runs_as_it_stands(repository, title):
    (extra,) = re.findall(r'`pip install "\.\[(\w+)\]"[ \w./]*`', SECTIONS[title])
    pytest.importorskip(MODULES[extra], reason=f"{extra} is not installed: make test-tools")
    examples = re.findall(r"^```(console|python)\n(.*?)^```", SECTIONS[title], flags=re.MULTILINE | re.DOTALL)
    assert examples
    for kind, text in examples:
        program, *arguments = shlex.split(text.removeprefix("$ ")) if kind == "console" else ("python", "-c", text)
        if arguments[:2] == ["-m", "snakemake"]:  # on the smoke preset, whose results lie elsewhere
            made = f"{SMOKE['results']}/replicate0"
            smoke(repository, *(argument.replace("results/replicate1", made) for argument in arguments[2:]))
        else:
            run(repository, program, *arguments)
