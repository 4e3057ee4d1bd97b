"""Throughput of the grader on one core, and what it leaves behind.

    python benchmarks/grader.py [--submissions N] [--leak N] [--csv FILE]

Graded side by side, interleaved in rounds: small correct programs with 20 asserts each,
  confined    the grader as it is
  unconfined  the same fork server with no limits, no Landlock and no filter (a patched copy in a temporary directory)
  fresh       one `python -c` per submission: set-up, solution and the 20 asserts
All on the first core this process may use. `--leak N` then grades N submissions and reports what grew.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import projected_grpo
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
    parser.add_argument("--csv", type=Path, help="also write the rates here")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rates = compare(options.submissions)
    for name, values in rates.items():
        print(f"{name:<11}{statistics.median(values):8.1f} per second  ({min(values):.1f} to {max(values):.1f})")
    confined, unconfined, fresh = (statistics.median(rates[name]) for name in ("confined", "unconfined", "fresh"))
    print(f"confined / fresh {confined / fresh:.1f} x; cost of confinement {unconfined / confined:.2f} x")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            rows = [(name, number, rate) for name, values in rates.items() for number, rate in enumerate(values)]
            csv.writer(file).writerows([("variant", "round", "submissions_per_second"), *rows])
    if options.leak:
        leak(options.leak)


def compare(count: int) -> dict[str, list[float]]:
    """Return the submissions per second of each variant, one number per round."""
    rates = {"confined": [], "unconfined": [], "fresh": []}
    with Grader() as confined, unconfined_grader() as unconfined:
        for number in range(ROUNDS):
            rates["confined"].append(graded_per_second(confined, count, number))
            rates["unconfined"].append(graded_per_second(unconfined, count, number))
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
        sandbox.write_text(sandbox.read_text() + "\nConfinement.apply = lambda self, server: None\n")
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


def leak(count: int) -> None:
    """Grade `count` submissions that write files, print and allocate; print what grew here and in the server."""
    with Grader() as grader:
        server = grader._idle.queue[0]

        def usage() -> dict[str, int]:
            pids = {"grader": os.getpid(), "server": server._process.pid}
            found = {f"{name} fds": len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}
            for name, pid in pids.items():
                found[f"{name} RSS, kB"] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4
            for name, pid in pids.items():
                found[f"{name} children"] = len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
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
    for name, value in before.items():
        print(f"{name:<18}{value:>10} -> {after[name]:>10}")


if __name__ == "__main__":
    main()
