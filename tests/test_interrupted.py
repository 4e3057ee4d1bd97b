"""What a user does to a running workflow, and what a machine does to it: killed, interrupted, short of space.

Training is killed with SIGKILL again and again, and the outputs must be those of the run that was left alone.
"""

import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from workflow_harness import SMOKE, copy_with_results, snakemake

STEPS = 18
TARGET = "results/smoke/replicate0/runs/route/adapter.safetensors"
LOG = "results/smoke/logs/train/route_replicate0.log"
COMMAND = ("--configfile", "presets/long.yaml", "-j2", "--", TARGET)
PROMISED = ("steps.parquet", "rollouts.parquet", "checkpoints.safetensors", "adapter.safetensors")


@pytest.fixture
def copy(smoke_run, tmp_path):
    """The smoke run without its trained arms, and a preset that trains longer."""
    folder = copy_with_results(smoke_run[0], tmp_path / "repository")
    for made in ("replicate0/runs", "logs/train"):
        shutil.rmtree(folder / "results/smoke" / made)
    longer = {**SMOKE, "train": {**SMOKE["train"], "steps": STEPS, "checkpoint_every": 3}}
    longer["evaluation"] = {**SMOKE["evaluation"], "every": 3, "stops_every": 3}
    (folder / "presets/long.yaml").write_text(yaml.safe_dump(longer, sort_keys=False))
    return folder


def start(folder) -> subprocess.Popen:
    """Start the training of one arm in a process group of its own, as a shell does for a command at its prompt."""
    (folder / LOG).unlink(missing_ok=True)  # the job's own would be written over, but only when it starts
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *COMMAND],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(folder, process, words):
    """Wait until the training's log says `words`."""
    log = folder / LOG
    deadline = time.monotonic() + 120
    while not (log.exists() and words in log.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0][-3000:]
        time.sleep(0.02)


def trainer_of(process) -> int:
    """Return the process id of the training script, which Snakemake starts through a shell."""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            same_group = os.getpgid(int(status.parent.name)) == process.pid
            if same_group and ".train.py" in status.read_bytes().split(b"\0")[1].decode():
                return int(status.parent.name)
        except (OSError, IndexError):
            continue
    raise AssertionError("no training process found")


def outputs(folder):
    return {name: (folder / TARGET).with_name(name).read_bytes() for name in PROMISED}


@pytest.fixture(scope="module")
def undisturbed(smoke_run, tmp_path_factory):
    """The outputs of a run that is left alone."""
    copying = copy.__wrapped__(smoke_run, tmp_path_factory.mktemp("undisturbed"))
    done = snakemake(copying, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs(copying)


def test_killed_at_five_random_moments_it_ends_with_the_same_bytes(copy, undisturbed):
    rng = random.Random(7)
    log = copy / LOG
    resumed = []
    for step in sorted(rng.sample(range(1, STEPS - 5), 5)):
        process = start(copy)
        wait_for(copy, process, f"step {step}/")
        resumed.append("resuming after step" in log.read_text())
        time.sleep(rng.uniform(0, 0.2))
        os.kill(trainer_of(process), signal.SIGKILL)
        assert process.wait(60) != 0, process.stdout.read()
        assert not any((copy / TARGET).with_name(name).exists() for name in PROMISED)
    done = snakemake(copy, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(copy) == undisturbed
    assert any(resumed) and not (copy / TARGET).with_name("resume").exists()


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM to the job"])
def test_an_interrupted_run_goes_on_with_the_same_command(copy, undisturbed, how):
    process = start(copy)
    wait_for(copy, process, "step 4/")
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    else:
        trainer = trainer_of(process)
        for _ in range(3):  # SLURM does so before its limit, more than once
            os.kill(trainer, signal.SIGTERM)
            time.sleep(0.005)
    said = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "Traceback" not in (copy / LOG).read_text(), said
    snapshots = list((copy / TARGET).with_name("resume").glob("*.snapshot"))
    assert len(snapshots) == 1
    done = snakemake(copy, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (copy / LOG).read_text()
    after = int(log.split("resuming after step ")[1].split(",")[0])
    assert after >= 4 and f"step {after + 1}/" in log and f"step {after}/" not in log
    assert outputs(copy) == undisturbed


def test_a_killed_snakemake_needs_the_one_command_of_the_faq(copy, undisturbed):
    process = start(copy)
    wait_for(copy, process, "step 2/")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    refused = snakemake(copy, *COMMAND)
    assert refused.returncode != 0 and "--unlock" in refused.stdout + refused.stderr
    assert snakemake(copy, "--configfile", "presets/long.yaml", "--unlock").returncode == 0
    assert snakemake(copy, *COMMAND).returncode == 0
    assert outputs(copy) == undisturbed


def test_a_training_that_outlived_its_snakemake_and_its_successor_do_not_both_work(copy, undisturbed):
    process = start(copy)
    wait_for(copy, process, "step 2/")
    orphan = trainer_of(process)
    os.kill(orphan, signal.SIGSTOP)  # or it would be finished before the successor begins
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert snakemake(copy, "--configfile", "presets/long.yaml", "--unlock").returncode == 0
    assert f"resume: process {orphan} on {platform.node()} is training this run; wait for it or end it" in failure(copy)
    os.kill(orphan, signal.SIGKILL)
    done = snakemake(copy, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(copy) == undisturbed


def failure(folder) -> str:
    """Run the command, which must fail, and return the one line of the log that says why."""
    done = snakemake(folder, *COMMAND)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in said, said
    return errors[0]


def test_a_truncated_input_is_one_clear_line_and_loses_nothing(copy, undisturbed):
    pool = copy / "results/smoke/replicate0/pools/all.parquet"
    whole, times = pool.read_bytes(), (pool.stat().st_atime, pool.stat().st_mtime)
    pool.write_bytes(whole[: len(whole) // 2])
    os.utime(pool, times)
    assert "pools/all.parquet: not a readable Parquet file" in failure(copy)
    pool.write_bytes(whole)
    os.utime(pool, times)
    assert snakemake(copy, *COMMAND).returncode == 0
    assert outputs(copy) == undisturbed


def test_a_deleted_intermediate_is_made_again(copy, undisturbed):
    (copy / "results/smoke/replicate0/teacher_pool.parquet").unlink()
    done = snakemake(copy, *COMMAND)
    assert done.returncode == 0 and "teacher_pool" in done.stdout + done.stderr
    assert outputs(copy) == undisturbed


@pytest.fixture
def small_disk(copy):
    """A file system of its own for the run, with less room than it needs."""
    place = copy / "results/smoke/replicate0/runs"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_that_looks_complete(copy, small_disk):
    assert "No space left on device" in failure(copy)
    assert not [
        path for path in small_disk.rglob("*") if path.is_file() and path.suffix in (".parquet", ".safetensors")
    ]


def test_an_unwritable_results_directory_is_one_clear_line(copy, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = snakemake(copy, *COMMAND)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "Read-only file system" in line]
    assert done.returncode != 0 and len(said) == 1, done.stdout + done.stderr
