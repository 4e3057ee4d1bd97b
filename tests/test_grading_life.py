"""How a grader lives and ends: killed servers, killed graders, batches left open, nothing that grows."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from grading_harness import HONEST, WRONG, children, doubling, fenced, sandboxes, server_pid

from projected_grpo.grading import Grader, GraderError

PLAIN = doubling("none")


def test_a_grader_closes_whatever_became_of_its_batch():
    for leave in (lambda made: made.batch(), lambda made: made.batch().__enter__()):
        made = Grader()
        leave(made)
        closing = threading.Thread(target=made.close)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()


@pytest.mark.parametrize("sandbox", sandboxes())
def test_killing_the_server_in_the_middle_of_a_batch_changes_no_verdict(sandbox):
    slow = "import time\ntime.sleep(0.02)\n"
    pairs = [(doubling("run_tests"), fenced(slow + (HONEST, WRONG)[i % 2] + f"\n# {i}")) for i in range(40)]
    with Grader(sandbox=sandbox) as made:
        first = made._idle.queue[0]

        def assassin():
            time.sleep(0.3)
            os.kill(server_pid(first), signal.SIGKILL)

        killer = threading.Thread(target=assassin)
        killer.start()
        verdicts = made.grade(pairs)
        killer.join()
        assert made._idle.queue[0] is not first
        assert first._process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)  # bubblewrap's own way to say so
        assert not os.path.exists(first.workdir)
    assert [v.correct for v in verdicts] == [i % 2 == 0 for i in range(40)]
    assert {v.status for v in verdicts} == {"ok"}


def test_a_server_that_dies_twice_on_one_submission_is_an_error_that_names_it(monkeypatch):
    with Grader() as made:
        run = type(made._idle.queue[0]).run

        def dying(self, program, *args, **kwargs):
            if "probe" not in program:  # the self-test of the new server
                self._process.kill()
                self._process.wait()
            return run(self, program, *args, **kwargs)

        monkeypatch.setattr(type(made._idle.queue[0]), "run", dying)
        with pytest.raises(GraderError, match=r"problem double: .*twice on this submission"):
            made.grade([(PLAIN, fenced(HONEST))])
        monkeypatch.undo()
        assert made.grade([(PLAIN, fenced(HONEST))])[0].correct


def test_the_server_and_its_child_end_with_the_grader():
    script = (
        "import sys, time, threading\nfrom projected_grpo.grading import Grader\n"
        "from projected_grpo.environment.problems import Problem\n"
        "g = Grader()\nw = g._idle.queue[0]\nprint(w._process.pid, w.workdir, flush=True)\n"
        "g.grade([(Problem('p', '', 'f', (((), {}, 1),)), '```\\nwhile True: pass\\n```')])\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        pid, workdir = process.stdout.readline().split()
        for _ in range(200):
            if children(int(pid)):
                break
            time.sleep(0.05)
        child = children(int(pid))[0]
        process.kill()
    for _ in range(200):
        if not any(os.path.exists(f"/proc/{p}") and _alive(p) for p in (pid, child)) and not os.path.exists(workdir):
            break
        time.sleep(0.05)
    assert not _alive(pid) and not _alive(child) and not os.path.exists(workdir)


def _alive(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_grows_over_many_submissions():
    """The benchmark does the same over 20,000."""
    with Grader() as made:
        worker = made._idle.queue[0]
        pid = worker._process.pid

        def usage():
            own, server = (len(os.listdir(f"/proc/{p}/fd")) for p in ("self", pid))
            memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return own, server, memory, len(children(pid)), os.listdir(worker.workdir), threading.active_count()

        made.grade([(PLAIN, fenced(HONEST + f"\n# warm {i}")) for i in range(50)])
        before = usage()
        code = "open('scratch', 'w').write('x')\nx = bytearray(1 << 20)\nprint(1)\n"
        made.grade([(PLAIN, fenced(code + HONEST + f"\n# {i}")) for i in range(500)])
        after = usage()
        assert after[2] <= before[2] + 64  # pages
        assert (*after[:2], *after[3:]) == (*before[:2], *before[3:])
    assert not os.path.exists(worker.workdir)
    made.close()
