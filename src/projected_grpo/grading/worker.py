"""One fork server seen from the grader: start it, put a submission through it, clean up.

1. Every submission gets a fresh socket and a fresh pipe. What arrives on them is data of a hostile program: it is
   size-checked, decoded by `wire`, and checked for shape; anything unexpected ends the conversation.
2. A failure before the `ready` frame is the grader's own, and an error. After it, everything is the submission's.
3. The server keeps the time and counts; a server that says nothing for nine seconds is taken for dead.
4. The grader, not the server, reads and empties the working directory, when the child is dead.
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
RESULT_FILES = 16  # of which a verdict reads
RESULT_BYTES = 4096  # of each
_START_SECONDS = 60.0
_SILENCE_SECONDS = 9.0  # after which a server that should say something every second is taken for dead
_END_SECONDS = 10.0  # for a server to end by itself
_TICK = 0.05  # seconds that a child which has said all gets to end
_LIMIT_STATUS = {wire.WALL: "timeout", wire.THREADS: "killed", wire.OUTPUT: "output_limit"}
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH",)  # without it some interpreters cannot start


class GraderError(UserError, RuntimeError):
    """The grader itself cannot work: never the fault of a submission."""


class ServerDied(GraderError):
    """The fork server ended while it was needed."""


class Worker:
    """One server process and its working directory.

    wall     seconds that one submission may take, the time of waiting for a processor not counted
    sandbox  one of SANDBOXES
    Raises GraderError where it cannot be started, and then leaves nothing behind.
    """

    def __init__(self, wall: float, sandbox: str):
        if sys.platform != "linux":
            raise GraderError(f"grading needs Linux, for Landlock or namespaces and for seccomp, not {sys.platform}")
        if sandbox == "bwrap+seccomp" and shutil.which("bwrap") is None:
            raise GraderError("the sandbox bwrap+seccomp needs bubblewrap, and there is no bwrap on the PATH")
        self._setup = ""
        self._process = self._control = self._directory = None
        self._room = tempfile.mkdtemp(prefix="projected-grpo-")
        self.workdir = os.path.join(self._room, "work")
        self.readable = Path(self._room, "readable")
        try:
            os.mkdir(self.workdir)
            self.readable.write_text("A submission may read this file and not change it.", encoding="utf-8")
            self._start(wall, sandbox)
        except BaseException as error:
            self.kill()
            if isinstance(error, OSError):
                raise GraderError(f"the sandbox cannot start: {error}") from error
            raise

    def _start(self, wall: float, sandbox: str) -> None:
        self._control, theirs = socket.socketpair()
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        arguments = [str(theirs.fileno()), str(proc), self._room, sandbox, str(wall)]
        command = [sys.executable, "-s", "-P", str(SERVER), *arguments]
        if sandbox == "bwrap+seccomp":
            code = [SERVER.parent, SERVER.parents[1] / "environment", self.readable]
            command = bubblewrap.wrapped(command, self.workdir, code)
        try:
            self._process = _spawn(
                command,
                pass_fds=[theirs.fileno(), proc],
                env=environment,
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as of every child: what Python remembers of the stream stays true
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(proc)
        self._process.stdout.close()
        self._directory = self._first_word()
        if self._directory is None:
            self._process.kill()
            complaint = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise GraderError(f"the sandbox cannot start: {complaint}")

    def _first_word(self) -> int | None:
        """Return the descriptor of the working directory, with which the server says that it is ready."""
        self._control.settimeout(_START_SECONDS)
        with contextlib.suppress(OSError):
            word, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
            self._control.settimeout(_SILENCE_SECONDS)
            if word == b"+":
                return descriptors[0]
        return None

    def close(self) -> None:
        """End the server and remove the working directory; safe to call twice."""
        self._control.close()  # which the server takes for its end
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """As `close`, for a server that may not listen any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stderr.close()
        if self._control is not None:
            self._control.close()
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None
        shutil.rmtree(self._room, ignore_errors=True)

    def run(self, program: list, calls: bytes, count: int, files: bool = False) -> Outcome:
        """Return what one submission did; raises ServerDied or GraderError, never for what the submission did.

        program  [setup, code, entry_point, mode, test_function, overlay]; calls and count as in `Conversation`
        files    whether the verdict depends on the files that it leaves
        """
        talk, output = Conversation(program, calls, count), bytearray()
        ours, theirs = socket.socketpair()
        stdout, stdout_end = os.pipe()
        try:
            with theirs, open(stdout_end, "wb"):
                self._prepare(program[0])
                self._tell(b"S", [theirs.fileno(), stdout_end])
            status, cpu, broken = self._observe(talk, ours, stdout, output)
        finally:
            ours.close()
            os.close(stdout)
        names = os.listdir(self._directory)
        texts = self._result_files(names) if files else {}
        for name in names:
            os.unlink(name, dir_fd=self._directory)
        if talk.setup_error or not talk.ready:
            why = talk.setup_error or "its child ended early: a set-up that exits or loops, or a machine without memory"
            raise GraderError(f"no submission can run: {why}")
        if talk.violated:
            return talk.outcome("error", Evidence())  # what else it did depends on how soon it was killed
        if len(output) > STDOUT_BYTES or len(names) > wire.WORKDIR_FILES:
            broken = wire.OUTPUT
        evidence = Evidence(
            stdout=output.decode("utf-8", "replace"),
            files=texts,
            exit_zero=talk.exit_zero or (not talk.finished and status == 0),
            run_tests=talk.run_tests,
            sentinel=talk.sentinel,
        )
        return talk.outcome(_LIMIT_STATUS.get(broken) or _fate(talk, status, cpu), evidence)

    def _observe(self, talk: Conversation, channel: socket.socket, stdout: int, output: bytearray):
        """Follow a submission to its end; return the server's record of it (see `wire.EXIT`)."""
        channel.setblocking(False)
        poller = select.poll()
        for descriptor in (self._control.fileno(), stdout):
            poller.register(descriptor, select.POLLIN)
        unsent, record, killed, listening = talk.opening(), None, False, True
        heard, last_word = time.monotonic(), None
        while record is None:
            unsent = _send(channel, unsent)
            if listening:
                poller.register(channel, select.POLLIN | (select.POLLOUT if unsent else 0))
            events = dict(poller.poll(1000 * (_TICK if talk.finished and not killed else _SILENCE_SECONDS)))
            if self._control.fileno() in events:
                record, heard = self._word(), time.monotonic()
            if stdout in events and not _read_stdout(stdout, output):
                poller.unregister(stdout)
            if events.get(channel.fileno(), 0) & ~select.POLLOUT:
                listening, reply = _listen(talk, channel)
                unsent += reply
                if not listening:
                    poller.unregister(channel)
            now = time.monotonic()
            last_word = last_word or (now if talk.finished else None)
            if record is None and not killed and _must_stop(talk, output, last_word, now):
                self._tell(b"K")
                killed = True
            if record is None and now - heard > _SILENCE_SECONDS:
                raise ServerDied("the sandbox's server does not answer")
        while _listen(talk, channel)[0] or _read_stdout(stdout, output):
            pass
        return record

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

    def _word(self) -> tuple[int, float, int] | None:
        """Receive what the server says: the record of a child's end, or None for a sign of life."""
        try:
            word = self._control.recv(1)
            data = self._control.recv(wire.EXIT.size, socket.MSG_WAITALL) if word == b"E" else b""
        except OSError as error:
            raise ServerDied(f"the sandbox's server died: {error}") from error
        if word == b".":
            return None
        if len(data) < wire.EXIT.size:
            raise ServerDied("the sandbox's server died")
        status, microseconds, broken = wire.EXIT.unpack(data)
        return status, microseconds / 1e6, broken

    def _result_files(self, names: list[str]) -> dict[str, str]:
        texts = {}
        for name in sorted(names)[:RESULT_FILES]:
            with contextlib.suppress(OSError):  # no regular file: nothing that reports a pass
                os.chmod(name, 0o600, dir_fd=self._directory)  # or root would read what others cannot
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._directory)
                with open(descriptor, "rb") as file:
                    texts[name] = file.read(RESULT_BYTES).decode("utf-8", "replace")
        return texts


def _spawn(command: Sequence[str], **options) -> subprocess.Popen:
    """Start a process, for up to a minute against a machine that has no room for another one."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return subprocess.Popen(command, **options)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


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


def _send(channel: socket.socket, data: bytes) -> bytes:
    """Send what fits now and return the rest; one that is gone or deaf is left to the clock and its exit record."""
    while data:
        try:
            data = data[channel.send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""
    return b""


def _must_stop(talk: Conversation, output: bytearray, last_word: float | None, now: float) -> bool:
    """Whether a submission may not go on: it forged, printed too much, or stays after its last word."""
    stays = last_word is not None and now - last_word > _TICK
    return talk.violated or stays or (not talk.finished and len(output) > STDOUT_BYTES)


def _fate(talk: Conversation, status: int, cpu: float) -> str:
    """Return the status of a submission that broke no counted limit, from what it said and how it ended."""
    if talk.finished:
        return talk.state if talk.compiled else "syntax_error"
    if os.WIFSIGNALED(status):
        return "timeout" if cpu >= wire.CPU_SECONDS or os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    return "error"
