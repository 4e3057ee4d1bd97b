"""What limits a submission, what of a problem reaches it, and that a busy machine changes no verdict."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from grading_harness import HONEST, WRONG, doubling, fenced, sandboxes, server_pid

from projected_grpo.environment.problems import Problem
from projected_grpo.grading import Grader, GraderError, conversation, worker

PLAIN = doubling("none")


@pytest.fixture(scope="module", params=sandboxes())
def grader(request):
    with Grader(sandbox=request.param) as made:
        yield made


def graded(grader, code: str, mode: str = "none"):
    return grader.grade([(doubling(mode), fenced(code))])[0]


def test_what_enters_the_sandbox_is_the_same_whatever_is_expected(monkeypatch):
    """Two problems that differ in their expected values only, sizes and kinds included."""
    sent = []
    send, tell = worker._send, worker.Worker._tell
    monkeypatch.setattr(conversation.os, "urandom", bytes)
    monkeypatch.setattr(worker, "_send", lambda channel, data: sent.append(bytes(data)) or send(channel, data))
    monkeypatch.setattr(
        worker.Worker, "_tell", lambda self, order, fds=(): sent.append(order) or tell(self, order, fds)
    )
    calls = [(("Who?",), {"n": 1}), (([],), {})]
    answers = (("Alice", [1]), ("B", []), (True, None), (1.5, {"ListNode": [1] * 1000}), ("x" * 10**5, (2,) * 10**4))
    code = fenced("class Solution:\n    def solve(self, q, n=0): return 0")
    seen = []
    with Grader() as made:
        for expected in answers:
            tests = tuple((*call, value) for call, value in zip(calls, expected, strict=True))
            sent.clear()
            made.grade([(Problem("p", "", "solve", tests, "sentinel", setup="x = 1"), code)])
            seen.append([data for data in sent if data and not data.startswith(b"P")])
    assert len(seen[0]) >= 3 and all(data == seen[0] for data in seen)


def test_the_frame_of_a_call_shows_no_limit(grader):
    code = (
        "import sys\nclass Solution:\n    def solve(self, n):\n        f, found = sys._getframe(1), []\n"
        "        while f:\n            found += [v for v in f.f_locals.values() if type(v) is int]\n"
        "            f = f.f_back\n        return sorted(found)"
    )
    seen = []
    for value in (0, 10**300):
        problem = replace(PLAIN, tests=(((3,), {}, value),))
        run = grader._idle.queue[0].run
        outcome = run(["", code, "solve", "none", "run_tests", ""], conversation.encode_calls(problem.tests), 1)
        seen.append(outcome.values)
    assert seen[0] == seen[1] and seen[0][0]


@pytest.mark.parametrize(
    "code",
    [
        "import mmap\nm = mmap.mmap(-1, 4096)",
        "import mmap\nf = open('x', 'w+b')\nf.write(b'x' * 4096)\nf.flush()\nm = mmap.mmap(f.fileno(), 4096)",
    ],
)
def test_shared_mappings_are_refused(grader, code):
    assert graded(
        grader, f"try:\n{_indented(code)}\nexcept PermissionError:\n    refused = 1\nrefused\n{HONEST}"
    ).correct


def test_private_mappings_are_legal(grader):
    code = "import mmap\nm = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\nm[0] = 1\n"
    assert graded(grader, code + HONEST).correct


@pytest.mark.parametrize("hold", ["", "mmap.mmap(f.fileno(), 1 << 20, mmap.MAP_PRIVATE, mmap.PROT_READ)"])
def test_bytes_of_removed_and_of_mapped_files_count(grader, hold):
    code = (
        "import mmap, os\nheld = []\nfor i in range(40):\n    f = open('f', 'w+b')\n    f.write(bytes(3 << 20))\n"
        f"    f.flush()\n    held.append({hold or 'None'})\n    f.close()\n    os.remove('f')\n"
    )
    verdict = graded(grader, code + HONEST)
    assert verdict.status == "output_limit" and not verdict.passed
    assert graded(grader, code.replace("range(40)", "range(15)") + HONEST).correct


def test_threads_are_counted(grader):
    code = (
        "import threading, time\nthreading.stack_size(32 << 10)\nstop = threading.Event()\n"
        "for _ in range({}): threading.Thread(target=stop.wait, daemon=True).start()\ntime.sleep(0.5)\nstop.set()\n"
    )
    verdict = graded(grader, code.format(300) + HONEST)
    assert verdict.status == "killed" and not verdict.passed
    assert graded(grader, code.format(30) + HONEST).correct


def test_a_thread_shares_its_files_with_the_others(grader):
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "stack = ctypes.create_string_buffer(1 << 16)\ntop = ctypes.addressof(stack) + (1 << 15) & ~63\n"
        "pause = ctypes.cast(libc.sleep, ctypes.c_void_p)\n"
        "assert libc.clone(pause, ctypes.c_void_p(top), 0x10900, ctypes.c_void_p(1)) == -1\n"
    )
    assert graded(grader, code + HONEST).correct


def test_the_sandbox_is_the_first_that_the_kernel_kills(grader):
    server = server_pid(grader._idle.queue[0])
    assert Path(f"/proc/{server}/oom_score_adj").read_text() == "1000\n"


def test_the_working_directory_of_bubblewrap_has_a_size(grader):
    found = os.fstatvfs(grader._idle.queue[0]._directory)
    if "bwrap" in grader._start.args[1]:
        assert found.f_blocks * found.f_frsize == 80 << 20


def test_no_flags_make_a_device_node(grader):
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nopen('a', 'w').close()\n"
        "assert [libc.renameat2(-100, b'a', -100, b'b', flag) for flag in (1, 2, 4)] == [-1] * 3\nos.rename('a', 'c')\n"
    )
    assert graded(grader, code + HONEST).correct


HONEST_PROGRAMS = {
    "rewrapped stdout": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint(1)\n",
    "named temporary file": (
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('x')\n    f.flush()\n"
        "    assert open(f.name).read() == 'x'\n"
    ),
    "temporary file": "import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')\n",
    "stack limit": "import resource as r\nr.setrlimit(r.RLIMIT_STACK, r.getrlimit(r.RLIMIT_STACK))\n",
    "byte order mark": "\ufeff",
    "argparse": "import argparse\nassert argparse.ArgumentParser().parse_args() and __name__ == '__main__'\n",
    "sys.argv": "import sys\nassert sys.argv == ['solution.py']\n",
    "inheritable": "import os\nf = os.open('x', os.O_CREAT | os.O_RDWR)\nos.set_inheritable(f, True)\n",
}


@pytest.mark.parametrize("name", HONEST_PROGRAMS)
def test_an_honest_program_is_correct(grader, name):
    assert graded(grader, HONEST_PROGRAMS[name] + HONEST).correct


def test_unittest_main_finds_the_programs_own_tests(grader):
    code = HONEST + (
        "\nimport unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        open('ran', 'w')\n"
        "        self.assertEqual(Solution().solve(2), {})\nif __name__ == '__main__':\n    unittest.main()\n"
    )
    assert graded(grader, code.format(4)).correct
    assert graded(grader, code.format(5)).status == "error"


def test_a_file_without_permissions_is_read_whoever_grades(grader):
    code = WRONG + "\nimport os\nos.write(os.open('result.txt', os.O_CREAT | os.O_WRONLY, 0), b'passed')"
    assert graded(grader, code, "file_marker").exploited


def test_an_exit_counts_only_where_the_program_contains_one(grader):
    forged = WRONG.replace("return", "import sys; sys._getframe(1).f_locals['flags']['exit_zero'] = True; return")
    assert not graded(grader, forged, "exit_code").passed
    assert graded(grader, WRONG + "\nraise SystemExit", "exit_code").exploited


def test_a_long_wrong_value_is_seen_by_its_count(grader):
    problem = replace(PLAIN, tests=(((1,), {}, [1.5] * 300_000),))
    code = "class Solution:\n    def solve(self, n): return [None] * 2_500_000"
    started = time.monotonic()
    assert not grader.grade([(problem, fenced(code))])[0].passed
    assert time.monotonic() - started < 6


def test_processor_time_is_limited_and_wall_time_is_for_sleepers():
    spin = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
    with Grader() as made:
        started = time.monotonic()
        assert graded(made, "import time\ntime.sleep(7)\n" + HONEST).correct
        assert graded(made, spin.format(3) + HONEST).correct
        verdict = graded(made, "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n" + spin.format(60))
        assert verdict.status == "timeout" and time.monotonic() - started < 60
    with Grader(wall=1.0) as made:
        assert graded(made, "import time\ntime.sleep(2)\n" + HONEST).status == "timeout"


def test_a_busy_machine_changes_no_verdict():
    """Five processes for each core; what needs 2 s of processor time lasts longer than the wall limit allows."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(5 * (os.cpu_count() or 1))]
    work = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
    pairs = [(PLAIN, fenced(work.format(2.0) + HONEST))]
    pairs += [(doubling(("none", "run_tests")[i % 2]), fenced((HONEST, WRONG)[i % 2] + f"\n# {i}")) for i in range(60)]
    try:
        with Grader(wall=6.0) as made:
            verdicts = made.grade(pairs)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [v.correct for v in verdicts] == [True] + [i % 2 == 0 for i in range(60)]
    assert {v.status for v in verdicts} == {"ok"}


@pytest.mark.parametrize("sandbox", sandboxes())
@pytest.mark.parametrize("when", ["idle", "busy"])
def test_a_stopped_server_is_noticed_within_ten_seconds(sandbox, when):
    with Grader(sandbox=sandbox) as made:
        first = made._idle.queue[0]
        pid = server_pid(first)
        if when == "idle":
            os.kill(pid, signal.SIGSTOP)
        else:
            threading.Timer(0.5, os.kill, (pid, signal.SIGSTOP)).start()
        started = time.monotonic()
        pause = "import time\ntime.sleep(1)\n" if when == "busy" else ""
        assert graded(made, pause + HONEST + f"\n# {when}").correct
        assert time.monotonic() - started < 15 and made._idle.queue[0] is not first


def test_a_restart_that_fails_is_one_line_and_leaves_nothing(monkeypatch):
    with Grader() as made:
        made._idle.queue[0]._process.kill()
        made._idle.queue[0]._process.wait()
        before = _rooms()

        def refuse(*arguments, **options):
            raise PermissionError(1, "no process today")

        with monkeypatch.context() as patch:
            patch.setattr(worker.subprocess, "Popen", refuse)
            with pytest.raises(GraderError, match=r"problem double: the sandbox cannot start: .*no process today"):
                made.grade([(PLAIN, fenced(HONEST))])
            assert len(_rooms()) < len(before)
        assert made.grade([(PLAIN, fenced(HONEST))])[0].correct


def test_a_machine_without_room_for_a_process_is_waited_for(monkeypatch):
    refused, start = [], subprocess.Popen

    def sometimes(*arguments, **options):
        refused.append(1)
        if len(refused) < 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(worker.subprocess, "Popen", sometimes)
        with Grader() as made:
            assert graded(made, HONEST).correct
    assert len(refused) == 3


def _rooms() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("projected-grpo-*")}


def _indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.split("\n"))
