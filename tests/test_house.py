"""The rules of the house that import-linter's contracts (pyproject.toml) do not hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from projected_grpo.reporting.colours import RATES
from projected_grpo.workflow.code_version import PACKAGE, closure, needs

ROOT = Path(__file__).resolve().parents[1]
STABLE = {"grading/__init__.py"}  # `from projected_grpo.grading import Grader` is what others build on
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))


def modules(*rooms):
    paths = [path for room in rooms for path in sorted((PACKAGE / room).rglob("*.py"))]
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_holds_a_docstring_and_nothing_that_a_stage_could_depend_on(path):
    """It is in the closure of every member: what stands there reruns all that any of them runs."""
    if path.relative_to(PACKAGE).as_posix() in STABLE:
        return
    first, *rest = ast.parse(path.read_text()).body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if path.parent == PACKAGE:  # and its version, and what finds `load` by name
        assert [type(node) for node in rest] == [ast.ImportFrom, ast.Assign, ast.FunctionDef]
        assert needs(path) == ()
    else:
        assert rest == []


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


MODES = {"open": (1, "r"), "fdopen": (1, "r"), "NamedTemporaryFile": (0, "w+b")}  # place and default of the mode


def without_encoding(source: str) -> list[int]:
    """Return the lines of the calls that read or write texts in the encoding of whoever runs them."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        method, owner = isinstance(call.func, ast.Attribute), getattr(getattr(call.func, "value", None), "id", None)
        name = getattr(call.func, "attr", getattr(call.func, "id", None))
        keywords = {word.arg: word.value for word in call.keywords}
        as_text = {"text", "universal_newlines"} & keywords.keys()
        if name in ("read_text", "write_text"):
            as_text = method  # the function is ours
        elif name in MODES and not (name == "open" and owner in ("os", "tarfile")):  # which open bytes
            place, default = MODES[name]
            mode = keywords.get("mode", [*call.args, None, None][place - (name == "open" and method)])
            as_text = "b" not in (mode.value if isinstance(mode, ast.Constant) else default)
        if as_text and "encoding" not in keywords:
            found.append(call.lineno)
    return found


PROGRAMS = [*sorted(PACKAGE.rglob("*.py")), *SCRIPTS, *sorted((ROOT / "benchmarks").rglob("*.py"))]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_texts_are_utf_8_whatever_the_locale(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


def test_the_rules_too():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        calls = re.findall(r"\b(?:open|read_text|write_text)\((?!.*encoding=)", path.read_text(encoding="utf-8"))
        assert calls == [], path.name


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("Path(a).read_text()", [1]),
        ("path.write_text(text)", [1]),
        ("open(a)\nopen(a, 'w')\npath.open()\npath.open('w')", [1, 2, 3, 4]),
        ("os.fdopen(3, 'w')\nos.fdopen(3)", [1, 2]),
        ("subprocess.run(a, text=True)\nsubprocess.Popen(a, universal_newlines=True)", [1, 2]),
        ("tempfile.NamedTemporaryFile('w')", [1]),
        (
            "tempfile.NamedTemporaryFile()\nopen(a, 'rb')\nos.open(a, os.O_RDONLY)\npath.open('wb')",
            [],
        ),
        ("tarfile.open(a, 'w:xz')", []),
        (
            "open(a, encoding='utf-8')\npath.read_text(encoding='utf-8')\nrun(a, text=True, encoding='utf-8')",
            [],
        ),
    ],
)
def test_that_a_text_without_encoding_is_found(source, lines):
    assert without_encoding(source) == lines


def test_tables_and_words_run_without_torch():
    names = modules("analysis", "reporting")
    code = f"import {', '.join(names)}, sys; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pages_are_made_without_matplotlib():
    names = [f"projected_grpo.reporting.{name}" for name in ("colours", "progress", "arm")]
    code = f"import {', '.join(names)}, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_colours_of_figures_and_pages_stand_in_one_place():
    found = {path.name for path in PACKAGE.rglob("*.py") for colour in RATES.values() if colour in path.read_text()}
    assert found == {"colours.py"}


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
