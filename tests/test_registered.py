"""A study's results are those of a commit that has the preregistration, and of nothing else."""

import subprocess

import pytest

from projected_grpo.documents.registered import PAGE, RegistrationError, registered_commit


def git(folder, *arguments):
    own = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """A repository without a preregistration, with ignored results."""
    git(tmp_path, "init", "-q")
    (tmp_path / "config.yaml").write_text("a: 1\n")
    (tmp_path / ".gitignore").write_text("results\n")
    (tmp_path / "results/study").mkdir(parents=True)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Begin")
    return tmp_path


def register(clone):
    (clone / PAGE).parent.mkdir()
    (clone / PAGE).write_text("what is expected\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Register")


def test_results_of_a_commit_that_has_it(clone):
    register(clone)
    assert registered_commit(clone / "results/study") == git(clone, "rev-parse", "HEAD").strip()


def test_results_from_before_it(clone):
    with pytest.raises(RegistrationError, match=r"does not have docs/preregistration\.md yet"):
        registered_commit(clone / "results/study")


def test_results_of_a_clone_that_was_changed(clone):
    register(clone)
    (clone / "config.yaml").write_text("a: 2\n")
    with pytest.raises(RegistrationError, match="its clone has changes that no commit has"):
        registered_commit(clone / "results/study")


def test_results_outside_of_any_clone(tmp_path):
    with pytest.raises(RegistrationError, match="git status: fatal: not a git repository"):
        registered_commit(tmp_path)
