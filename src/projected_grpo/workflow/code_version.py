"""The version of the code behind a stage: a hash of what could change its result, and of nothing else.

Over the script and the package modules it imports, transitively, each as a syntax tree without docstrings: comments,
formatting and documentation change nothing. A module that declares EXECUTED adds those files (paths inside the
package), because they run in another process. Standard library only: the workflow computes this at every start.
"""

import ast
import hashlib
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "landlockpy", "seccompy")  # what can change a result without changing our code


def package_versions() -> dict[str, str]:
    """Return the installed versions of PACKAGES."""
    return {name: version(name) for name in PACKAGES}


def code_version(script: str | Path) -> str:
    """Return 16 hex digits; a module that is imported but does not exist in the package is ignored.

    The script comes first, then the package: Snakemake hands over a copy of the script, which may lie anywhere.
    """
    digest, script = hashlib.sha256(), Path(script).resolve()
    for path in [script, *sorted(closure(script) - {script})]:
        label = path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path.name
        digest.update(f"{label}\n{meaning(path)}\n".encode())
    return digest.hexdigest()[:16]


def own_code(*names: str | None) -> dict[str, str]:
    """Return 16 hex digits for the file of every `module:function` among names, a signal's or action's of one's own."""
    files = {name: own_file(name) for name in names if name and ":" in name}
    return {name: hashlib.sha256(meaning(path).encode()).hexdigest()[:16] for name, path in files.items() if path}


def own_file(name: str) -> Path | None:
    """Return the file of the module that `module:function` names; None where it is not on PYTHONPATH, or has none."""
    try:
        found = find_spec(name.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.has_location else None


def closure(script: Path) -> set[Path]:
    """Return the script and every package file that it needs, transitively."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += needs(path)
    return found


@cache
def needs(path: Path) -> tuple[Path, ...]:
    """Return the package files that this one imports or declares as EXECUTED."""
    names, executed = [], []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "EXECUTED" for target in node.targets):
            executed = [PACKAGE / name for name in ast.literal_eval(node.value)]
    files = [file for name in names if name.split(".")[0] == PACKAGE.name for file in _files(name)]
    return tuple(dict.fromkeys(files + executed))


def _files(name: str) -> list[Path]:
    """Return the files that importing `name` runs: the __init__ of every parent, and the module itself."""
    parts = name.split(".")[1:]
    candidates = [PACKAGE.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)]
    if parts:
        candidates.append(PACKAGE.joinpath(*parts).with_suffix(".py"))
    return [path for path in candidates if path.is_file()]


@cache
def meaning(path: Path) -> str:
    """Return the file's syntax tree as text, without docstrings."""
    tree = _tree(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node, clean=False
        ):
            node.body = body[1:]
    return ast.dump(tree)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
