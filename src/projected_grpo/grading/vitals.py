"""What no resource limit counts of a child, read from /proc by the server: time asleep, threads, bytes and files.

1. Wall time is for sleepers only: time in which a thread had to wait for a processor is not counted, so that a busy
   machine changes no verdict. Processor time is the kernel's to limit (sandbox.py).
2. Bytes are counted when they are written, so that a file counts which was removed again or is held by a mapping.
3. /proc is a descriptor that the grader opened: within namespaces of its own the server has none, and needs the
   child's number in the grader's.

Standard library only, executed by the sandbox's server.
"""

import os

import wire

THREADS = 64  # as many as fit into the address space with stacks of the usual size
WRITTEN_BYTES = 64 << 20  # of a submission, to whatever descriptor
_SHORT = 0.01  # seconds in which nobody writes that much
_KILLED_FIRST = 1000  # the largest oom_score_adj


class Watch:
    """Looks at the children of one server.

    proc     descriptor of the grader's /proc
    workdir  where the children write
    wall     seconds that a child may take, the time of waiting for a processor not counted; below CPU_SECONDS, where
             it is no limit for sleepers but a wish to be quick, that time counts too
    """

    def __init__(self, proc: int, workdir: str, wall: float):
        self._proc = proc
        self._wall = wall
        self.directory = os.open(workdir, os.O_RDONLY | os.O_DIRECTORY)
        os.close(self._open("self/io"))  # an OSError here, on a kernel that does not count, is better than one later
        self._waited("self")

    def close(self) -> None:
        """Give up the descriptors, in a child."""
        os.close(self._proc)
        os.close(self.directory)

    def be_the_first_to_be_killed(self) -> None:
        """Have the kernel, when memory runs out, look for victims here first; children inherit that."""
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=self._proc)
        os.write(descriptor, str(_KILLED_FIRST).encode())
        os.close(descriptor)

    def child(self, handle: int) -> "Child":
        """Return what watches the child of that pidfd, which must be alive: of a dead one the owner reads nothing."""
        pid = _field(_read(self._open(f"self/fdinfo/{handle}")), "Pid:")  # its number in the grader's namespace
        return Child(pid, self._open(f"{pid}/io"))

    def broken_limit(self, child: "Child", took: float) -> int:
        """Return the limit that a living child has broken by now (a number of `wire`), or wire.WITHIN."""
        if int(_read(self._open(f"{child.pid}/stat")).rpartition(")")[2].split()[17]) > THREADS:
            return wire.THREADS
        if child.written() > WRITTEN_BYTES or len(os.listdir(self.directory)) > wire.WORKDIR_FILES:
            return wire.OUTPUT
        if took > self._wall and took - self._forgiven(child.pid) > self._wall:
            return wire.WALL
        return wire.WITHIN

    def _forgiven(self, pid: str) -> float:
        return self._waited(pid) if self._wall >= wire.CPU_SECONDS else 0.0

    def _waited(self, pid: str) -> float:
        """Return the seconds that its most delayed thread was ready to run and did not."""
        threads = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._proc)
        try:
            return max((self._delay(f"{pid}/task/{thread}/schedstat") for thread in os.listdir(threads)), default=0.0)
        finally:
            os.close(threads)

    def _delay(self, path: str) -> float:
        try:
            return int(_read(self._open(path)).split()[1]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            return 0.0  # a thread that has just ended

    def _open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY, dir_fd=self._proc)


class Child:
    """What is open of one child."""

    def __init__(self, pid: str, io: int):
        self.pid = pid
        self._io = io

    def written(self) -> int:
        """Return the bytes that it has written so far, to files, pipes and sockets; a page of a file counts whole."""
        counts = os.pread(self._io, 4096, 0).decode()
        return max(int(_field(counts, "\nwchar:")), int(_field(counts, "\nwrite_bytes:")))

    def last_look(self, took: float) -> int:
        """Return the limit that it had broken when it ended, after `took` seconds; nobody may have waited for it."""
        too_much = took >= _SHORT and self.written() > WRITTEN_BYTES
        os.close(self._io)
        return wire.OUTPUT if too_much else wire.WITHIN


def _read(descriptor: int) -> str:
    try:
        return os.read(descriptor, 4096).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _field(text: str, name: str) -> str:
    return text.partition(name)[2].split()[0]
