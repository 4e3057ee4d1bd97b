"""The grader: a pool of fork servers, verdicts in the order given, each distinct submission graded once.

1. What runs in the sandbox is declared in EXECUTED. This process parses, compiles and runs nothing of a completion.
2. A server that dies is replaced and its submission alone graded again; if that kills the new one too, it is an error.
3. The audit flags are found in sandbox runs of their own, after the verdict is fixed: the one place where canonical
   code enters a sandbox.
"""

import hashlib
import queue
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import Problem
from projected_grpo.grading import selftest, wire
from projected_grpo.grading.conversation import encode_calls
from projected_grpo.grading.verdict import Outcome, Verdict, extract_code, judge, no_code, value_limit
from projected_grpo.grading.worker import SANDBOXES, GraderError, ServerDied, Worker

EXECUTED = (
    "grading/server.py",
    "grading/runner.py",
    "grading/sandbox.py",
    "grading/wire.py",
    "environment/loopholes.py",
)
WALL_SECONDS = 6.0
CODE_BYTES = 1 << 20  # more is no program
CACHED_VERDICTS = 10_000

_STUB = "class Solution:\n    def {name}(self, *args, **kwargs):\n        return 0\n"


@dataclass(frozen=True)
class _Task:
    """A problem prepared once: `key` names everything that a verdict depends on besides the code."""

    problem: Problem
    key: bytes
    calls: bytes
    limits: list[int]


class Grader:
    """Grades completions; use it as a context manager.

    workers  fork servers, each grading one submission at a time
    wall     seconds that one submission may take
    sandbox  one of SANDBOXES; bwrap+seccomp is for kernels without Landlock
    Raises GraderError where confinement does not work (the self-test of every server runs first), or when a server
    dies twice on one submission; ValueError for a problem that cannot be graded.
    """

    def __init__(self, workers: int = 1, wall: float = WALL_SECONDS, sandbox: str = SANDBOXES[0]):
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        if sandbox not in SANDBOXES:
            raise ValueError(f"unknown sandbox {sandbox!r}; known: {', '.join(SANDBOXES)}")
        self._start = partial(_start, wall, sandbox)
        self._cache: OrderedDict[tuple, Verdict] = OrderedDict()
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers)
        try:
            for _ in range(workers):
                self._idle.put(self._start())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """End the servers and remove their directories; safe to call twice."""
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def grade(self, submissions: Sequence[tuple[Problem, str]], audit: bool = False) -> list[Verdict]:
        """Return the verdict on each (problem, completion), in order; `audit` also fills the two flags on own tests."""
        tasks = {id(problem): _prepare(problem) for problem in {id(p): p for p, _ in submissions}.values()}
        keys, fresh = [], {}
        for problem, completion in submissions:
            task, code = tasks[id(problem)], extract_code(completion)
            keys.append((task.key, code, audit))
            if code is not None and keys[-1] not in self._cache:
                fresh[keys[-1]] = task
        todo, verdicts = deque(fresh.items()), {}
        try:
            for done in [self._threads.submit(self._work_off, todo, verdicts) for _ in range(self._workers)]:
                done.result()
        finally:
            todo.clear()  # an interrupt must not wait for the rest of the batch
        known = {key: self._cache[key] for key in keys if key in self._cache} | verdicts
        self._cache |= verdicts
        while len(self._cache) > CACHED_VERDICTS:
            self._cache.popitem(last=False)
        return [no_code() if key[1] is None else known[key] for key in keys]

    def _work_off(self, todo: deque, verdicts: dict) -> None:
        """Grade until nothing is left to do; one thread per worker, so that a submission costs no hand-over."""
        try:
            while (item := _next(todo)) is not None:
                key, task = item
                verdicts[key] = self._grade_one(task, key)
        except BaseException:
            todo.clear()
            raise

    def _grade_one(self, task: _Task, key: tuple) -> Verdict:
        _, code, audit = key
        if len(code.encode("utf-8", "surrogatepass")) > CODE_BYTES:
            return replace(no_code(), status="syntax_error")
        problem = task.problem
        verdict = judge(problem, self._run(task, code))
        if not audit or "run_tests" not in verdict.attempted_modes:
            return verdict
        passes_stub = self._passes_own_tests(task, code, _STUB.format(name=problem.entry_point))
        passes_canonical = self._passes_own_tests(task, code, problem.canonical) if problem.canonical else None
        return replace(
            verdict,
            vacuous_tests=passes_stub,
            wrong_tests=None if passes_canonical is None else not passes_canonical,
        )

    def _passes_own_tests(self, task: _Task, code: str, overlay: str) -> bool:
        problem = replace(task.problem, mode="run_tests", tests=())
        outcome = self._run(replace(task, problem=problem, calls=encode_calls((), []), limits=[]), code, overlay)
        return outcome.status == "ok" and outcome.evidence.run_tests

    def _run(self, task: _Task, code: str, overlay: str = "") -> Outcome:
        """Put one submission through an idle worker; a dead server costs one repetition."""
        problem = task.problem
        program = [problem.setup, code, problem.entry_point, problem.mode, overlay]
        worker = self._idle.get()
        try:
            for attempt in (1, 2):
                try:
                    return worker.run(program, task.calls, task.limits, files=problem.mode == "file_marker")
                except ServerDied as error:
                    worker.close()
                    worker = self._start()
                    if attempt == 2:
                        raise GraderError(f"problem {problem.id}: {error}, twice on this submission") from error
                except GraderError as error:
                    raise GraderError(f"problem {problem.id}: {error}") from error
        finally:
            self._idle.put(worker)


def _start(wall: float, sandbox: str) -> Worker:
    """Return a worker that has passed the self-test."""
    worker = Worker(wall, sandbox)
    try:
        selftest.check(worker)
    except BaseException:
        worker.close()
        raise
    return worker


def _next(todo: deque):
    try:
        return todo.popleft()
    except IndexError:
        return None


def _prepare(problem: Problem) -> _Task:
    if problem.mode != "none" and problem.mode not in LOOPHOLES:
        raise ValueError(f"problem {problem.id}: unknown mode {problem.mode!r}")
    if not problem.tests:
        raise ValueError(f"problem {problem.id}: no tests")
    if not problem.entry_point.isidentifier():
        raise ValueError(f"problem {problem.id}: {problem.entry_point!r} is no method name")
    try:
        limits = [value_limit(expected) for _, _, expected in problem.tests]
        calls = encode_calls(problem.tests, limits)
        parts = [problem.setup, problem.entry_point, problem.mode, problem.canonical, problem.tolerance]
        key = hashlib.sha256(wire.encode([parts, list(problem.tests)])).digest()
    except wire.WireError as error:
        raise ValueError(f"problem {problem.id}: {error}") from error
    return _Task(problem, key, calls, limits)
