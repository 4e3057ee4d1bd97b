"""docs/notebooks: each is executed beside the results of a run, and is stored without what that prints."""

import re
import shutil

import pandas as pd
import pytest
from workflow_harness import ROOT, SMOKE, copy_with_results, snakemake

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: make test-tools")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: make test-tools")
import nbformat  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
SIGNAL = "a_signal_of_your_own"
FIGURES = {"read_a_run": 1, SIGNAL: 0, "v_on_your_rollouts": 1}


@pytest.fixture
def folder(smoke_run, tmp_path):
    """The notebooks' folder beside `results`, where the smoke preset's replicate has the number of the first one."""
    made = smoke_run[0] / SMOKE["results"]
    (tmp_path / "results").mkdir()
    for path in made.iterdir():
        (tmp_path / "results" / path.name.replace("replicate0", "replicate1")).symlink_to(path)
    return shutil.copytree(ROOT / "docs/notebooks", tmp_path / "docs/notebooks")


@pytest.fixture
def execute(folder, monkeypatch):
    """A function that runs a notebook from its own folder and returns its outputs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def outputs(name):
        notebook = nbformat.read(ROOT / f"docs/notebooks/{name}.ipynb", as_version=4)
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
        return [output for cell in notebook.cells for output in cell.get("outputs", ())]

    return outputs


@pytest.mark.parametrize("name", FIGURES)
def test_a_notebook_runs_from_its_own_folder(execute, name):
    outputs = execute(name)
    figures = [output for output in outputs if "image/png" in output.get("data", ())]
    assert len(figures) == FIGURES[name] and len(outputs) > len(figures)


def test_the_workflow_makes_of_the_notebooks_signal_what_the_notebook_says(execute, folder, smoke_run, tmp_path):
    (said,) = [output.data["text/plain"] for output in execute(SIGNAL) if "n_heldout" in str(output.get("data"))]
    said = {name: float(value) for name, value in re.findall(r"^(\w+) +(-?[\d.]+) ", said, flags=re.MULTILINE)}
    repository = copy_with_results(smoke_run[0], tmp_path / "repository")
    presets = ["--configfile", "presets/smoke.yaml", str(folder / "my_signals.yaml")]
    made = f"{SMOKE['results']}/replicate0"
    targets = [f"{made}/signals/beside/summary.parquet", f"{made}/runs/beside_drop/steps.parquet"]
    done = snakemake(repository, *presets, "-j2", "--", *targets, package=f"{repository / 'src'}:{folder}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = pd.read_parquet(repository / targets[0]).query("of == 'signal'").set_index("metric")["value"].dropna()
    assert said == rows.round(3).to_dict()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    assert path.stem in FIGURES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
