"""docs/notebooks: each is executed beside the results of a run, and is stored without what that prints."""

import shutil

import pytest
from workflow_harness import ROOT, SMOKE

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: make test-tools")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: make test-tools")
import nbformat  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
FIGURES = {"read_a_run": 1, "a_signal_of_your_own": 0, "v_on_your_rollouts": 1}


@pytest.fixture
def folder(smoke_run, tmp_path):
    """The notebooks' folder beside `results`, where the smoke preset's replicate has the number of the first one."""
    made = smoke_run[0] / SMOKE["results"]
    (tmp_path / "results").mkdir()
    for path in made.iterdir():
        (tmp_path / "results" / path.name.replace("replicate0", "replicate1")).symlink_to(path)
    return shutil.copytree(ROOT / "docs/notebooks", tmp_path / "docs/notebooks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_own_folder(folder, path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    figures = [output for output in outputs if "image/png" in output.get("data", ())]
    assert len(figures) == FIGURES[path.stem] and len(outputs) > len(figures)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
