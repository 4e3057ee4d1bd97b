"""docs/ecosystem.md: every example runs as it stands, beside the results of a run."""

import os
import re
import subprocess
import sys

import pytest
from workflow_harness import ROOT, SMOKE

PAGE = (ROOT / "docs/ecosystem.md").read_text()
SECTIONS = {
    title: text for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
}
MODULES = {"trl": "trl"}  # what an extra of pyproject.toml is imported as

pytestmark = pytest.mark.tools


@pytest.fixture
def beside_results(smoke_run, tmp_path):
    """A directory with `results`, in which the smoke preset's replicate has the number of the first one."""
    made = smoke_run[0] / SMOKE["results"]
    (tmp_path / "results").mkdir()
    for path in made.iterdir():
        (tmp_path / "results" / path.name.replace("replicate0", "replicate1")).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("title", SECTIONS)
def test_every_example_runs_as_it_stands(beside_results, title):
    (extra,) = re.findall(r'`pip install "\.\[(\w+)\]"`', SECTIONS[title])
    pytest.importorskip(MODULES[extra], reason=f"{extra} is not installed: make test-tools")
    examples = re.findall(r"^```python\n(.*?)^```", SECTIONS[title], flags=re.MULTILINE | re.DOTALL)
    assert examples
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=beside_results, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
