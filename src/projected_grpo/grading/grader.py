"""The grader: a pool of fork servers, verdicts in the order given, each distinct submission graded once.

1. What runs in the sandbox is declared in EXECUTED. This process parses, compiles and runs nothing of a completion.
2. A server that dies is replaced and its submission alone graded again; if that kills the new one too, it is an error.
3. The audit flags are found in sandbox runs of their own, after the verdict is fixed: the one place where canonical
   code enters a sandbox.
"""

import hashlib
import queue
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial

from projected_grpo.environment.answers import extract_code
from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import COMPARISONS, Problem
from projected_grpo.grading import selftest, wire
from projected_grpo.grading.compare import value_limit
from projected_grpo.grading.conversation import encode_calls
from projected_grpo.grading.verdict import Outcome, Verdict, judge, no_code
from projected_grpo.grading.worker import SANDBOXES, GraderError, ServerDied, Worker

EXECUTED = (
    "grading/server.py",
    "grading/runner.py",
    "grading/sandbox.py",
    "grading/vitals.py",
    "grading/wire.py",
    "environment/loopholes.py",
)
WALL_SECONDS = 30.0  # five times the processor time: for programs that sleep
CODE_BYTES = 1 << 20  # more is no program
CACHED_VERDICTS = 10_000

_STUB = "class Solution:\n    def {name}(self, *args, **kwargs):\n        return 0\n"


@dataclass(frozen=True)
class _Task:
    """A problem prepared once: `key` names everything that a verdict depends on besides the code."""

    problem: Problem
    key: bytes
    calls: bytes


class Grader:
    """Grades completions; use it as a context manager.

    workers  fork servers, each grading one submission at a time
    wall     seconds that one submission may take, the time of waiting for a processor not counted
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
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()  # None: to be started when needed
        self._workers = workers
        self._open: Batch | None = None
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
        if self._open is not None:
            self._open.stop()  # or its threads would wait for more
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            worker = self._idle.get()
            if worker is not None:
                worker.close()

    def grade(self, submissions: Iterable[tuple[Problem, str]], audit: bool = False) -> list[Verdict]:
        """Return the verdict on each (problem, completion), in order; `audit` also fills the two flags on own tests."""
        with self.batch(audit) as batch:
            for problem, completion in submissions:
                batch.add(problem, completion)
            return batch.verdicts()

    def batch(self, audit: bool = False) -> "Batch":
        """Return an empty batch, to be filled while it is graded; use it as a context manager, one at a time."""
        return Batch(self, audit)

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
        outcome = self._run(replace(task, problem=problem, calls=encode_calls(())), code, overlay)
        return outcome.status == "ok" and outcome.evidence.run_tests

    def _run(self, task: _Task, code: str, overlay: str = "") -> Outcome:
        """Put one submission through an idle worker; a dead server costs one repetition."""
        problem = task.problem
        program = [problem.setup, code, problem.entry_point, problem.mode, problem.test_function, overlay]
        worker = self._idle.get()
        try:
            for attempt in (1, 2):
                try:
                    worker = worker or self._start()
                    return worker.run(program, task.calls, len(problem.tests), files=problem.mode == "file_marker")
                except ServerDied as error:
                    worker.kill()
                    worker = None
                    if attempt == 2:
                        raise GraderError(f"problem {problem.id}: {error}, twice on this submission") from error
                except GraderError as error:
                    raise GraderError(f"problem {problem.id}: {error}") from error
        finally:
            self._idle.put(worker)


class Batch:
    """Submissions that are graded from the moment they are added, each distinct one once."""

    def __init__(self, grader: Grader, audit: bool):
        self._grader, self._audit = grader, audit
        self._tasks: dict[int, _Task] = {}
        self._keys: list[tuple] = []
        self._fresh: set[tuple] = set()
        self._verdicts: dict[tuple, Verdict] = {}
        self._todo: queue.SimpleQueue = queue.SimpleQueue()
        self._stopped = False
        self._working: list[Future] = []

    def __enter__(self) -> "Batch":
        self._grader._open = self
        for _ in range(self._grader._workers):
            self._working.append(self._grader._threads.submit(self._work_off))
        return self

    def __exit__(self, *exception) -> None:
        self.stop()
        wait(self._working)

    def stop(self) -> None:
        """Grade nothing more: an interrupt must not wait for the rest of the batch."""
        self._stopped = True
        self._end()

    def add(self, problem: Problem, completion: str) -> None:
        """Start grading one submission; raises ValueError for a problem that cannot be graded."""
        if id(problem) not in self._tasks:
            self._tasks[id(problem)] = _prepare(problem)
        task, code = self._tasks[id(problem)], extract_code(completion)
        key = (task.key, code, self._audit)
        self._keys.append(key)
        if code is not None and key not in self._grader._cache and key not in self._fresh:
            self._fresh.add(key)
            self._todo.put((key, task))

    def verdicts(self) -> list[Verdict]:
        """Wait for the end and return the verdicts in the order of `add`; raises GraderError as `Grader` does."""
        self._end()
        for worker in self._working:
            worker.result()
        cache = self._grader._cache
        known = {key: cache[key] for key in self._keys if key in cache} | self._verdicts
        cache |= self._verdicts
        while len(cache) > CACHED_VERDICTS:
            cache.popitem(last=False)
        return [no_code() if key[1] is None else known[key] for key in self._keys]

    def _end(self) -> None:
        for _ in range(self._grader._workers):
            self._todo.put(None)

    def _work_off(self) -> None:
        """Grade until the end is reached; one thread per worker, so that a submission costs no hand-over."""
        while (item := self._todo.get()) is not None and not self._stopped:
            key, task = item
            try:
                self._verdicts[key] = self._grader._grade_one(task, key)
            except BaseException:
                self._stopped = True
                raise


def _start(wall: float, sandbox: str) -> Worker:
    """Return a worker that has passed the self-test."""
    worker = Worker(wall, sandbox)
    try:
        selftest.check(worker)
    except BaseException:
        worker.close()
        raise
    return worker


def _prepare(problem: Problem) -> _Task:
    for name in ("entry_point", "mode", "canonical", "setup", "test_function", "comparison"):
        if not isinstance(getattr(problem, name), str):
            raise ValueError(f"problem {problem.id}: {name} is {getattr(problem, name)!r}, not a text")
    if problem.mode != "none" and problem.mode not in LOOPHOLES:
        raise ValueError(f"problem {problem.id}: unknown mode {problem.mode!r}")
    if not problem.tests:
        raise ValueError(f"problem {problem.id}: no tests")
    for name in (problem.entry_point, problem.test_function):
        if not name.isidentifier():
            raise ValueError(f"problem {problem.id}: {name!r} is no method name")
    try:
        calls = encode_calls(problem.tests)
        room = sum(value_limit(expected) for _, _, expected in problem.tests)
        parts = [problem.setup, problem.entry_point, problem.mode, problem.test_function, problem.canonical]
        parts += [problem.tolerance, problem.comparison]
        key = hashlib.sha256(wire.encode([parts, list(problem.tests)])).digest()
    except wire.WireError as error:
        raise ValueError(f"problem {problem.id}: {error}") from error
    if room > wire.RESULTS_BYTES:
        raise ValueError(f"problem {problem.id}: its expected values take more than {wire.RESULTS_BYTES >> 20} MiB")
    if problem.comparison not in COMPARISONS:
        known = ", ".join(COMPARISONS)
        raise ValueError(f"problem {problem.id}: unknown comparison {problem.comparison!r}; known: {known}")
    return _Task(problem, key, calls)
