"""What the Snakemake catalog asks for: snakedeploy makes a directory that runs the workflow from a git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_harness import ROOT, copy_of_the_repository, snakemake

NAME = "owner/projected_grpo"
SNAKEDEPLOY = shutil.which("snakedeploy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def git(folder, *arguments):
    own = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """The working tree as a repository with one tag, at an address that snakedeploy takes for one of GitHub."""
    folder = copy_of_the_repository(tmp_path / "github" / NAME)
    shutil.copy(ROOT / "LICENSE", folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    git(folder, "tag", "v1")
    return folder


def test_the_config_is_where_the_catalog_looks_and_is_no_second_one():
    assert (ROOT / "config/config.yaml").samefile(ROOT / "config.yaml")
    about = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert about["software-stack-deployment"] == {"conda": False}
    assert (ROOT / "config/README.md").exists() and (ROOT / "workflow/Snakefile").exists()


def test_conda_is_refused_in_one_line(tmp_path):
    done = snakemake(copy_of_the_repository(tmp_path / "repository"), "-n", "--sdm", "conda")
    assert done.returncode != 0
    assert (
        "conda environments are not supported: `make setup`, and run without --sdm conda" in done.stdout + done.stderr
    )


@pytest.mark.skipif(SNAKEDEPLOY is None, reason="snakedeploy is not installed (make test-tools)")
def test_a_deployed_workflow_runs_from_the_repository(repository, tmp_path):
    """Without a network: where Snakemake would clone the repository of the host to, there is a clone already."""
    deployed, cache = tmp_path / "deployed", tmp_path / "cache"
    address = repository.as_uri()
    command = [SNAKEDEPLOY, "deploy-workflow", address, str(deployed), "--tag", "v1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not found" not in done.stderr and "No config" not in done.stderr
    assert f'github("{NAME}", path="workflow/Snakefile", tag="v1")' in (deployed / "workflow/Snakefile").read_text()
    assert (deployed / "config/config.yaml").read_text() == (ROOT / "config.yaml").read_text()
    clone = cache / "snakemake/snakemake/source-cache/snakemake-git-cache/github.com" / NAME
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(clone))
    shutil.move(repository, tmp_path / "away")
    variables = {"package": tmp_path / "away/src", "XDG_CACHE_HOME": str(cache)}
    made = "results/problems/train.parquet"
    done = snakemake(deployed, "-n", "--quiet", "rules", **variables)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "table1" in done.stdout + done.stderr
    done = snakemake(deployed, "-j1", "--", made, **variables)
    assert done.returncode == 0 and (deployed / made).exists(), done.stdout[-2000:] + done.stderr[-4000:]
    (deployed / "config/config.yaml").write_text("modes: [run_test]\n")
    done = snakemake(deployed, "-n", **variables)
    assert done.returncode != 0 and "config: " in done.stdout + done.stderr
