"""The workflow on a real SLURM: submitted, over its memory, cancelled in flight, failed.

Three runs go on side by side, because most of the time is Snakemake's waiting between two looks at the queue: the smoke
preset with a training job cancelled, the same training without SLURM, and three small rules with the same profile.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cluster import answer, tail
from workflow_harness import ROOT, SMOKE, copy_of_the_repository, source_of_needs

PATIENCE = 600  # seconds, for whatever is waited for
STEPS, EVERY = 40, 20
# With 20 steps between snapshots, only a run that saves itself when it is told to end can go on from step 3.
PRESET = {
    **SMOKE,
    "results": "results/slurm",
    "train": {**SMOKE["train"], "steps": STEPS, "checkpoint_every": EVERY},
    "evaluation": {**SMOKE["evaluation"], "every": EVERY, "stops_every": EVERY},
    "tables": {**SMOKE["tables"], "table1": ["base", "vanilla", "vanilla_slow", "erase", "erase_random"]},
}
RUN = f"{PRESET['results']}/replicate0/runs/erase"
LOG = f"{PRESET['results']}/logs/train/erase_replicate0.log"
TRAINING = "rule_train_wildcards_0_erase"
FILES = ["steps.parquet", "rollouts.parquet", "adapter.safetensors", "checkpoints.safetensors"]
# For the sake of clusters, the first look at the queue comes after 40 seconds unless told otherwise.
SUBMITTED = ["--workflow-profile", str(ROOT / "profiles/slurm")]
SUBMITTED += ["--slurm-init-seconds-before-status-checks", "6", "--seconds-between-status-checks", "6"]

SMALL_RULES = """
config["resources"] = {}

rule all:
    input: "problems.txt", "gpu.txt", "broken.txt"

rule problems:
    output: "problems.txt"
    log: "problems.log"
    resources: **needs("problems", mem_mb=1000, runtime=5)
    shell: "echo {resources.mem_mb} MB > {log}; "
        "python3 -c 'import time; held = b\\"x\\" * (1200 << 20); time.sleep(6)'; cp {log} {output}"

rule gpu:
    output: "gpu.txt"
    log: "gpu.log"
    resources: gpu=1
    shell: "echo device $CUDA_VISIBLE_DEVICES | tee {log} > {output}"

rule broken:
    output: "broken.txt"
    log: "broken.log"
    shell: "echo this is what went wrong > {log}; exit 3"
"""


@dataclass
class Submission:
    """A Snakemake in the background: its process, where it runs, and what it prints."""

    process: subprocess.Popen
    folder: Path
    printed: Path

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{tail(self.printed, 60)}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{tail(self.printed, 60)}"
            time.sleep(0.1)

    def said(self) -> str:
        """Wait for the end, and return all that was printed."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end:\n{tail(self.printed, 60)}")
        return self.printed.read_text()


@contextmanager
def snakemake(folder: Path, *arguments: str) -> Iterator[Submission]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "snakemake", *arguments]
    printed = folder / "printed.txt"
    with printed.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield Submission(process, folder, printed)
    finally:
        process.terminate()
        process.wait()


def repository(folder: Path) -> Path:
    copy_of_the_repository(folder)
    (folder / "preset.yaml").write_text(yaml.safe_dump(PRESET, sort_keys=False))
    return folder


def jobs(run: Submission) -> list[tuple[str, str, str, str]]:
    """Return (id, rule with wildcards, state, MB) of a run's jobs as SLURM knows them, finished ones too."""
    name = re.search(r"SLURM run ID: (\S+)", run.printed.read_text())
    if name is None:
        return []
    table = answer("squeue", "--states=all", "--noheader", f"--name={name[1]}", "--format=%i|%k|%T|%m", "--sort=i")
    return [tuple(line.split("|")) for line in table.splitlines()]


def end(job: str) -> None:
    """Cancel a job, having told it to end several times within milliseconds, as SLURM does at a time limit."""
    told = [subprocess.Popen(["scancel", "--signal=TERM", job], stderr=subprocess.DEVNULL) for _ in range(8)]
    for teller in told:
        teller.wait()
    answer("scancel", job)


@pytest.fixture(scope="module")
def small(slurm: Path, tmp_path_factory) -> Iterator[Submission]:
    folder = tmp_path_factory.mktemp("small")
    (folder / "Snakefile").write_text(source_of_needs() + SMALL_RULES)
    with snakemake(folder, *SUBMITTED, "--retries", "1") as run:
        yield run


@pytest.fixture(scope="module")
def local(slurm: Path, tmp_path_factory) -> Iterator[Submission]:
    """The training that the next fixture disturbs, undisturbed and without SLURM."""
    folder = repository(tmp_path_factory.mktemp("local"))
    with snakemake(folder, "--configfile", "preset.yaml", "-j1", f"{RUN}/steps.parquet") as run:
        yield run


@pytest.fixture(scope="module")
def submitted(slurm: Path, small: Submission, local: Submission, tmp_path_factory) -> Iterator[Submission]:
    """The whole preset through SLURM, with the training of `erase` cancelled after its third step."""
    folder = repository(tmp_path_factory.mktemp("submitted"))
    with snakemake(folder, *SUBMITTED, "--configfile", "preset.yaml") as run:
        log = folder / LOG
        run.wait_for("step 3 of erase", lambda: log.exists() and "\nstep 3/" in log.read_text())
        (training,) = [job for job, rule, state, _ in jobs(run) if rule == TRAINING and state == "RUNNING"]
        end(training)
        yield run


def test_every_job_of_the_smoke_preset_goes_through_slurm(submitted):
    said = submitted.said()
    assert submitted.process.returncode == 0, said[-6000:]
    table = pd.read_csv(submitted.folder / PRESET["results"] / "table1.csv")
    assert list(table["arm"]) == PRESET["tables"]["table1"]
    rules = re.search(r"^total\s+(\d+)$", said, flags=re.MULTILINE)
    completed = [rule for _, rule, state, _ in jobs(submitted) if state == "COMPLETED"]
    assert len(completed) == len(set(completed)) == int(rules[1]) - 1  # `all` has nothing to run
    logs = list((submitted.folder / "results/slurm_logs").rglob("*.log"))
    assert len(logs) == len(jobs(submitted))


def test_a_cancelled_training_is_submitted_again_and_goes_on_where_it_was(submitted):
    submitted.said()
    trained = [(state, mb) for _, rule, state, mb in jobs(submitted) if rule == TRAINING]
    assert trained == [("CANCELLED", "2000M"), ("COMPLETED", "4000M")]
    resumed = re.match(r"resuming after step (\d+), ", (submitted.folder / LOG).read_text())
    assert resumed and 3 <= int(resumed[1]) < EVERY
    assert not (submitted.folder / RUN / "resume").exists()


@pytest.mark.parametrize("file", FILES)
def test_it_leaves_the_bytes_of_a_training_that_was_not_cancelled(submitted, local, file):
    submitted.said()
    said = local.said()
    assert local.process.returncode == 0, said[-6000:]
    assert "resuming" not in (local.folder / LOG).read_text()
    assert (submitted.folder / RUN / file).read_bytes() == (local.folder / RUN / file).read_bytes()


def test_a_job_over_its_memory_gets_more_and_passes(small):
    said = small.said()
    assert [(state, mb) for _, rule, state, mb in jobs(small) if rule == "rule_problems"] == [
        ("FAILED", "1000M"),
        ("COMPLETED", "2000M"),
    ]
    assert "exceeded memory limit" in said
    assert (small.folder / "problems.txt").read_text() == "2000 MB\n"


def test_a_failed_job_shows_its_log_and_does_not_stop_the_others(small):
    said = small.said()
    assert small.process.returncode == 1
    assert re.search(r"^Logfile broken\.log:\n=+\nthis is what went wrong\n=+$", said, flags=re.MULTILINE)
    assert [state for _, rule, state, _ in jobs(small) if rule == "rule_broken"] == ["FAILED", "FAILED"]
    assert not (small.folder / "broken.txt").exists()


def test_a_job_that_asks_for_a_gpu_is_given_one(small):
    small.said()
    assert (small.folder / "gpu.txt").read_text() == "device 0\n"
