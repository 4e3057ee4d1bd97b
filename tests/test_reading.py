"""Results as tables, of runs that are complete and of runs in training."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import small_results

import projected_grpo
from projected_grpo.artifacts.io import ArtifactError
from projected_grpo.reading import counted


@pytest.fixture
def results(tmp_path):
    return small_results.write(tmp_path / "results")


def test_every_row_knows_its_arm_and_its_replicate(results):
    loaded = projected_grpo.load(results)
    for rows, each in ((loaded.steps, 4), (loaded.rollouts, 24), (loaded.evaluation, 22)):
        assert list(rows.columns[:2]) == ["arm", "replicate"]
        sizes = rows.groupby(["arm", "replicate"]).size().to_dict()
        assert sizes == {(arm, n): each for arm in small_results.ARMS for n in small_results.REPLICATES}


def test_what_the_tables_count(results):
    rows = counted(projected_grpo.load(results).evaluation)
    assert rows.groupby("arm")["exploited"].mean().to_dict() == {"erase": 0.0, "vanilla": 0.5}


def test_tables_by_name(results):
    pd.DataFrame({"arm": ["vanilla"], "hack": [0.5]}).to_csv(results / "table1.csv", index=False)
    tables = projected_grpo.load(str(results)).tables
    assert list(tables) == ["table1"] and tables["table1"]["hack"][0] == 0.5


def test_a_run_in_training_counts_as_far_as_it_has_saved_itself(results):
    small_results.write_running(results, "erase", 3, steps=3, key="older")
    small_results.write_running(results, "erase", 3, steps=2, key="newer")
    os.utime(results / "replicate3/runs/erase/resume/older.snapshot", (0, 0))
    steps = projected_grpo.load(results).steps
    assert list(steps.loc[steps["replicate"] == 3, "step"]) == [1, 2]
    assert len(projected_grpo.load(results).evaluation) == 4 * 22


def test_a_directory_without_runs_is_an_error_of_one_line(tmp_path):
    with pytest.raises(ArtifactError, match="give the directory that the config calls results"):
        projected_grpo.load(tmp_path)


def test_reading_results_needs_no_torch(results):
    code = (
        "import projected_grpo, sys\n"
        f"loaded = projected_grpo.load({str(results)!r}); loaded.steps, loaded.rollouts\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
