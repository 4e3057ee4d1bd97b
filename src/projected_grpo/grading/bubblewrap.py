"""The sandbox for kernels without Landlock: the server runs in namespaces of its own, made by bubblewrap.

What it sees is what Landlock would let a submission read: the interpreter with its library, what the server executes,
one writable working directory in memory, of limited size. There is no /proc, no network, no other process, and the
rest does not exist; the directories between can be passed but not listed.
"""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

WORKDIR_BYTES = 80 << 20  # above what a submission may write, so that it meets that limit first
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/urandom")
_NEEDED_PACKAGES = ("landlockpy", "seccompy")


def wrapped(command: Sequence[str], workdir: str, code: Sequence[Path]) -> list[str]:
    """Return the command that runs `command` in `workdir`, with the directories and files `code` readable."""
    library = sysconfig.get_config_vars()
    folders = (library.get("LIBDIR", ""), *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    packages = [str(Path(importlib.util.find_spec(name).origin).parent) for name in _NEEDED_PACKAGES]
    readable = [
        *_SYSTEM,
        sys.executable,
        os.path.join(sys.prefix, "pyvenv.cfg"),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *(os.path.join(folder, library.get("INSTSONAME", "")) for folder in folders if folder),
        *packages,
        *map(str, code),
    ]
    readable = [path for path in dict.fromkeys(readable) if os.path.exists(path)]
    mounts = [part for path in readable for part in ("--ro-bind", path, path)]
    devices = [part for path in _DEVICES for part in ("--dev-bind", path, path)]
    searched = {os.path.dirname(path) for path in packages}  # Python has to list them to import
    hidden = _between(["/", *readable, *_DEVICES, workdir]) - searched
    modes = [part for path in sorted(hidden) for part in ("--chmod", "0111", path)]
    room = ["--size", str(WORKDIR_BYTES), "--tmpfs", workdir, "--chdir", workdir, *modes, "--remount-ro", "/"]
    return ["bwrap", "--unshare-all", "--die-with-parent", *mounts, *devices, *room, "--", *command]


def _between(mounts: Sequence[str]) -> set[str]:
    """Return the directories that exist only to hold the mounts."""
    parents = {parent for path in mounts for parent in Path(path).parents}
    inside = [Path(path) for path in mounts if path != "/"]
    return {str(parent) for parent in parents if not any(parent.is_relative_to(mount) for mount in inside)}
