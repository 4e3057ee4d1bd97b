"""The benchmarks work on this version of the project: nothing else in it imports them."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from workflow_harness import ROOT, SMOKE

sys.path.insert(0, str(ROOT / "benchmarks"))

import timeline

CONTESTANTS = ROOT / "benchmarks/contestants"
ASKED = [("ours.py",), ("ours.py", "vanilla"), ("portable_steps.py", "native", "2"), ("textbook.py",)]


@pytest.mark.parametrize("script", ASKED, ids=" ".join)
def test_a_contestant_takes_a_step_whenever_it_is_asked_to(smoke_run, script):
    folder, _ = smoke_run
    name, *options = script
    command = [sys.executable, str(CONTESTANTS / name), str(folder / SMOKE["results"] / "replicate0"), *options]
    done = subprocess.run(command, input="\n\n", capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    ready, *steps = done.stdout.splitlines()
    assert ready == "ready"
    assert [json.loads(line)["step"] > 0 for line in steps] == [True, True]


JOBS = pd.DataFrame(
    [
        ("base_model", "replicate1", 10.0, ""),
        ("problems", "train", 1.0, ""),
        ("teacher_pool", "replicate1", 1.0, ""),
        ("pools", "all_replicate1", 0.0, ""),
        ("pairs", "natural_all_replicate1", 0.0, ""),
        ("direction", "hack_replicate1", 1.0, ""),
        ("train", "drop_replicate1", 5.0, ""),
        ("train", "drop_twin_replicate1", 4.0, "drop_replicate1"),
        ("evaluate", "drop_replicate1", 2.0, "drop_replicate1"),
        ("evaluate", "drop_twin_replicate1", 2.0, "drop_twin_replicate1"),
        ("table1", "", 1.0, ""),
    ],
    columns=["stage", "name", "seconds", "after"],
)


@pytest.mark.parametrize(("cores", "end"), [(1, 27.0), (2, 24.0), (7, 24.0)])
def test_jobs_are_laid_out_in_the_order_of_the_workflow(cores, end):
    placed = timeline.plan(JOBS, cores)
    starts = placed.set_index(["stage", "name"])["start"]
    assert starts["base_model", "replicate1"] == 0
    assert starts["train", "drop_twin_replicate1"] >= starts["train", "drop_replicate1"] + 5
    assert starts["evaluate", "drop_replicate1"] >= starts["train", "drop_replicate1"] + 5
    assert (placed["start"] + placed["seconds"]).max() == end
    for _, own in placed.sort_values("start").groupby("core"):
        assert (own["start"].iloc[1:].to_numpy() >= (own["start"] + own["seconds"]).iloc[:-1].to_numpy()).all()


def test_of_a_run_with_more_tables_the_jobs_of_table_1_are_taken(tmp_path):
    kept = ["train/vanilla_replicate2", "signal/probe_replicate2", "base_model/replicate2", "problems/train", "table1"]
    left = ["train/vanilla_replicate3", "train/vanilla_long_replicate2", "detection/replicate2", "table3"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.tsv").write_text("s\n1.5\n")
    jobs = timeline.read_jobs(tmp_path, timeline.default_config(), [2])
    found = {f"{job.stage}/{job.name}".rstrip("/") for job in jobs.itertuples()}
    assert found == set(kept)
    assert list(jobs["after"]) == [""] * len(kept)
