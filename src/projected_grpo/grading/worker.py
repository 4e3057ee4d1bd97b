"""One fork server seen from the grader: start it, put a submission through it, watch the clock, clean up.

1. Every submission gets a fresh socket and a fresh pipe. What arrives on them is data of a hostile program: it is
   size-checked, decoded by `wire`, and checked for shape; anything unexpected ends the conversation.
2. A failure before the `ready` frame is the grader's own, and an error. After it, everything is the submission's.
3. The grader, not the server, reads and empties the working directory, when the child is dead.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from projected_grpo.environment.loopholes import Evidence
from projected_grpo.grading import wire
from projected_grpo.grading.conversation import Conversation
from projected_grpo.grading.verdict import Outcome

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


class GraderError(RuntimeError):
    """The grader itself cannot work: never the fault of a submission."""


class ServerDied(GraderError):
    """The fork server ended while it was needed."""


class Worker:
    """One server process and its working directory; `wall` is the limit of one submission in seconds."""

    def __init__(self, wall: float):
        if sys.platform != "linux":
            raise GraderError(f"grading needs Linux with Landlock and seccomp, not {sys.platform}")
        self.wall = wall
        self.workdir = tempfile.mkdtemp(prefix="projected-grpo-")
        self._control, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        command = [sys.executable, "-s", "-P", str(SERVER)]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), self.workdir],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._control.settimeout(_START_SECONDS)
        if self._control.recv(1) != b"+":
            complaint = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.close()
            raise GraderError(f"the sandbox cannot start: {complaint}")

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

        program  [setup, code, entry_point, mode, overlay]; calls and limits as in `Conversation`
        files    whether the verdict depends on the files that it leaves
        """
        talk = Conversation(program, calls, limits)
        ours, theirs = socket.socketpair()
        stdout, stdout_end = os.pipe()
        output = bytearray()
        try:
            try:
                socket.send_fds(self._control, [b"S"], [theirs.fileno(), stdout_end])
            except OSError as error:
                raise ServerDied(f"the sandbox's server died: {error}") from error
            finally:
                theirs.close()
                os.close(stdout_end)
            ours.settimeout(self.wall)
            reason, status, cpu = self._observe(talk, ours, stdout, output)
            evidence = Evidence(
                stdout=output.decode("utf-8", "replace"),
                files=self._result_files() if files else {},
                exit_zero=talk.exit_zero
                or (not talk.finished and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0),
                run_tests=talk.run_tests,
                sentinel=talk.sentinel,
            )
        finally:
            ours.close()
            os.close(stdout)
            self._empty_workdir()
        return talk.outcome(reason or _fate(talk, status, cpu), evidence)

    def _observe(self, talk: Conversation, channel: socket.socket, stdout: int, output: bytearray):
        """Follow a submission to its end; return (limit it broke or None, wait status, processor seconds)."""
        channel.sendall(talk.opening())
        poller = select.poll()
        for descriptor in (self._control.fileno(), channel.fileno(), stdout):
            poller.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + _START_SECONDS
        ready, reason, record = False, None, None
        while record is None:
            events = dict(poller.poll(1000 * max(0.0, min(deadline - time.monotonic(), _TICK))))
            if self._control.fileno() in events:
                record = self._exit_record()
            if stdout in events and not _read_stdout(stdout, output):
                poller.unregister(stdout)
            if channel.fileno() in events and not _converse(talk, channel):
                poller.unregister(channel.fileno())
            if talk.ready and not ready:
                ready, deadline = True, time.monotonic() + self.wall
            if reason is None and record is None:
                reason = self._broken_limit(talk, output, events, deadline)
                if reason is not None:
                    self._control.sendall(b"K")
                    deadline = time.monotonic() + _KILL_SECONDS
            elif record is None and time.monotonic() > deadline:
                raise ServerDied("the sandbox's server does not answer")
        while _converse(talk, channel):
            pass
        while _read_stdout(stdout, output):
            pass
        if talk.setup_error or not talk.ready:
            raise GraderError(f"a submission could not be set up: {talk.setup_error or 'the child ended early'}")
        if len(output) > STDOUT_BYTES and reason in (None, "finished"):
            reason = "output_limit"
        return (None if reason == "finished" else reason), *record

    def _broken_limit(self, talk: Conversation, output: bytearray, events: dict, deadline: float) -> str | None:
        if talk.violated:
            return "error"
        if talk.finished:
            return "finished"
        if len(output) > STDOUT_BYTES:
            return "output_limit"
        if time.monotonic() > deadline:
            return "timeout"
        if not events and self._workdir_is_full():
            return "output_limit"
        return None

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
        sizes = [entry.stat(follow_symlinks=False).st_blocks * 512 for entry in _entries(self.workdir)]
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


def _converse(talk: Conversation, channel: socket.socket) -> bool:
    """Receive once and reply; False at the end of the stream. A child that does not listen is left to the clock."""
    try:
        data = channel.recv(1 << 16)
        reply = talk.feed(data)
        if reply:
            channel.sendall(reply)
    except OSError:
        return False
    return bool(data)


def _fate(talk: Conversation, status: int, cpu: float) -> str:
    """Return the status of a submission that broke no limit of the grader's, from what it said and how it ended."""
    if talk.violated:
        return "error"
    if talk.finished:
        return talk.state if talk.compiled else "syntax_error"
    if os.WIFSIGNALED(status):
        return "timeout" if cpu >= _CPU_LIMIT_SECONDS or os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    return "error"
