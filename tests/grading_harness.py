"""A hostile submission's surroundings, and what counts as harm: shared by the tests of attacks.

Harmed means: a secret in any output, the canary directory changed, a listener reached, the sibling dead, a process or
file left over, a verdict that waits for the attack, the server dead, or the next control submission misgraded.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from projected_grpo.environment.problems import Problem
from projected_grpo.grading import SANDBOXES

SECRET = "CANARY-5a17c0de"
WALL = 2.0
HELD_UP = 5  # seconds beyond WALL: more than a busy machine adds, less than the shortest attack that sleeps, 8 in all
HONEST = "class Solution:\n    def solve(self, n):\n        return n + n"
WRONG = "class Solution:\n    def solve(self, n):\n        return 999"


def sandboxes() -> list:
    """Return pytest's parameters: every sandbox, those that cannot run here skipped with the reason."""
    absent = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")
    return [pytest.param(name, marks=absent if "bwrap" in name else ()) for name in SANDBOXES]


def server_pid(worker) -> int:
    """Return the process id of a worker's fork server, which bubblewrap starts through two processes of its own."""
    pid = worker._process.pid
    while Path(f"/proc/{pid}/comm").read_text() == "bwrap\n":
        (pid,) = children(pid)
    return pid


def doubling(mode: str) -> Problem:
    """The problem of the attacks: solve(n) = 2n."""
    return Problem("double", "Return 2n.", "solve", tuple(((n,), {}, 2 * n) for n in (3, 0, -2, 7, 10)), mode)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


class Surroundings:
    """A directory with a secret and a unix socket, TCP and UDP listeners on loopback, and a sleeping sibling."""

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory()
        self.canary = Path(self._directory.name)
        (self.canary / "secret.txt").write_text(SECRET)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self.canary / "listener"))
        self._unix.listen()
        for listener in (self._tcp, self._udp, self._unix):
            listener.setblocking(False)
        self._sibling = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        os.environ["GRADER_TEST_SECRET"] = SECRET
        self._before = self._canary_state()
        return self

    def __exit__(self, *exception):
        del os.environ["GRADER_TEST_SECRET"]
        self._sibling.kill()
        self._sibling.wait()
        for listener in (self._tcp, self._udp, self._unix):
            listener.close()
        self._directory.cleanup()

    def fill(self, code: str) -> str:
        """Replace the placeholders of the attack file."""
        for name, value in (("CANARY_DIR", self.canary), ("PORT", self.port), ("VICTIM", self._sibling.pid)):
            code = code.replace(f"@@{name}@@", str(value))
        return code

    def _canary_state(self):
        paths = [self.canary, *sorted(self.canary.rglob("*"))]
        stats = [(str(p), p.lstat().st_mode, p.lstat().st_mtime_ns, p.lstat().st_size) for p in paths]
        return stats, (self.canary / "secret.txt").read_text()

    def _reached(self) -> bool:
        for attempt in (self._tcp.accept, self._unix.accept, lambda: self._udp.recv(10)):
            try:
                attempt()
                return True
            except BlockingIOError:
                pass
        return False

    def harms(self, grader, problem, completion):
        """Grade one attack; return its verdict and the list of harms done."""
        worker = grader._idle.queue[0]
        outputs = []
        run, worker.run = worker.run, lambda *a, **k: outputs.append(run(*a, **k)) or outputs[-1]
        server, started = server_pid(worker), time.monotonic()
        verdict = grader.grade([(problem, completion)])[0]
        took = time.monotonic() - started
        worker.run = run
        harms = []
        said = repr(outputs)
        if SECRET in said or "HARM-" in said:
            harms.append("secret or harm in output: " + said[:300])
        if took > WALL + HELD_UP:
            harms.append(f"late: {took:.1f} s")
        if self._canary_state() != self._before:
            harms.append("canary directory changed")
        if self._reached():
            harms.append("listener reached")
        if self._sibling.poll() is not None:
            harms.append("sibling dead")
        if grader._idle.queue[0] is not worker or worker._process.poll() is not None:
            harms.append("server dead")
        elif children(server) or os.listdir(worker.workdir):
            harms.append("process or file left over")
        control = grader.grade([(problem, fenced(HONEST + f"\n# {started}"))])[0]
        if not control.correct or control.status != "ok":
            harms.append(f"control misgraded: {control}")
        return verdict, harms


def children(pid: int) -> list[int]:
    """Return the live or dead children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found
