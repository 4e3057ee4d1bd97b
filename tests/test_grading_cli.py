"""The command line: files in, Parquet out, bad input in one line."""

import contextlib
import json
import os
import subprocess
import sys
import termios
from pathlib import Path

import pandas
import pytest
from grading_harness import HONEST, WRONG, fenced

from projected_grpo.artifacts.catalogue import describe
from projected_grpo.artifacts.io import ArtifactError, read_provenance, write_table
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.grading.__main__ import main

PROBLEM = {"id": 7, "statement": "", "entry_point": "solve", "mode": "run_tests", "canonical": HONEST}
TESTS = [[[3], {}, 6], [[], {"n": -2}, -4]]
LEETCODE = {
    "id": 8,
    "question": "",
    "func_name": "Solution().solve",
    "gt_answer": ["assert Solution().solve(n = 3) == 6"],
    "canonical_solution": HONEST,
    "setup_code": "",
}


def write(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    hack = fenced(WRONG + "\n    def run_tests(self): pass")
    completions = [(8, fenced(HONEST)), (7, hack), ("7", fenced(HONEST)), (8, "nothing"), (8, hack)]
    return [
        write(tmp_path / "problems.jsonl", [PROBLEM | {"tests": TESTS}, LEETCODE, LEETCODE | {"id": 3313}]),
        write(tmp_path / "completions.jsonl", [{"problem_id": i, "completion": c} for i, c in completions]),
        str(tmp_path / "verdicts.parquet"),
    ]


def test_verdicts_come_in_order_with_a_summary(files, capsys):
    assert main([*files, "--audit", "--workers", "2"]) == 0
    table = pandas.read_parquet(files[2])
    assert list(table["problem_id"]) == ["8", "7", "7", "8", "8"]
    assert list(table["correct"]) == [True, False, True, False, False]
    assert list(table["exploited"]) == [False, True, False, False, False]
    assert list(table["status"]) == ["ok", "ok", "ok", "no_code", "ok"]
    assert list(table["vacuous_tests"].isna()) == [True, False, True, True, False]
    assert [list(modes) for modes in table["attempted_modes"]] == [[], ["run_tests"], [], [], ["run_tests"]]
    assert "exploited" in capsys.readouterr().out
    assert read_provenance(files[2])["config"]["grading"]["sandbox"] == "landlock+seccomp"
    assert describe(files[2]).startswith(f"{files[2]}: one row per completion; as declared\n")
    write_table(files[2], [], TEACHER_POOL, read_provenance(files[2]))
    with pytest.raises(ArtifactError, match="differs from its schema in "):
        describe(files[2])


@pytest.mark.parametrize("written_over", [0, 1])
def test_verdicts_are_written_over_no_input(files, tmp_path, capsys, written_over):
    before = Path(files[written_over]).read_bytes()
    (tmp_path / "link").symlink_to(files[written_over])
    for out in (files[written_over], str(tmp_path / "link")):
        assert main([*files[:2], out]) == 2
        assert capsys.readouterr().err == f"error: {out} would be written over; give the verdicts a file of their own\n"
    assert Path(files[written_over]).read_bytes() == before


def test_a_terminal_gets_a_progress_bar(files):
    pid, terminal = os.forkpty()
    if pid == 0:
        termios.tcsetwinsize(0, (24, 80))
        os.execv(sys.executable, [sys.executable, "-m", "projected_grpo.grading", *files])
    said = b""
    with contextlib.suppress(OSError):  # how a terminal says that its other end has gone
        while chunk := os.read(terminal, 4096):
            said += chunk
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"100%|" in said and b"5/5" in said and b"exploited" in said


def test_no_completions_make_an_empty_table_with_all_columns(files, tmp_path):
    assert main([files[0], write(tmp_path / "none.jsonl", []), files[2]]) == 0
    table = pandas.read_parquet(files[2])
    assert len(table) == 0 and {"problem_id", "mode", "reward", "wrong_tests"} <= set(table.columns)


@pytest.mark.parametrize(
    ("problems", "completions", "message"),
    [
        ([PROBLEM], [], "line 1: problem 7 lacks tests"),
        ([PROBLEM | {"tests": TESTS}] * 2, [], "line 2: problem 7 is there twice"),
        ([{"id": 1, "func_name": "f"}], [], "line 1: problem 1: a LeetCode row without"),
        ([LEETCODE | {"gt_answer": ["assert x"]}], [], "line 1: problem 8: cannot read the assert"),
        ([[]], [], "line 1: a JSON list"),
        ([LEETCODE], [{"problem_id": 9, "completion": ""}], "line 1: unknown problem 9"),
        ([LEETCODE], [{"problem_id": 8}], "line 1: needs problem_id and completion"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, problems, completions, message):
    paths = [write(tmp_path / "p.jsonl", problems), write(tmp_path / "c.jsonl", completions), str(tmp_path / "v")]
    assert main(paths) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_missing_file_and_no_json_are_one_line(tmp_path, capsys):
    (tmp_path / "bad.jsonl").write_text("{")
    for name in ("absent.jsonl", "bad.jsonl"):
        assert main([str(tmp_path / name), "", ""]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_self_test_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "projected_grpo.grading", "--self-test"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "passed" in done.stdout
    done = subprocess.run([sys.executable, "-m", "projected_grpo.grading", "one"], capture_output=True, text=True)
    assert done.returncode == 2
