"""What a code version sees, and what it does not."""

import shutil
from pathlib import Path

import pytest

from projected_grpo.workflow import code_version

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def version(tmp_path, monkeypatch):
    """A copy of the package and the scripts to edit: version(script, file=None, edit=None) -> code version after it."""
    package = tmp_path / "projected_grpo"
    shutil.copytree(ROOT / "src/projected_grpo", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
    monkeypatch.setattr(code_version, "PACKAGE", package)

    def compute(script, file=None, edit=None):
        code_version.needs.cache_clear()
        code_version.meaning.cache_clear()
        if file:
            path = tmp_path / file
            before = path.read_text()
            path.write_text(edit(before))
        try:
            return code_version.code_version(tmp_path / "workflow_scripts" / script)
        finally:
            if file:
                path.write_text(before)

    yield compute
    code_version.needs.cache_clear()
    code_version.meaning.cache_clear()


def statement(text):
    return text + "\nANOTHER = 1\n"


def comment(text):
    return "# another comment\n" + text.replace('"""', '"""Reworded. ', 1)


@pytest.mark.parametrize(
    ("script", "file", "edit", "changes"),
    [
        ("train.py", "projected_grpo/method/trainer.py", statement, True),
        ("train.py", "projected_grpo/method/intervention.py", statement, True),
        ("train.py", "projected_grpo/grading/server.py", statement, True),
        ("train.py", "projected_grpo/environment/loopholes.py", statement, True),
        ("train.py", "workflow_scripts/train.py", statement, True),
        ("train.py", "projected_grpo/method/trainer.py", comment, False),
        ("train.py", "projected_grpo/evaluation/held_out.py", statement, False),
        ("train.py", "projected_grpo/analysis/statistics.py", statement, False),
        ("train.py", "projected_grpo/reporting/figures.py", statement, False),
        ("pairs.py", "projected_grpo/method/intervention.py", statement, False),
        ("pairs.py", "projected_grpo/grading/verdict.py", statement, False),
        ("pages.py", "projected_grpo/grading/verdict.py", statement, False),
        ("train.py", "projected_grpo/artifacts/schemas/detection.py", statement, False),
        ("train.py", "projected_grpo/artifacts/schemas/evaluation.py", statement, False),
        ("evaluate.py", "projected_grpo/artifacts/schemas/train.py", statement, False),
        ("detection.py", "projected_grpo/artifacts/schemas/detection.py", statement, True),
        ("direction.py", "projected_grpo/method/intervention.py", statement, False),
        ("direction.py", "projected_grpo/method/trainer.py", statement, False),
        ("teacher_pool.py", "projected_grpo/method/trainer.py", statement, False),
        ("evaluate.py", "projected_grpo/method/intervention.py", statement, False),
        ("evaluate.py", "projected_grpo/evaluation/held_out.py", statement, True),
        ("evaluate.py", "projected_grpo/analysis/statistics.py", statement, False),
        ("table1.py", "projected_grpo/analysis/statistics.py", statement, True),
        ("table1.py", "projected_grpo/reporting/figures.py", statement, False),
        ("figures.py", "projected_grpo/reporting/figures.py", statement, True),
        ("problems.py", "projected_grpo/method/adapter.py", statement, False),
    ],
)
def test_a_version_changes_with_what_the_script_runs_and_with_nothing_else(version, script, file, edit, changes):
    assert (version(script, file, edit) != version(script)) == changes


def test_a_docstring_and_a_comment_are_not_code(version):
    assert version("train.py", "projected_grpo/method/loss.py", comment) == version("train.py")
    assert version(
        "train.py", "projected_grpo/method/loss.py", lambda text: text.replace("CLIP = 0.2", "CLIP = 0.3")
    ) != version("train.py")


@pytest.mark.parametrize("folder", ["a", "z"])  # before and after the package, in the order of names
def test_it_is_the_same_wherever_a_copy_of_the_script_lies(version, tmp_path, folder):
    shutil.copytree(tmp_path / "workflow_scripts", tmp_path / folder)
    assert code_version.code_version(tmp_path / folder / "train.py") == version("train.py")
