"""The rules of the house that import-linter's contracts (pyproject.toml) do not hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from projected_grpo.workflow.code_version import PACKAGE, closure

ROOT = Path(__file__).resolve().parents[1]
STABLE = {"grading/__init__.py"}  # `from projected_grpo.grading import Grader` is what others build on
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))


def modules(*rooms):
    paths = [path for room in rooms for path in sorted((PACKAGE / room).rglob("*.py"))]
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_holds_a_docstring_and_nothing_else(path):
    """It is in the closure of every member: what stands there reruns all that any of them runs."""
    if path.relative_to(PACKAGE).as_posix() in STABLE:
        return
    first, *rest = ast.parse(path.read_text()).body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    version = [node for node in rest if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"]
    assert rest == (version if path.parent == PACKAGE else [])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_stage_depends_on_the_workflow_or_the_documents(path):
    rooms = {file.relative_to(PACKAGE).parts[0] for file in closure(path) if file.is_relative_to(PACKAGE)}
    assert not rooms & {"workflow", "documents"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_has_no_logic_of_its_own(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= 58
    nodes = ast.walk(ast.parse(path.read_text()))
    defined = [node.name for node in nodes if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    assert defined == (["refresh"] if path.stem == "train" else [])  # the trainer asks for V again, and knows no file


def test_tables_and_words_run_without_torch():
    names = modules("analysis", "reporting")
    code = f"import {', '.join(names)}, sys; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_start_of_the_workflow_imports_nothing_heavy():
    names = [name for name in modules("workflow") if not name.endswith("__init__")]
    heavy = ("torch", "transformers", "pandas", "scipy", "matplotlib", "pyarrow")
    code = f"import {', '.join(names)}, sys; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_trainer_starts_without_scipy():
    code = "import projected_grpo.method.trainer, sys; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
