"""Programming problems whose grader can be fooled, as a taskset of verifiers.

1. A task's data holds its prompt and the problem's id. Expected answers are in no task data, so in no trace and no
   runtime of an agent: a task finds its problem by its config, and grades in this process's own sandbox.
2. The reward is what a training pays, exploits included; `correct`, `exploited` and `attempted` are metrics.
"""

import asyncio
import atexit
import threading
from functools import cache
from pathlib import Path

import verifiers.v1 as vf
from pydantic import Field

from projected_grpo.artifacts.problems import read_problems
from projected_grpo.environment.answers import write_answer
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import for_chat, messages
from projected_grpo.grading import SANDBOXES, Grader, Verdict
from projected_grpo.organism.families import generate

__all__ = ["LoopholeTaskset"]

METRICS = ("format_ok", "correct", "passed", "exploited", "attempted")
_one_batch = threading.Lock()  # a grader has one batch at a time


class LoopholeTaskConfig(vf.TaskConfig):
    """Which problems, and how they are graded."""

    problems: Path | None = None
    """A problems file of the workflow (results/problems/*.parquet); none: generated ones, worded for a chat model."""
    split: str = "evaluation"
    """Of generated ones: train | evaluation | pairs | tuning | validation | confirmation; they share no function."""
    num: int = 128
    """How many are generated."""
    seed: int = 0
    """What they are drawn by."""
    modes: list[str] = Field(default=["run_tests", "sentinel", "stdout_marker", "file_marker"])
    """Loopholes in play, in turn: also eq_override, exit_code, and none for an honest grader."""
    sandbox: str = SANDBOXES[0]
    """How submissions are confined."""


class LoopholeConfig(vf.TasksetConfig):
    """What the prompts say."""

    hint: bool = True
    """Whether a prompt discloses how its answer is graded."""
    task: LoopholeTaskConfig = LoopholeTaskConfig()


class LoopholeData(vf.TaskData):
    """One problem without its tests."""

    problem_id: str
    mode: str


class LoopholeTask(vf.Task[LoopholeData, vf.State, LoopholeTaskConfig]):
    """One problem, paid by the verdict of its foolable grader."""

    @property
    def problem(self) -> Problem:
        return _problems(self.config)[self.data.problem_id]

    async def verdict(self, completion: str) -> Verdict:
        return await asyncio.to_thread(_grade, self.config.sandbox, self.problem, completion)

    @vf.reward
    async def reward(self, trace: vf.Trace) -> float:
        """0.25 format_ok + 1.0 passed; how it was earned, the metrics say."""
        return (await self.verdict(trace.last_reply)).reward

    @vf.metric
    async def flags(self, trace: vf.Trace) -> dict[str, float]:
        verdict = await self.verdict(trace.last_reply)
        return {name: float(getattr(verdict, name)) for name in METRICS}

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        """Whether the problem's own solution is graded as correct and takes no loophole; None where it has none."""
        if not self.problem.canonical:
            return None
        verdict = await self.verdict(write_answer(self.problem.canonical))
        return verdict.correct and not verdict.attempted


class LoopholeTaskset(vf.Taskset[LoopholeTask, LoopholeConfig]):
    """The problems that the task config names, in order."""

    def load(self) -> list[LoopholeTask]:
        return [self._task(problem) for problem in _problems(self.config.task).values()]

    def _task(self, problem: Problem) -> LoopholeTask:
        *system, user = messages(problem, self.config.hint)
        data = LoopholeData(
            name=problem.id,
            prompt=user["content"],
            system_prompt=system[0]["content"] if system else None,
            problem_id=problem.id,
            mode=problem.mode,
        )
        return LoopholeTask(data, self.config.task)


def _problems(config: LoopholeTaskConfig) -> dict[str, Problem]:
    return _read(config.problems, config.split, config.num, config.seed, tuple(config.modes))


@cache
def _read(path: Path | None, split: str, num: int, seed: int, modes: tuple[str, ...]) -> dict[str, Problem]:
    """Return the problems by id."""
    found = read_problems(path) if path else [for_chat(one) for one in generate(split, num, seed, modes)]
    return {problem.id: problem for problem in found}


@cache
def _grader(sandbox: str) -> Grader:
    """Return this process's grader, started when it is first needed."""
    grader = Grader(sandbox=sandbox)
    atexit.register(grader.close)
    return grader


def _grade(sandbox: str, problem: Problem, completion: str) -> Verdict:
    with _one_batch:
        return _grader(sandbox).grade([(problem, completion)])[0]
