"""What must not work in the sandbox, tried at every start: by behaviour, through the path of any submission."""

import os
import socket
import tempfile
from pathlib import Path

from projected_grpo.environment.problems import Problem
from projected_grpo.grading import wire
from projected_grpo.grading.conversation import encode_calls
from projected_grpo.grading.verdict import judge
from projected_grpo.grading.worker import GraderError, Worker

_SECRET = "self-test secret"

# Returns the names of the forbidden things that worked, and of the legal ones that did not.
_PROBE = """
import ctypes, mmap, os, resource, signal, socket, tempfile, threading

def mapped():
    return bytearray(600 << 20)

def forked():
    if os.fork() == 0:
        os._exit(1)

def descriptors():
    extra = []
    for fd in range(3, 256):
        try:
            os.fstat(fd)
            extra.append(fd)
        except OSError:
            pass
    assert len(extra) > 1

def named():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("x")

def scratch():
    with open("scratch", "w") as file:
        file.write("x")
    assert open("scratch").read() == "x"
    os.remove("scratch")

def thread():
    done = []
    other = threading.Thread(target=lambda: done.append(1))
    other.start()
    other.join()
    assert done

class Solution:
    def probe(self, canary, readable, port, allowed):
        libc = ctypes.CDLL(None)
        forbidden = {
            "read a file outside": lambda: open(canary + "/secret").read(),
            "list a directory outside": lambda: os.listdir(canary),
            "write outside": lambda: open(canary + "/new", "w"),
            "write beside": lambda: open("../beside", "w"),
            "write at the root": lambda: open("/root-probe", "w"),
            "truncate outside": lambda: open(canary + "/secret", "w"),
            "empty a file that it may read": lambda: os.open(readable, os.O_RDONLY | os.O_TRUNC),
            "change the length of a file": lambda: os.truncate(canary + "/secret", 0),
            "remove outside": lambda: os.remove(canary + "/secret"),
            "change a mode": lambda: os.chmod(canary, 0o777),
            "link": lambda: os.symlink(canary, "link"),
            "make a directory": lambda: os.mkdir("directory"),
            "fork": forked,
            "execute": lambda: os.execv("/bin/true", ["true"]),
            "signal its server": lambda: os.kill(os.getppid(), 0),
            "open a socket": lambda: socket.socket(socket.AF_INET),
            "connect": lambda: socket.create_connection(("127.0.0.1", port), 1),
            "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
            "lift a limit": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)),
            "take 600 MB": mapped,
            "map shared memory": lambda: mmap.mmap(-1, 4096),
            "see other descriptors": descriptors,
            "see its parent": lambda: open("/proc/%d/environ" % os.getppid()).read(),
        }
        legal = {
            "scratch file": scratch,
            "temporary file": named,
            "thread": thread,
            "file to read": lambda: open(readable).read(),
        }
        bad = []
        for name, action in forbidden.items():
            try:
                action()
                bad.append("can " + name)
            except (OSError, MemoryError, AssertionError, ValueError):
                pass
        for name, action in legal.items():
            try:
                action()
            except Exception as error:
                bad.append("cannot use a %s: %r" % (name, error))
        if libc.ptrace(16, os.getppid(), 0, 0) == 0:
            bad.append("can trace its server")
        bad += ["sees variable " + name for name in os.environ if name not in allowed]
        return bad
"""
_ENVIRONMENT = ["PYTHONHASHSEED", "PYTHONUTF8", "MALLOC_ARENA_MAX", "LD_LIBRARY_PATH", "LC_CTYPE", "PWD"]


def check(worker: Worker) -> None:
    """Raise GraderError, naming what worked, unless confinement holds on this machine."""
    with tempfile.TemporaryDirectory() as canary, socket.create_server(("127.0.0.1", 0)) as listener:
        secret = Path(canary, "secret")
        secret.write_text(_SECRET, encoding="utf-8")
        arguments = (canary, str(worker.readable), listener.getsockname()[1], _ENVIRONMENT)
        before = worker.readable.read_text(encoding="utf-8")
        problem = Problem("self-test", "", "probe", tests=((arguments, {}, []),))
        program = ["", _PROBE, problem.entry_point, problem.mode, problem.test_function, ""]
        outcome = worker.run(program, encode_calls(problem.tests), len(problem.tests))
        untouched = os.listdir(canary) == ["secret"] and secret.read_text(encoding="utf-8") == _SECRET
        untouched = untouched and worker.readable.read_text(encoding="utf-8") == before != ""
    if not untouched or not judge(problem, outcome).correct:
        found = ", ".join(wire.decode(outcome.values[0])) if outcome.values and outcome.values[0] else ""
        raise GraderError(f"this machine does not confine submissions, so nothing is graded: {outcome.status}, {found}")
