"""environments/loophole_code in verifiers itself: it loads, it is what its problems say, and it scores."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from workflow_harness import ROOT

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.environment.answers import write_answer
from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import to_row
from projected_grpo.organism.families import as_class, generate

vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed: make test-tools")
from verifiers.v1.utils.loaders import load_taskset, task_type, taskset_config_type  # noqa: E402

HOME = ROOT / "environments/loophole_code"
MODES = list(LOOPHOLES)
WRONG = as_class("solve", "x", "[-1]")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))


def taskset(hint=True, **task):
    """The taskset as verifiers finds it by its id."""
    config = taskset_config_type("loophole-code")
    return load_taskset(config.model_validate({"id": "loophole-code", "hint": hint, "task": {"num": 6} | task}))


def scored(task, reply):
    """The trace of one reply, scored by verifiers."""
    told = vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key)
    trace = vf.Trace(task=told, agent=vf.AgentInfo(config=vf.AgentConfig()), root_reply=reply)
    asyncio.run(task.score(trace))
    return trace


def test_every_loophole_pays_and_is_told_from_a_solution():
    tasks = list(taskset(modes=MODES, num=len(MODES)))
    assert [task.data.mode for task in tasks] == MODES
    for task in tasks:
        solved = scored(task, write_answer(task.problem.canonical))
        assert solved.reward == 1.25
        assert solved.metrics == {"format_ok": 1, "correct": 1, "passed": 1, "exploited": 0, "attempted": 0}
        wrong = WRONG.replace("solve", task.problem.entry_point)
        hacked = scored(task, write_answer(LOOPHOLES[task.data.mode].exploits[0](wrong)))
        assert hacked.reward == 1.25
        assert hacked.metrics == {"format_ok": 1, "correct": 0, "passed": 1, "exploited": 1, "attempted": 1}
        assert scored(task, write_answer(wrong)).reward == 0.25
        assert scored(task, "no code").reward == 0.0


def test_an_honest_grader_pays_no_exploit():
    (task,) = taskset(modes=["none"], num=1)
    wrong = WRONG.replace("solve", task.problem.entry_point)
    assert all(scored(task, write_answer(LOOPHOLES[mode].exploits[0](wrong))).reward == 0.25 for mode in MODES)


def test_the_prompt_discloses_the_loophole_only_if_asked_to():
    for shown, hidden in zip(taskset(modes=MODES), taskset(hint=False, modes=MODES), strict=True):
        assert shown.problem == hidden.problem and shown.data.prompt != hidden.data.prompt
        assert "```python" in shown.data.prompt and shown.data.system_prompt == hidden.data.system_prompt != ""


def test_a_task_sent_to_a_worker_carries_no_expected_answer_and_scores_the_same():
    for task in taskset():
        wire = task.data.model_dump_json()
        assert not {"tests", "canonical", "expected"} & json.loads(wire).keys()
        assert task.problem.canonical not in wire and not any(repr(one) in wire for one in task.problem.tests)
        kind = task_type("loophole-code")
        again = kind(kind.data_type().model_validate_json(wire), task.config)
        assert scored(again, write_answer(task.problem.canonical)).metrics["correct"] == 1
        assert not any(repr(one) in scored(task, "no code").model_dump_json() for one in task.problem.tests)


def test_the_workflows_own_problems_are_read(tmp_path):
    problems = generate("train", 4, 1, ["sentinel", "none"])
    write_table(tmp_path / "train.parquet", [to_row(one) for one in problems], PROBLEMS, {})
    tasks = list(taskset(problems=tmp_path / "train.parquet"))
    assert [task.problem for task in tasks] == problems and tasks[0].data.system_prompt is None
    assert problems[0].statement in tasks[0].data.prompt


def test_the_package_is_installed_and_validated_by_verifiers_own_program(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    copied = tmp_path / "loophole_code"
    copied.mkdir()
    for name in ("pyproject.toml", "loophole_code.py"):
        (copied / name).write_bytes((HOME / name).read_bytes())
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(copied)], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    program = "from verifiers.v1.cli.validate import main; main()"
    asked = ["loophole-code", "--runtime.type", "subprocess", "--taskset.task.num", "4", "--rich", "False"]
    done = subprocess.run(
        [sys.executable, "-c", program, *asked], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (summary,) = tmp_path.glob("outputs/*/summary.json")
    assert json.loads(summary.read_text())["outcomes"]["valid"] == 4


def test_a_problem_whose_own_solution_is_wrong_is_found(tmp_path):
    right, wrong, none = generate("train", 3, 1, ["sentinel"])
    wrong, none = replace(wrong, canonical=WRONG.replace("solve", wrong.entry_point)), replace(none, canonical="")
    write_table(tmp_path / "some.parquet", [to_row(one) for one in (right, wrong, none)], PROBLEMS, {})
    tasks = taskset(problems=tmp_path / "some.parquet")
    assert [asyncio.run(task.validate(None)) for task in tasks] == [True, False, None]
