"""A leak planted into a fold's inputs is refused in one line, by the stage that reads it."""

import shutil

import pandas as pd
import pytest
from workflow_harness import ROOT, copy_with_results, snakemake

from projected_grpo.artifacts.io import read_provenance, read_table, write_table
from projected_grpo.artifacts.schemas.pairs import PAIRS as PAIRS_SCHEMA
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.teacher import weak_detector

MODES = ["run_tests", "sentinel"]
KNOWN = ["run_tests"]
PRESETS = ["--configfile", "presets/smoke.yaml", str(ROOT / "tests/whole.yaml"), "-j1", "--"]
FOLD = "results/smoke/replicate0/{}"
POOL, PAIRS = (
    FOLD.format("pools/without_sentinel.parquet"),
    FOLD.format("pairs/natural/without_sentinel.parquet"),
)
V = FOLD.format("directions/hack_without_sentinel/V.safetensors")
RUN = FOLD.format("runs/erase_without_sentinel/steps.parquet")
SIGNAL = FOLD.format("signals/probe_without_sentinel/weights.safetensors")
WHOLE_SIGNAL = FOLD.format("signals/probe/weights.safetensors")
FLAGGED = FOLD.format("runs/probe_drop_without_sentinel/steps.parquet")


def rows(**changes):
    return pd.DataFrame([{"problem_id": "p1", "mode": "run_tests", "attempted_modes": ["run_tests"], **changes}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "sentinel"}, "pool: problem p1 is of mode 'sentinel', which this fold holds out"),
        (
            {"attempted_modes": ["run_tests", "sentinel"]},
            "pool: a completion of problem p1 attempts 'sentinel', which this fold holds out",
        ),
    ],
)
def test_rows_of_a_held_out_mode_are_refused_by_name(changes, message):
    weak_detector.check_fold(rows(), KNOWN, MODES, "pool")
    weak_detector.check_fold(rows(**changes), MODES, MODES, "pool")  # who knows all modes holds nothing out
    with pytest.raises(weak_detector.LeakError) as error:
        weak_detector.check_fold(rows(**changes), KNOWN, MODES, "pool")
    assert str(error.value) == message


def test_a_V_of_another_subset_is_refused():
    source = {"config": {"direction": {"subset": "all"}}}
    weak_detector.check_subset(source, "all", "V")
    for found in (source, {}):
        with pytest.raises(
            weak_detector.LeakError, match=r"V: this V knows .*, but the arm may know 'without_sentinel'"
        ):
            weak_detector.check_subset(found, "without_sentinel", "V")


@pytest.fixture(scope="module")
def fold(smoke_run, tmp_path_factory):
    """A copy of the smoke run with one fold's pool, pairs, V and signal built."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("leak") / "repository")
    done = snakemake(folder, *PRESETS, V, SIGNAL, WHOLE_SIGNAL)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def changed(path, change):
    """Rewrite a table's rows, and leave its schema and provenance as they are."""
    schema = TEACHER_POOL if "pools" in str(path) else PAIRS_SCHEMA
    source, table = read_provenance(path), read_table(path, schema)
    write_table(path, change(table).to_dict("records"), schema, source)


def an_attempt(table):
    table.at[0, "attempted_modes"] = ["run_tests", "sentinel"]
    return table


def a_flag(table):
    table.loc[0, ["mode", "channel_fired"]] = ["sentinel", True]
    return table


PLANTS = {
    "a rollout that attempts it": (POOL, an_attempt, "pairs", "attempts 'sentinel', which this fold holds out"),
    "a flag of it": (POOL, a_flag, "pairs", "is of mode 'sentinel', which this fold holds out"),
    "a pair from it": (PAIRS, an_attempt, "direction", "attempts 'sentinel', which this fold holds out"),
    "a pair for a signal": (PAIRS, an_attempt, "signal", "attempts 'sentinel', which this fold holds out"),
    "a signal that knows it": (
        SIGNAL,
        None,
        "train",
        "this signal knows 'all', but the arm may know 'without_sentinel'",
    ),
    "a V that knows it": (V, None, "train", "this V knows 'all', but the arm may know 'without_sentinel'"),
    "a pool for training alone": (POOL, an_attempt, "train", "attempts 'sentinel', which this fold holds out"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_pipeline_refuses_a_planted_leak(fold, tmp_path, name):
    file, change, stage, message = PLANTS[name]
    folder = tmp_path / "planted"
    shutil.copytree(fold, folder, copy_function=shutil.copy2, symlinks=True)
    if change is None:
        shutil.copy(folder / file.replace("_without_sentinel", ""), folder / file)
    else:
        changed(folder / file, change)
    alone = ["--allowed-rules", "train"] if stage == "train" else []  # or an earlier stage refuses the leak before it
    run = FLAGGED if "signal" in name else RUN
    done = snakemake(folder, *alone, *PRESETS, run)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and f"Error in rule {stage}" in said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].endswith(message), said[-3000:]
    assert not (folder / run).exists()
