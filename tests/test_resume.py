"""Interrupted training: whatever the arm, a run that goes on ends as if it had never stopped."""

import dataclasses
import errno
import json
import signal
import subprocess
import sys

import pytest
import torch
from training_harness import ARMS, CONFIG, FakeGrader, equal

from projected_grpo.method.resume import ResumeFile, RunTakenError, Snapshot, run_key

LONG = dataclasses.replace(CONFIG, steps=6)


class Dying(FakeGrader):
    """Is told to stop in the middle of a step, as SIGTERM and Ctrl-C do."""

    def __init__(self, step, how):
        self.left, self.how = step, how

    def grade(self, items, audit=False):
        self.left -= 1
        if not self.left:
            raise self.how
        return super().grade(items)


def tables(run):
    rows = [*run.log.steps, *run.log.rollouts]
    return json.dumps(rows, default=lambda number: number.item())


@pytest.mark.parametrize("name", [*ARMS, "refreshed"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(world, tmp_path, name):
    arm = dataclasses.replace(ARMS["erase"], refresh_every=2) if name == "refreshed" else ARMS[name]
    settings = {"config": LONG, "refresh": lambda: {name: -V for name, V in world.V.items()}}
    whole = world.run(arm, **settings)
    file = ResumeFile(tmp_path, "key")
    batches = 2 if arm.intervention.ablated else 1  # that are graded in a step
    for step, how in ((2, KeyboardInterrupt), (3, SystemExit)):
        with pytest.raises(how):
            world.run(arm, Dying(step * batches, how), file=file, **settings)
    assert file.load().step == 3
    resumed = world.run(arm, file=file, **settings)
    assert equal(whole, resumed) and tables(whole) == tables(resumed)
    assert whole.log.checkpoints.keys() == resumed.log.checkpoints.keys()
    assert all(torch.equal(value, resumed.log.checkpoints[key]) for key, value in whole.log.checkpoints.items())
    file.remove()
    assert not tmp_path.exists()


def test_a_crash_goes_back_to_the_last_saved_step(world, tmp_path):
    file = ResumeFile(tmp_path, "key")
    with pytest.raises(ZeroDivisionError):  # stands for SIGKILL: nothing is saved on the way out
        world.run(ARMS["vanilla"], Dying(6, ZeroDivisionError), config=LONG, file=file)
    assert file.load().step == 4
    assert equal(world.run(ARMS["vanilla"], config=LONG, file=file), world.run(ARMS["vanilla"], config=LONG))


@pytest.mark.parametrize("damage", ["short", "empty", "flipped", "foreign"])
def test_what_does_not_fit_is_refused_in_one_line(world, tmp_path, capsys, damage):
    file = ResumeFile(tmp_path, "key")
    with pytest.raises(SystemExit):
        world.run(ARMS["vanilla"], Dying(4, SystemExit), config=LONG, file=file)
    data = bytearray(file.path.read_bytes())
    if damage == "foreign":
        ResumeFile(tmp_path, "other").path.write_bytes(data)
        file = ResumeFile(tmp_path, "other")
    else:
        data[len(data) // 2] ^= damage == "flipped"
        file.path.write_bytes({"short": data[:-7], "empty": b"", "flipped": data}[damage])
    capsys.readouterr()
    run = world.run(ARMS["vanilla"], config=LONG, file=file)
    said = [line for line in capsys.readouterr().out.splitlines() if "ignored" in line]
    assert len(said) == 1 and ("another run (key)" if damage == "foreign" else "is damaged") in said[0]
    assert equal(run, world.run(ARMS["vanilla"], config=LONG))


def test_an_interrupted_write_leaves_the_file_before(tmp_path, monkeypatch):
    file = ResumeFile(tmp_path, "key")
    file.save(Snapshot(1, {"x": torch.ones(2)}, {"steps": []}))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        file.save(Snapshot(2, {"x": torch.ones(2)}, {"steps": []}))
    assert file.load().step == 1


CLAIM = """
import sys, time
from projected_grpo.method.resume import ResumeFile
file = ResumeFile(sys.argv[1], "key")
file.claim()
print("claimed", flush=True)
time.sleep(600)
"""


def test_a_run_is_one_process_s_until_that_ends_however_it_ends(tmp_path):
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "resume")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as other:
        assert other.stdout.readline() == "claimed\n"
        mine = ResumeFile(tmp_path / "resume", "another key")
        with pytest.raises(RunTakenError, match=rf"^\S+: process {other.pid} on \S+ is training this run; wait for it"):
            mine.claim()
        other.send_signal(signal.SIGKILL)
    mine.claim()
    mine.remove()
    assert not mine.directory.exists()


def test_a_file_system_without_locks_is_said_and_not_refused(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    ResumeFile(tmp_path, "key").claim()
    assert "no locks here" in capsys.readouterr().out


def test_the_key_follows_parameters_and_inputs_but_not_their_order(tmp_path):
    source = tmp_path / "pool.parquet"
    source.write_text("a")
    key = run_key({"lr": 0.1, "arm": {"k": 4, "mix": 0.25}}, [source])
    assert key == run_key({"arm": {"mix": 0.25, "k": 4}, "lr": 0.1}, [source])
    assert key != run_key({"arm": {"mix": 0.25, "k": 4}, "lr": 0.2}, [source])
    source.write_text("ab")
    assert key != run_key({"lr": 0.1, "arm": {"k": 4, "mix": 0.25}}, [source])
