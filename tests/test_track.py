"""Runs in a tracker: every metric at its step, once, of a run that goes on too; read back from the tracker's files."""

import json
import os
import struct
import subprocess
import sys

import pandas as pd
import pytest
import small_results
from training_harness import ARMS, CONFIG

from projected_grpo import track
from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.train import steps_schema
from projected_grpo.method.resume import ResumeFile
from projected_grpo.reading import Run, load, saved_rows

BEFORE, AFTER = 2, small_results.STEPS


@pytest.fixture
def results(tmp_path):
    """A whole run, and one that has come to step BEFORE."""
    folder = tmp_path / "results"
    small_results.write_run(folder, "vanilla", 1)
    small_results.write_running(folder, "erase", 1, steps=BEFORE)
    return folder


def finish(results):
    small_results.write_run(results, "erase", 1)


def send(results, to, **environment):
    """Send as a user does, in a process of its own, and return what it said at its end."""
    command = [sys.executable, "-m", "projected_grpo.track", str(results), "--to", to, "--project", "p"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(line for line in done.stdout.splitlines() if "new points" in line).split(" ", 1)[1]


def expected():
    """Return {arm: {metric: {step: value}}} of what the finished runs have to show."""
    hack = {"vanilla": {step: 0.1 * step for step in range(1, 5)}, "erase": dict.fromkeys(range(1, 5), 0.0)}
    final = {"vanilla": {4: 0.5}, "erase": {4: 0.0}}
    along = {"vanilla": {0: 0.0, 2: 0.5, 4: 0.5}, "erase": dict.fromkeys((0, 2, 4), 0.0)}
    names = ("hack_student", "evaluation/full/hack", "evaluation/subset/hack")
    return {arm: dict(zip(names, (hack[arm], final[arm], along[arm]), strict=True)) for arm in ("vanilla", "erase")}


def sent_twice(results, to, **environment):
    """Send during a run, after it, and once more when nothing is new."""
    messages = [send(results, to, **environment)]
    finish(results)
    messages += [send(results, to, **environment) for _ in range(2)]
    # steps, checkpoints of the subset and the end: 4 + 3 + 1 of vanilla and 2 of erase, then the rest of erase
    assert messages == [f"{n} new points to {to}, project p" for n in (10, 6, 0)]


def check(found):
    """Compare (arm, metric, step, value) with what is expected: each exactly once."""
    rows = pd.DataFrame(found, columns=["arm", "metric", "step", "value"])
    assert not rows.duplicated(["arm", "metric", "step"]).any()
    assert not rows["value"].isna().any() and "kl" not in set(rows["metric"])  # which is NaN in these runs
    for arm, metrics in expected().items():
        for metric, values in metrics.items():
            part = rows[(rows["arm"] == arm) & (rows["metric"] == metric)]
            assert dict(zip(part["step"], part["value"], strict=True)) == pytest.approx(values), (arm, metric)


def test_trackio(results, tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed (make test-tools)")
    home = {"TRACKIO_DIR": str(tmp_path / "trackio")}
    sent_twice(results, "trackio", **home)
    code = (
        "import json, trackio\n"
        "from trackio.sqlite_storage import SQLiteStorage as S\n"
        "runs = [run.name for run in trackio.Api().runs('p')]\n"
        "print(json.dumps([(run, S.get_logs('p', run), S.get_run_config('p', run)) for run in runs], default=str))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **home}, capture_output=True, check=True)
    runs = json.loads(done.stdout.splitlines()[-1])
    assert len(runs) == 2
    configs = {name.partition("-")[0]: config for name, _, config in runs}
    assert configs["vanilla"]["train"]["lr"] == 0.06 and configs["erase"]["replicate"] == 1
    check(
        [
            (name.partition("-")[0], metric, row["step"], value)
            for name, rows, _ in runs
            for row in rows
            for metric, value in row.items()
            if metric not in ("step", "timestamp")
        ]
    )


def test_tensorboard(results):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (make test-tools)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sent_twice(results, "tensorboard")
    found = []
    for folder in (results / "track/tensorboard/p").iterdir():
        reader = EventAccumulator(str(folder))
        reader.Reload()
        for metric in reader.Tags()["tensors"]:
            values = [(event.step, event.tensor_proto.float_val[0]) for event in reader.Tensors(metric)]
            found += [(folder.name.partition("-")[0], metric, step, value) for step, value in values]
    check(found)


def wandb_records(data):
    """Yield the records of a .wandb file: 7 bytes, then LevelDB's log: blocks of chunks with a header of 7 bytes."""
    at, record = 7, b""
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left  # a block's padding
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a record in one chunk, or its last
            yield record
            record = b""


def test_wandb_without_a_network(results):
    pytest.importorskip("wandb", reason="wandb is not installed (make test-tools)")
    from wandb.proto.wandb_internal_pb2 import Record

    sent_twice(results, "wandb", WANDB_MODE="offline")
    found = []
    for path in results.glob("track/wandb/offline-run-*/*.wandb"):
        for data in wandb_records(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                row = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }
                arm = path.stem.removeprefix("run-").partition("-")[0]
                found += [
                    (arm, key, row["step"], value) for key, value in row.items() if key[0] != "_" and key != "step"
                ]
    check(found)


def test_wandb_without_a_login_is_one_line(results, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed (make test-tools)")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    command = [sys.executable, "-m", "projected_grpo.track", str(results), "--to", "wandb"]
    nobody = {**plain, "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    done = subprocess.run(command, env=nobody, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and said[0].startswith("error: wandb: ") and "WANDB_MODE=offline" in said[0]


def test_a_run_keeps_its_name_when_it_is_complete_and_gets_another_when_it_is_made_anew(results):
    _, running = sorted(load(results).runs, key=lambda run: run.arm, reverse=True)
    during = track.name(running)
    assert during.startswith("erase-replicate1-")
    finish(results)
    assert track.name(running) == during
    rows = [{**row, "reward": 0.7} for row in small_results.step_rows("erase", AFTER)]
    write_table(running.file("steps"), rows, steps_schema(small_results.MODES), small_results.SOURCE)
    assert track.name(running) != during


def test_what_a_training_saves_along_the_way_is_what_it_leaves(world, tmp_path):
    """The real trainer's rows, of numbers of every kind, are the same in its resume file as in its tables."""
    run = Run("vanilla", 1, tmp_path)
    log = world.run(ARMS["vanilla"], file=ResumeFile(tmp_path / "resume", "key")).log  # saved after step 2 of 3
    during, points = track.name(run), track.training(run)
    assert [step for step, _ in points] == [1, 2] and points[0][1].keys() > {"reward", "grad_norm", "drift"}
    (snapshot,) = (tmp_path / "resume").iterdir()
    assert saved_rows(snapshot)["rollouts"] == json.loads(json.dumps(log.rollouts[: 2 * 12]))
    write_table(run.file("steps"), log.steps, steps_schema(["run_tests", "sentinel"]), small_results.SOURCE)
    assert track.name(run) == during and track.training(run)[:2] == points
    assert CONFIG.steps == len(track.training(run))


def test_a_tracker_that_is_not_installed_is_an_error_of_one_line(results):
    code = (
        "import sys; sys.modules['trackio'] = None\n"
        "from projected_grpo import track; from projected_grpo.command import run; sys.exit(run(track.main))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(results)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: trackio is not installed: make tools, or in a clone pip install '.[track]'\n"
