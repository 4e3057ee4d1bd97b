"""The fork server: one confined child per submission, and nothing else.

    python -s -P server.py CONTROL_FD WORKDIR SANDBOX      (in a scrubbed environment; started by worker.py)

1. It is exec'd, single-threaded and warm, and sees set-ups but never a submission: each child gets a socket of its
   own to the grader, so a later child can find nothing of an earlier one in the memory it inherits.
2. The grader sends b"S" with two descriptors (that socket, the pipe for standard output) to start a child, b"K" to
   kill it, b"P" with a framed text to compile the set-up that the next children share; the server answers one
   `wire.EXIT` record per child. When the grader goes away, child and server do too.
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
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "environment")]

import runner  # noqa: E402
import sandbox  # noqa: E402
import wire  # noqa: E402

# What programs import again and again; what few import costs all, because every page makes forking dearer.
_WARM = """
    abc array bisect collections collections.abc contextlib copy dataclasses datetime decimal enum fractions functools
    heapq io itertools json math numbers operator queue random re statistics string struct time types typing
"""


def main(control: socket.socket, workdir: str, landlock: bool) -> None:
    os.chdir(workdir)
    for name in _WARM.split():
        importlib.import_module(name)
    runner.warm()
    confinement = sandbox.Confinement(workdir, landlock)
    confinement.drop_capabilities()
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    sys.path[:] = [path for path in sys.path if path.startswith(library) and "site-packages" not in path]
    sys.path_importer_cache.clear()
    null = os.open(os.devnull, os.O_RDWR)
    gc.collect()
    gc.freeze()
    control.sendall(b"+")
    alive = True
    while alive:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        alive = bool(order)
        if order == b"S":
            alive = _submit(control, *descriptors, null, confinement)
        elif order == b"P":
            runner.prepare(_receive_text(control))
        # else a kill that crossed the child's own end


def _submit(control: socket.socket, channel: int, stdout: int, null: int, confinement: sandbox.Confinement) -> bool:
    """Fork a child and see it to its end; returns False when the grader has gone away."""
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            for source, target in ((null, 0), (stdout, 1), (null, 2)):
                os.dup2(source, target)
            os.close(stdout)
            os.close(null)
            control.close()
            _serve_child(channel, server, confinement)
        finally:
            os._exit(1)
    os.close(channel)
    os.close(stdout)
    return _watch(control, child)


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


def _watch(control: socket.socket, child: int) -> bool:
    """Wait for the child's end, killing it when told to; returns False when the grader has gone away."""
    handle = os.pidfd_open(child)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(handle, select.POLLIN)
    alive = True
    while handle not in dict(poller.poll()):
        alive = control.recv(1) == b"K"
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not alive:
            break
    os.close(handle)
    _, status, usage = os.wait4(child, 0)
    if alive:
        control.sendall(wire.EXIT.pack(status, int((usage.ru_utime + usage.ru_stime) * 1e6)))
    return alive


if __name__ == "__main__":
    link, directory = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    try:
        main(link, directory, landlock=sys.argv[3] == "landlock+seccomp")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
