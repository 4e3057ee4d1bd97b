"""Throughput of the grader on one core, and what it leaves behind.

    python benchmarks/grader.py [--submissions N] [--leak N] [--write docs/grading.md]

Graded side by side, interleaved in rounds: small correct programs with 20 asserts each,
  landlock+seccomp  the grader as it is
  bwrap+seccomp     its alternative, where bubblewrap is installed
  unconfined        the same fork server with no limits, no Landlock and no filter (a patched copy elsewhere)
  fresh             one `python -c` per submission: set-up, solution and the 20 asserts
All on the first core this process may use. `--leak N` then grades N submissions and reports what grew.
`--write` puts the printed tables into that document.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import projected_grpo
from projected_grpo.documents.blocks import machine, replace_block
from projected_grpo.environment.problems import Problem
from projected_grpo.grading import Grader, worker

ROUNDS = 5
SETUP = """
# What LeetCode rows set up.
import random, functools, collections, string, math, datetime
from typing import *
from functools import *
from collections import *
from itertools import *
from heapq import *
from bisect import *
from string import *
from operator import *
from math import *
inf = float('inf')
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right
"""
CODE = "class Solution:\n    def solve(self, n):\n        return sum(x for x in range(n)) + {tag}"
PROBLEM = Problem(
    "benchmark", "", "solve", tuple(((n,), {}, n * (n - 1) // 2) for n in range(1, 21)), "run_tests", setup=SETUP
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=200, help="per variant and round (default 200)")
    parser.add_argument("--leak", type=int, default=0, help="submissions of the leak check (default 0: none)")
    parser.add_argument("--write", type=Path, help="document to put the tables into")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    text = speed(compare(options.submissions))
    if options.leak:
        text += "\n" + growth(options.leak)
    print(text)
    if options.write:
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "benchmark", text), encoding="utf-8"
        )


def speed(rates: dict[str, list[float]]) -> str:
    """Return the table of rates, and what confinement buys and costs."""
    middle = {name: statistics.median(values) for name, values in rates.items()}
    rows = [
        f"| {name} | {middle[name]:.0f} | {min(values):.0f} to {max(values):.0f} |"
        f" {middle[name] / middle['fresh']:.1f} | {middle['unconfined'] / middle[name]:.2f} |"
        for name, values in rates.items()
    ]
    head = "| variant | per second | range | x fresh | x time of unconfined |\n| --- | --- | --- | --- | --- |"
    note = f"One core of {machine()}; medians of {ROUNDS} rounds, small programs with 20 asserts."
    return "\n".join([note, "", head, *rows, ""])


def compare(count: int) -> dict[str, list[float]]:
    """Return the submissions per second of each variant, one number per round."""
    with ExitStack() as stack:
        graders = {"landlock+seccomp": stack.enter_context(Grader())}
        if shutil.which("bwrap"):
            graders["bwrap+seccomp"] = stack.enter_context(Grader(sandbox="bwrap+seccomp"))
        graders["unconfined"] = stack.enter_context(unconfined_grader())
        rates = {name: [] for name in [*graders, "fresh"]}
        for number in range(ROUNDS):
            for name, grader in graders.items():
                rates[name].append(graded_per_second(grader, count, number))
            rates["fresh"].append(fresh_per_second(max(1, count // 10)))
    return rates


def unconfined_grader() -> Grader:
    """Return a grader whose children are not confined, for comparison only; its self-test is skipped."""
    package = Path(projected_grpo.__file__).parent
    original, check = worker.SERVER, projected_grpo.grading.selftest.check
    with tempfile.TemporaryDirectory() as copy:
        for part in ("grading", "environment"):
            shutil.copytree(package / part, Path(copy, part))
        sandbox = Path(copy, "grading", "sandbox.py")
        sandbox.write_text(
            sandbox.read_text(encoding="utf-8") + "\nConfinement.apply = lambda self, server: None\n", encoding="utf-8"
        )
        worker.SERVER = Path(copy, "grading", "server.py")
        projected_grpo.grading.selftest.check = lambda worker: None
        try:
            return Grader()
        finally:
            worker.SERVER, projected_grpo.grading.selftest.check = original, check


def graded_per_second(grader: Grader, count: int, number: int) -> float:
    pairs = [(PROBLEM, f"```python\n{CODE.format(tag=0)}\n# {number} {i}\n```") for i in range(count)]
    started = time.perf_counter()
    verdicts = grader.grade(pairs)
    elapsed = time.perf_counter() - started
    assert all(verdict.correct for verdict in verdicts)
    return count / elapsed


def fresh_per_second(count: int) -> float:
    asserts = "\n".join(f"assert Solution().solve({args[0]}) == {expected}" for args, _, expected in PROBLEM.tests)
    script = f"{SETUP}\n{CODE.format(tag=0)}\n{asserts}\n"
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run([sys.executable, "-c", script], check=True)
    return count / (time.perf_counter() - started)


def growth(count: int) -> str:
    """Grade `count` submissions that write files, print and allocate; return what grew here and in the server."""
    with Grader() as grader:
        server = grader._idle.queue[0]

        def usage() -> dict[str, int]:
            pids = {"grader": os.getpid(), "server": server._process.pid}
            found = {f"{name} fds": len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}
            for name, pid in pids.items():
                found[f"{name} RSS, kB"] = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * 4
            for name, pid in pids.items():
                found[f"{name} children"] = len(
                    Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
                )
            found["files"] = len(os.listdir(server.workdir))
            found["directories"] = len(list(Path(tempfile.gettempdir()).glob("projected-grpo-*")))
            return found

        extra = "open('scratch', 'w').write('x' * 1000)\nx = bytearray(1 << 20)\nprint('x' * 1000)\n"

        def batch(start: int, size: int) -> None:
            code = [f"```python\n{extra}{CODE.format(tag=0)}\n# leak {i}\n```" for i in range(start, start + size)]
            assert all(verdict.correct for verdict in grader.grade([(PROBLEM, text) for text in code]))

        batch(-12_000, min(12_000, count))  # fills the bounded memory of verdicts, which is no leak
        before = usage()
        for start in range(0, count, 500):
            batch(start, min(500, count - start))
        after = usage()
    rows = [f"| {name} | {value} | {after[name]} |" for name, value in before.items()]
    return "\n".join([f"| over {count} submissions | before | after |\n| --- | --- | --- |", *rows, ""])


if __name__ == "__main__":
    main()
