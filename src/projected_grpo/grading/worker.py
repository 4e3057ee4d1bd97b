"""One fork server seen from the grader: start it, put a submission through it, watch the clock, clean up.

1. Every submission gets a fresh socket and a fresh pipe. What arrives on them is data of a hostile program: it is
   size-checked, decoded by `wire`, and checked for shape; anything unexpected ends the conversation.
2. A failure before the `ready` frame is the grader's own, and an error. After it, everything is the submission's.
3. The grader, not the server, reads and empties the working directory, when the child is dead.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from projected_grpo.environment.loopholes import Evidence
from projected_grpo.errors import UserError
from projected_grpo.grading import bubblewrap, wire
from projected_grpo.grading.conversation import Conversation
from projected_grpo.grading.verdict import Outcome

SANDBOXES = ("landlock+seccomp", "bwrap+seccomp")
SERVER = Path(__file__).with_name("server.py")
STDOUT_BYTES = 1 << 20
WORKDIR_BYTES = 64 << 20
WORKDIR_FILES = 256
RESULT_FILES = 16  # of which a verdict reads
RESULT_BYTES = 4096  # of each
_START_SECONDS = 60.0
_KILL_SECONDS = 10.0
_TICK = 0.05  # seconds between looks at the working directory
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH",)  # without it some interpreters cannot start
_CPU_LIMIT_SECONDS = 6.5


class GraderError(UserError, RuntimeError):
    """The grader itself cannot work: never the fault of a submission."""


class ServerDied(GraderError):
    """The fork server ended while it was needed."""


class Worker:
    """One server process and its working directory.

    wall     seconds that one submission may take
    sandbox  one of SANDBOXES
    """

    def __init__(self, wall: float, sandbox: str):
        if sys.platform != "linux":
            raise GraderError(f"grading needs Linux, for Landlock or namespaces and for seccomp, not {sys.platform}")
        if sandbox == "bwrap+seccomp" and shutil.which("bwrap") is None:
            raise GraderError("the sandbox bwrap+seccomp needs bubblewrap, and there is no bwrap on the PATH")
        self.wall = wall
        self._setup = ""
        self.workdir = tempfile.mkdtemp(prefix="projected-grpo-")
        self._control, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        command = [sys.executable, "-s", "-P", str(SERVER), str(theirs.fileno()), self.workdir, sandbox]
        if sandbox == "bwrap+seccomp":
            command = bubblewrap.wrapped(command, self.workdir, [SERVER.parent, SERVER.parents[1] / "environment"])
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        if not self._started():
            self._process.kill()
            self._control.close()  # or what is left of it would wait for orders, and we for its last words
            complaint = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.close()
            raise GraderError(f"the sandbox cannot start: {complaint}")

    def _started(self) -> bool:
        self._control.settimeout(_START_SECONDS)
        try:
            return self._control.recv(1) == b"+"
        except TimeoutError:
            return False

    def close(self) -> None:
        """End the server and remove the working directory; safe to call twice."""
        self._control.close()
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()
        shutil.rmtree(self.workdir, ignore_errors=True)

    def run(self, program: list, calls: bytes, limits: list[int], files: bool = False) -> Outcome:
        """Return what one submission did; raises ServerDied or GraderError, never for what the submission did.

        program  [setup, code, entry_point, mode, test_function, overlay]; calls and limits as in `Conversation`
        files    whether the verdict depends on the files that it leaves
        """
        talk, output = Conversation(program, calls, limits), bytearray()
        ours, theirs = socket.socketpair()
        stdout, stdout_end = os.pipe()
        try:
            with theirs, open(stdout_end, "wb"):
                self._prepare(program[0])
                self._tell(b"S", [theirs.fileno(), stdout_end])
            reason, status, cpu = self._observe(talk, ours, stdout, output)
        finally:
            ours.close()
            os.close(stdout)
        texts = self._result_files() if files else {}
        full = len(output) > STDOUT_BYTES or self._workdir_is_full()
        self._empty_workdir()
        if talk.setup_error or not talk.ready:
            raise GraderError(f"a submission could not be set up: {talk.setup_error or 'the child ended early'}")
        if talk.violated:
            return talk.outcome("error", Evidence())  # what else it did depends on how soon it was killed
        if reason is None:
            reason = "output_limit" if full else _fate(talk, status, cpu)
        evidence = Evidence(
            stdout=output.decode("utf-8", "replace"),
            files=texts,
            exit_zero=talk.exit_zero or (not talk.finished and status == 0),
            run_tests=talk.run_tests,
            sentinel=talk.sentinel,
        )
        return talk.outcome(reason, evidence)

    def _observe(self, talk: Conversation, channel: socket.socket, stdout: int, output: bytearray):
        """Follow a submission to its end; return (status of the limit it broke or None, wait status, CPU seconds)."""
        poller = select.poll()
        for descriptor in (self._control.fileno(), channel.fileno(), stdout):
            poller.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + _START_SECONDS
        _send(channel, talk.opening(), deadline)
        ready, killed, reason, record, look = False, False, None, None, time.monotonic() + _TICK
        while record is None:
            events = dict(poller.poll(1000 * max(0.0, min(deadline, look) - time.monotonic())))
            if self._control.fileno() in events:
                record = self._exit_record()
            if stdout in events and not _read_stdout(stdout, output):
                poller.unregister(stdout)
            reply = b""
            if channel.fileno() in events:
                alive, reply = _listen(talk, channel)
                if not alive:
                    poller.unregister(channel.fileno())
            now = time.monotonic()
            if talk.ready and not ready:
                ready, deadline = True, now + self.wall
            _send(channel, reply, deadline)  # a child that does not take it in time has used up its own
            now = time.monotonic()
            if record is None and not killed:
                reason = self._broken_limit(talk, output, now > look, now > deadline)
                if reason or talk.violated or (talk.finished and now > look):
                    self._tell(b"K")
                    killed, deadline = True, now + _KILL_SECONDS
            elif record is None and now > deadline:
                raise ServerDied("the sandbox's server does not answer")
            look = now + _TICK if now > look else look
        while _listen(talk, channel)[0]:
            pass
        while _read_stdout(stdout, output):
            pass
        return reason, *record

    def _broken_limit(self, talk: Conversation, output: bytearray, look: bool, late: bool) -> str | None:
        """Return the status of a submission that must be stopped; `look` at the directory as well."""
        if talk.finished or talk.violated:
            return None
        if len(output) > STDOUT_BYTES or (look and self._workdir_is_full()):
            return "output_limit"
        return "timeout" if late else None

    def _prepare(self, setup: str) -> None:
        """Have the server compile a set-up, once for all submissions that share it."""
        if setup != self._setup:
            self._tell(b"P" + wire.frame(setup))
            self._setup = setup

    def _tell(self, order: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            sent = socket.send_fds(self._control, [order], descriptors)
            self._control.sendall(order[sent:])
        except OSError as error:
            raise ServerDied(f"the sandbox's server died: {error}") from error

    def _exit_record(self) -> tuple[int, float]:
        try:
            data = self._control.recv(wire.EXIT.size, socket.MSG_WAITALL)
        except OSError as error:
            raise ServerDied(f"the sandbox's server died: {error}") from error
        if len(data) < wire.EXIT.size:
            raise ServerDied("the sandbox's server died")
        status, microseconds = wire.EXIT.unpack(data)
        return status, microseconds / 1e6

    def _workdir_is_full(self) -> bool:
        sizes = []
        for entry in _entries(self.workdir):
            with contextlib.suppress(FileNotFoundError):  # the submission is alive, and may just have removed it
                sizes.append(entry.stat(follow_symlinks=False).st_blocks * 512)
        return len(sizes) > WORKDIR_FILES or sum(sizes) > WORKDIR_BYTES

    def _result_files(self) -> dict[str, str]:
        texts = {}
        for entry in sorted(_entries(self.workdir), key=lambda entry: entry.name)[:RESULT_FILES]:
            try:
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue  # unreadable, or no regular file: nothing that reports a pass
            with open(descriptor, "rb") as file:
                texts[entry.name] = file.read(RESULT_BYTES).decode("utf-8", "replace")
        return texts

    def _empty_workdir(self) -> None:
        for entry in _entries(self.workdir):
            os.unlink(entry.path)


def _entries(directory: str) -> list[os.DirEntry]:
    with os.scandir(directory) as entries:
        return list(entries)


def _read_stdout(stdout: int, output: bytearray) -> bool:
    """Read once; False at the end of the stream. Beyond the cap, what is read is dropped."""
    data = os.read(stdout, 1 << 16)
    if len(output) <= STDOUT_BYTES:
        output += data
    return bool(data)


def _listen(talk: Conversation, channel: socket.socket) -> tuple[bool, bytes]:
    """Receive once; return whether the stream goes on, and the reply that the child is owed."""
    try:
        data = channel.recv(1 << 16)
    except OSError:
        return False, b""
    return bool(data), talk.feed(data)


def _send(channel: socket.socket, data: bytes, deadline: float) -> None:
    """Send what a child is owed; one that is gone or deaf is left to the clock and its exit record."""
    if not data:
        return
    channel.settimeout(max(0.001, deadline - time.monotonic()))
    with contextlib.suppress(OSError):
        channel.sendall(data)


def _fate(talk: Conversation, status: int, cpu: float) -> str:
    """Return the status of a submission that broke no limit of the grader's, from what it said and how it ended."""
    if talk.finished:
        return talk.state if talk.compiled else "syntax_error"
    if os.WIFSIGNALED(status):
        return "timeout" if cpu >= _CPU_LIMIT_SECONDS or os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    return "error"
