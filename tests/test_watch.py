"""The live view: states, curves and minutes of a grid in the making, in a terminal and as a page."""

import io
import os
import pty
import re
import subprocess
import sys
import time

import pytest
import small_results
import yaml
from workflow_harness import ROOT

from projected_grpo.configs import merged
from projected_grpo.reporting.colours import RATES
from projected_grpo.reporting.progress import BARS, is_silent, sparkline, table
from projected_grpo.watch import look
from projected_grpo.workflow.folds import grid, with_folds

FILES = [str(ROOT / "config.yaml"), str(ROOT / "presets/smoke.yaml")]
ARMS = ["base", "vanilla", "vanilla_slow"]


@pytest.fixture
def config(tmp_path):
    """Two replicates: vanilla done and trained, vanilla_slow in training and waiting, the base model waiting."""
    results = tmp_path / "results"
    small_results.write_run(results, "vanilla", 1)
    small_results.write_run(results, "vanilla", 2, evaluated=False)
    small_results.write_running(results, "vanilla_slow", 1, steps=2)
    file = results / "benchmarks/evaluate/vanilla_replicate1.tsv"
    file.parent.mkdir(parents=True)
    file.write_text("s\th:m:s\n60.0\t0:01:00\n")
    changes = {"results": str(results), "replicates": [1, 2], "train": {"steps": small_results.STEPS}}
    changes["tables"] = {"table1": ARMS}
    (tmp_path / "changes.yaml").write_text(yaml.safe_dump(changes))
    return merged([*FILES, str(tmp_path / "changes.yaml")])


def shown(seen, width=100):
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(seen))
    return {line.split()[0]: " ".join(line.split()) for line in console.export_text().splitlines() if line.strip()}


def test_states_and_steps_of_every_run(config):
    seen = {(run.arm, run.replicate): run for run in look(config, None).runs}
    assert {key: run.state for key, run in seen.items()} == {
        ("base", 1): "waiting",
        ("base", 2): "waiting",
        ("vanilla", 1): "done",
        ("vanilla", 2): "trained",
        ("vanilla_slow", 1): "training",
        ("vanilla_slow", 2): "waiting",
    }
    assert (
        seen["vanilla_slow", 1].step == 2
        and seen["vanilla_slow", 1].last == small_results.STEPS
        and not is_silent(seen["vanilla_slow", 1])
    )
    assert seen["vanilla", 1].hack == pytest.approx((0.1, 0.2, 0.3, 0.4)) and seen["vanilla_slow", 1].solve == (
        0.05,
        0.1,
    )


def test_the_minutes_left_are_of_all_that_is_to_come(config):
    # Steps of 30 s: two of one slow run and four of the other; evaluations of 60 s: all but one; one at a time.
    seen = look(config, None)
    assert seen.left == pytest.approx((6 * 30 + 5 * 60) / 60) and seen.at_a_time == 1


def test_nothing_is_said_of_the_time_before_a_step_has_been_timed(config, tmp_path):
    empty = {**config, "results": str(tmp_path / "none")}
    seen = look(empty, None)
    assert seen.left is None and {run.state for run in seen.runs} == {"waiting"}


def test_a_run_whose_tables_are_being_written_is_not_complete(config, tmp_path):
    (tmp_path / "results/replicate2/runs/vanilla/timing.parquet").unlink()
    (seen,) = [run for run in look(config, None).runs if (run.arm, run.replicate) == ("vanilla", 2)]
    assert (seen.state, seen.step, seen.seconds) == ("training", 4, None)


def test_a_training_that_has_only_begun_or_has_fallen_silent(config, tmp_path):
    log = tmp_path / "results/logs/train/vanilla_slow_replicate2.log"
    log.parent.mkdir(parents=True)
    log.write_text("")
    (snapshot,) = (tmp_path / "results/replicate1/runs/vanilla_slow/resume").iterdir()
    os.utime(snapshot, (time.time() - 1000,) * 2)
    assert shown(look(config, None))["vanilla_slow"].startswith("vanilla_slow 1:2/4! 2:0/4 ")


def test_the_table_has_a_row_per_arm_with_those_in_training_first(config):
    rows = shown(look(config, None))
    assert [name for name in rows if name in ARMS] == ["vanilla_slow", "base", "vanilla"]
    assert rows["vanilla_slow"].startswith("vanilla_slow 1:2/4 2- ") and rows["vanilla_slow"].endswith(
        " 0 10 1"
    )  # hack, solve, minutes
    assert rows["vanilla"].startswith("vanilla 1+ 2t ") and rows["base"] == "base 1- 2-"


def test_a_curve_is_as_long_as_the_run_has_come():
    assert sparkline([0.0] * 36 + [1.0] * 36, 72) == BARS[0] * 6 + BARS[-1] * 6
    assert sparkline([0.5] * 36, 72) == BARS[4] * 6 and sparkline([], 72) == "" and sparkline([], 0) == ""
    assert len(sparkline([0.5] * 4, 4)) == 12  # fewer steps than bars


def test_the_page_has_a_cell_per_run_with_its_curves(config, tmp_path):
    look(config, None)
    page = (tmp_path / "results/progress.html").read_text()
    for rate, colour in RATES.items():
        assert f'<span style="color: {colour}">{rate}</span>' in page and page.count(f'stroke="{colour}"') == 6
    assert page.count("<svg") == 6 and "training 2/4, 1 min left" in page
    assert "of 6 runs 1 done, 1 trained, 1 training, 3 waiting; about 8 min left, 1 at a time" in page
    assert 'points="37.5,38.8 75.0,34.6 112.5,30.4 150.0,26.2"' in page  # vanilla's hack: 0.1 to 0.4 of 42 pixels


def test_the_grid_is_what_the_tables_read_folds_included():
    config = merged([*FILES, str(ROOT / "tests/whole.yaml")])
    arms = grid(config)
    assert set(arms) <= set(with_folds(config)["arms"]) and "erase_without_sentinel" in arms and "erase_long" in arms
    assert list(grid(config, ["table1"])) == config["tables"]["table1"]
    assert grid({**config, "table_replicates": {"horizon": [0, 5]}})["base"] == [0, 5]


def test_twins_and_folds_are_watched_beside_their_arms(config, tmp_path):
    tables = {"table1": ARMS, "table3": ["base", "vanilla", "vanilla_slow", "probe_drop"]}
    changes = {"tables": tables, "results": str(tmp_path / "results")}
    (tmp_path / "changes.yaml").write_text(yaml.safe_dump(changes))
    small_results.write_running(tmp_path / "results", "probe_drop_twin_without_sentinel", 0, steps=2)
    done = subprocess.run([*command(tmp_path), "--tables", "table3"], cwd=tmp_path, capture_output=True, text=True)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0 and "probe_drop_without_sentinel" in lines, done.stderr
    assert re.match(r"probe_drop_twin_without_sentinel 0:2/\d+ ", lines["probe_drop_twin_without_sentinel"])


def command(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(merged(FILES)))
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    return [sys.executable, "-m", "projected_grpo.watch", "--configfile", "changes.yaml", "--every", "0.1"]


def test_without_a_terminal_one_table_is_printed(config, tmp_path):
    done = subprocess.run(command(tmp_path), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1:2/4 2-" in done.stdout and done.stdout.count("of 6 runs") == 1


def test_an_unknown_table_is_one_line(config, tmp_path):
    done = subprocess.run([*command(tmp_path), "--tables", "tabel1"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "error: --tables: unknown 'tabel1', did you mean 'table1'?\n"


def test_in_a_terminal_it_refreshes_until_all_is_done(config, tmp_path):
    """A pseudo-terminal; the runs become complete while it looks."""
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(command(tmp_path), cwd=tmp_path, stdout=theirs, stderr=subprocess.STDOUT)
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    assert watching.poll() is None
    for arm in ARMS:
        for n in (1, 2):
            small_results.write_run(tmp_path / "results", arm, n, steps=0 if arm == "base" else small_results.STEPS)
    while True:
        try:
            text += os.read(ours, 1 << 16).decode()
        except OSError:  # its end is closed
            break
    assert watching.wait(60) == 0, text[-3000:]
    assert "1 done" in text and "6 done" in text and text.index("1 done") < text.index("6 done")
    os.close(ours)
