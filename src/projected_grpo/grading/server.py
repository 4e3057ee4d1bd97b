"""The fork server: one confined child per submission, and nothing else.

    python -s -P server.py CONTROL_FD PROC_FD ROOM SANDBOX WALL      (in a scrubbed environment; started by worker.py)

1. It is exec'd, single-threaded and warm, and sees set-ups but never a submission: each child gets a socket of its
   own to the grader, so a later child can find nothing of an earlier one in the memory it inherits.
2. It starts with b"+" and a descriptor of the working directory, through which the grader reads and empties it. Then
   the grader sends b"S" with two descriptors (that socket, the pipe for standard output) to start a child, b"K" to
   kill it, b"P" with a framed text to compile the set-up that the next children share. The server answers each child
   with b"E" and one `wire.EXIT` record, and says b"." every second until then, so that a stopped server is noticed.
3. It watches what no resource limit counts (vitals.py). When the grader goes away, child and server do too.
"""

import gc
import importlib
import os
import select
import shutil
import signal
import socket
import sys
import sysconfig
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "environment")]

import runner  # noqa: E402
import sandbox  # noqa: E402
import vitals  # noqa: E402
import wire  # noqa: E402

# What programs import again and again; what few import costs all, because every page makes forking dearer.
_WARM = """
    abc array bisect collections collections.abc contextlib copy dataclasses datetime decimal enum fractions functools
    heapq io itertools json math numbers operator queue random re statistics string struct time types typing
"""
_ARGUMENTS = ["solution.py"]  # sys.argv of every program, as of `python solution.py`
_TICK = 0.025  # seconds between looks at a child
_HEARTBEAT = 1.0  # seconds between two signs of life
_FORK_SECONDS = 60.0  # for which a fork that the machine refuses is tried again: more than a submission can last


def main(control: socket.socket, room: str, watch: vitals.Watch, landlock: bool) -> None:
    workdir, readable = os.path.join(room, "work"), os.path.join(room, "readable")
    os.chdir(workdir)
    for name in _WARM.split():
        importlib.import_module(name)
    runner.warm()
    confinement = sandbox.Confinement(workdir, readable, landlock)
    confinement.drop_capabilities()
    watch.be_the_first_to_be_killed()
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    sys.path[:] = [path for path in sys.path if path.startswith(library) and "site-packages" not in path]
    sys.path_importer_cache.clear()
    sys.argv[:], sys.orig_argv[:] = _ARGUMENTS, ["python", *_ARGUMENTS]
    null = os.open(os.devnull, os.O_RDWR)
    gc.collect()
    gc.freeze()
    socket.send_fds(control, [b"+"], [watch.directory])
    alive = True
    while alive:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        alive = bool(order)
        if order == b"S":
            alive = _submit(control, *descriptors, null, confinement, watch)
        elif order == b"P":
            runner.prepare(_receive_text(control))
        # else a kill that crossed the child's own end


def _submit(control, channel: int, stdout: int, null: int, confinement: sandbox.Confinement, watch) -> bool:
    """Fork a child and see it to its end; returns False when the grader has gone away.

    The child waits at a gate until it is watched: of one that has ended, an ordinary user may not open what counts it.
    """
    server = os.getpid()
    gate, opener = os.pipe()
    child = _fork(control)
    if child == 0:
        try:
            os.close(opener)
            os.read(gate, 1)  # nothing: the other end is closed
            os.close(gate)
            for source, target in ((null, 0), (stdout, 1), (null, 2)):
                os.dup2(source, target)
            os.close(stdout)
            os.close(null)
            control.close()
            watch.close()
            _serve_child(channel, server, confinement)
        finally:
            os._exit(1)
    for descriptor in (channel, stdout, gate):
        os.close(descriptor)
    return _see_to_its_end(control, child, opener, watch)


def _fork(control: socket.socket) -> int:
    """Fork, for up to a minute against a machine that has no room for another process."""
    deadline = time.monotonic() + _FORK_SECONDS
    while True:
        try:
            return os.fork()
        except OSError:
            if time.monotonic() > deadline:
                raise
        control.sendall(b".")
        time.sleep(0.2)


def _receive_text(control: socket.socket) -> str:
    size = int.from_bytes(control.recv(4, socket.MSG_WAITALL), "little")
    return wire.decode(control.recv(size, socket.MSG_WAITALL))


def _serve_child(channel: int, server: int, confinement: sandbox.Confinement) -> None:
    try:
        confinement.apply(server)
    except OSError as failure:
        os.write(channel, wire.frame(["setup", f"{type(failure).__name__}: {failure}"]))
        return
    runner.run(channel)


def _see_to_its_end(control: socket.socket, child: int, opener: int, watch: vitals.Watch) -> bool:
    """Let the child go, and wait for its end, killing it when told to or beyond a limit.

    Returns False when the grader has gone away.
    """
    handle = os.pidfd_open(child)
    watched = watch.child(handle)
    os.close(opener)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(handle, select.POLLIN)
    alive, broken, started, beat = True, wire.WITHIN, time.monotonic(), time.monotonic()
    while handle not in (events := dict(poller.poll(1000 * _TICK))):
        if control.fileno() in events:
            alive = control.recv(1) == b"K"
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not alive:
                break
        elif broken == wire.WITHIN and (broken := watch.broken_limit(watched, time.monotonic() - started)):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if time.monotonic() - beat > _HEARTBEAT:
            control.sendall(b".")
            beat = time.monotonic()
    broken = watched.last_look(time.monotonic() - started) or broken
    os.close(handle)
    _, status, usage = os.wait4(child, 0)
    if alive:
        control.sendall(b"E" + wire.EXIT.pack(status, int((usage.ru_utime + usage.ru_stime) * 1e6), broken))
    return alive


if __name__ == "__main__":
    link, proc, place = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    try:
        watching = vitals.Watch(proc, os.path.join(place, "work"), float(sys.argv[5]))
        main(link, place, watching, landlock=sys.argv[4] == "landlock+seccomp")
    finally:
        shutil.rmtree(place, ignore_errors=True)
