"""A study's results are those of a commit that has the preregistration, of its code, and trained after it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workflow_harness import ROOT

from projected_grpo.artifacts.provenance import KEY
from projected_grpo.documents.registered import (
    CONFIRMATION,
    PAGE,
    STUDY,
    VERSION,
    RegistrationError,
    page_at,
    registered_commit,
)

REGISTERED = 1_700_000_000  # seconds, of every commit


def git(folder, *arguments):
    own = ["-c", "user.name=a", "-c", "user.email=a@b"]
    when = {"GIT_COMMITTER_DATE": f"{REGISTERED} +0000", "GIT_AUTHOR_DATE": f"{REGISTERED + 999} +0000"}
    told = {"cwd": folder, "env": {**os.environ, **when}, "check": True, "capture_output": True, "text": True}
    return subprocess.run(["git", *own, *arguments], **told).stdout


def commit(folder, *files):
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Change")


def recorded(clone, script):
    """Return the provenance that a stage of the clone records now."""
    command = [sys.executable, "-c", VERSION, f"workflow_scripts/{script}.py"]
    own = {**os.environ, "PYTHONPATH": str(clone / "src")}
    code = subprocess.run(command, cwd=clone, env=own, check=True, capture_output=True, text=True).stdout.strip()
    return {"code": code}


def make(clone, verdicts="h1.json", script="table1"):
    """Write verdicts as the clone does now, and the runs of two replicates, the study's own after its registration."""
    (clone / "results/study" / verdicts).write_text(json.dumps({"provenance": recorded(clone, script)}))
    trained = pa.table({"step": [1]}).replace_schema_metadata({KEY: json.dumps(recorded(clone, "train"))})
    for n, after in ((1, -60), (2, 60), (3, 90)):
        steps = clone / f"results/study/replicate{n}/runs/vanilla/steps.parquet"
        steps.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(trained, steps)
        os.utime(steps, (REGISTERED + after,) * 2)


@pytest.fixture
def clone(tmp_path):
    """A repository without a preregistration, with ignored results."""
    git(tmp_path, "init", "-q")
    package = tmp_path / "src/projected_grpo"
    (package / "workflow").mkdir(parents=True)
    for name in ("__init__.py", "workflow/__init__.py", "workflow/code_version.py"):
        shutil.copy(ROOT / "src/projected_grpo" / name, package / name)
    (tmp_path / "results/study").mkdir(parents=True)
    commit(
        tmp_path,
        (".gitignore", "results\n__pycache__\n"),
        ("config.yaml", "replicates: [1]\n"),
        (STUDY, "replicates: [1, 2, 3]\n"),
        ("src/projected_grpo/words.py", "WORD = 1\n"),
        ("workflow_scripts/table1.py", "from projected_grpo.words import WORD\n"),
        ("workflow_scripts/table3.py", "table = 3\n"),
        ("workflow_scripts/horizon.py", "steps = 3\n"),
        ("workflow_scripts/train.py", "steps = 1\n"),
    )
    return tmp_path


@pytest.fixture
def registered(clone):
    """The same with a preregistration, and results made after it."""
    commit(clone, (PAGE, "what is expected\n"))
    make(clone)
    return clone


def test_results_of_a_commit_that_has_it(registered):
    assert registered_commit(registered / "results/study", STUDY) == git(registered, "rev-parse", "HEAD").strip()


def test_results_from_before_it(clone):
    make(clone)
    with pytest.raises(RegistrationError, match=r"does not have docs/preregistration\.md yet"):
        registered_commit(clone / "results/study", STUDY)


def test_a_confirmation_is_registered_by_its_preset(registered):
    results = registered / "results/study"
    with pytest.raises(RegistrationError, match=r"does not have presets/confirmation\.yaml yet"):
        registered_commit(results, CONFIRMATION)
    commit(registered, (CONFIRMATION, "replicates: [2, 3]\n"))
    assert registered_commit(results, CONFIRMATION) == git(registered, "rev-parse", "HEAD").strip()
    steps = results / "replicate2/runs/vanilla/steps.parquet"
    os.utime(steps, (REGISTERED,) * 2)
    with pytest.raises(RegistrationError, match=rf"^{steps}: trained before the last commit of {CONFIRMATION}"):
        registered_commit(results, CONFIRMATION)


def test_results_of_a_clone_that_was_changed(registered):
    (registered / "config.yaml").write_text("replicates: [2]\n")
    with pytest.raises(RegistrationError, match="its clone has changes that no commit has"):
        registered_commit(registered / "results/study", STUDY)


def test_results_of_changes_that_were_committed_only_after_they_were_changed_again(registered):
    (registered / "src/projected_grpo/words.py").write_text("WORD = 2\n")
    make(registered)
    commit(registered, ("src/projected_grpo/words.py", "WORD = 3\n"))
    with pytest.raises(
        RegistrationError, match=r"h1\.json: not made by the code of \w{12}; run snakemake there again$"
    ):
        registered_commit(registered / "results/study", STUDY)
    commit(registered, ("src/projected_grpo/words.py", "WORD = 2  # as it was run\n"))
    assert registered_commit(registered / "results/study", STUDY)


@pytest.mark.parametrize("name", ["table3", "horizon"])
def test_so_with_the_verdicts_of_other_tables(registered, name):
    make(registered, f"{name}.json", name)
    assert registered_commit(registered / "results/study", STUDY)
    commit(registered, (f"workflow_scripts/{name}.py", "table = 4\n"))
    with pytest.raises(RegistrationError, match=rf"{name}\.json: not made by the code of"):
        registered_commit(registered / "results/study", STUDY)


def test_runs_that_other_code_has_trained(registered):
    commit(registered, ("workflow_scripts/train.py", "steps = 2\n"))
    with pytest.raises(RegistrationError, match=r"vanilla/steps\.parquet: not trained by the code of \w{12}; run"):
        registered_commit(registered / "results/study", STUDY)


def test_verdicts_that_record_no_code(registered):
    (registered / "results/study/h1.json").write_text("{}")
    with pytest.raises(RegistrationError, match=r"h1\.json: not made by the code of"):
        registered_commit(registered / "results/study", STUDY)


@pytest.mark.parametrize("after", [-1, 0])
def test_a_replicate_of_the_study_alone_that_was_trained_before_it(registered, after):
    steps = registered / "results/study/replicate3/runs/vanilla/steps.parquet"
    os.utime(steps, (REGISTERED + after,) * 2)
    with pytest.raises(RegistrationError, match=rf"^{steps}: trained before the last commit of {PAGE}"):
        registered_commit(registered / "results/study", STUDY)


def test_runs_that_were_not_kept(registered):
    shutil.rmtree(registered / "results/study/replicate2")
    with pytest.raises(RegistrationError, match=f"lacks runs of replicates that only {STUDY} has"):
        registered_commit(registered / "results/study", STUDY)


def test_the_page_is_that_of_the_commit(registered):
    head = registered_commit(registered / "results/study", STUDY)
    commit(registered, (PAGE, "what came out\n"))
    assert page_at(registered / "results/study", head) == "what is expected\n"


def test_results_outside_of_any_clone(tmp_path):
    with pytest.raises(RegistrationError, match="git status: fatal: not a git repository"):
        registered_commit(tmp_path, STUDY)


def test_results_that_are_not_there(tmp_path):
    with pytest.raises(RegistrationError, match="nowhere: git: No such file or directory"):
        registered_commit(tmp_path / "nowhere", STUDY)


def test_a_git_that_fails_without_a_word(tmp_path, monkeypatch):
    (tmp_path / "git").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RegistrationError, match="git status: it failed without a word"):
        registered_commit(Path(tmp_path), STUDY)
