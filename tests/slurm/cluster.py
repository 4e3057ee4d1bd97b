"""A SLURM cluster of one node on this machine, made from nothing and removed without a trace.

1. The node declares more processors than the machine may have, and a GPU that only counts: jobs queue and schedule as
   on a cluster, but nothing is isolated (no cgroups). Memory is enforced by SLURM's own sampling.
2. The executor plugin's inner srun forgets SLURM_CONF, so slurm.conf must be where SLURM looks: a symlink at
   /etc/slurm/slurm.conf, for as long as the cluster lives. Everything else lies in one temporary directory.
3. The daemons stay in the foreground as our children, and are stopped by their process ids.

`python tests/slurm/cluster.py` keeps a cluster up until Ctrl-C, to try things by hand.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol")
CONF = Path("/etc/slurm/slurm.conf")
SET_ASIDE = CONF.with_name("slurm.conf.before-the-tests")

SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}({address})
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
# A credential lives 10 s, not 120: a requeued job waits for as long.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
# Bind to the host's own address only.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# The declared processors and memory count, whatever the machine has.
SlurmdParameters=config_overrides
ReturnToService=2
# squeue knows a finished job for this long; the plugin asks squeue.
MinJobAge=600
KillWait=10
AccountingStorageType=accounting_storage/none
# Without cgroups, sampling is what ends a job over its memory.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName={host} NodeAddr={address} CPUs=8 RealMemory=16000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(RuntimeError):
    """The cluster does not start; the message ends in the tail of the log that says why."""


def unavailable() -> str | None:
    """Return one line on why no cluster can be made here, or None."""
    if os.geteuid() != 0:
        return "a SLURM of our own needs root"
    missing = [command for command in COMMANDS if find(command) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    if CONF.exists() and " UP" in subprocess.run([find("scontrol"), "ping"], capture_output=True, text=True).stdout:
        return f"{CONF} belongs to a cluster that is up"
    return None


def find(command: str) -> str | None:
    """Return a command's path; daemons lie in /usr/sbin, which a PATH may lack."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextmanager
def cluster() -> Iterator[Path]:
    """Run a cluster of one idle node, and give the directory with its logs."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    daemons: list[subprocess.Popen] = []
    try:
        write_configuration(folder)
        install(folder / "slurm.conf")
        start(folder, daemons)
        yield folder
    finally:
        stop(daemons)
        uninstall(folder / "slurm.conf")
        shutil.rmtree(folder, ignore_errors=True)


def write_configuration(folder: Path) -> None:
    host = socket.gethostname().split(".")[0]
    address = socket.gethostbyname(socket.gethostname())
    controller_port, node_port = free_ports(2)
    text = SLURM_CONF.format(
        host=host, address=address, folder=folder, controller_port=controller_port, node_port=node_port
    )
    (folder / "slurm.conf").write_text(text)
    os.mknod(folder / "gpu0", stat.S_IFCHR | 0o666, os.makedev(1, 3))  # the null device, by another name
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu0\n")
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def install(conf: Path) -> None:
    """Put our slurm.conf in place, and an earlier one aside."""
    CONF.parent.mkdir(exist_ok=True)
    if CONF.is_symlink() and not CONF.exists():
        CONF.unlink()  # of a cluster that was killed
    if CONF.exists() and not SET_ASIDE.exists():
        CONF.rename(SET_ASIDE)
    CONF.unlink(missing_ok=True)
    CONF.symlink_to(conf)


def uninstall(conf: Path) -> None:
    if CONF.is_symlink() and CONF.readlink() == conf:
        CONF.unlink()
        if SET_ASIDE.exists():
            SET_ASIDE.rename(CONF)


def start(folder: Path, daemons: list[subprocess.Popen]) -> None:
    """Start munged, slurmctld and slurmd, each when the one before answers, and wait for the idle node."""
    munge = ["--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
    munge += [f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munged.seed", "--num-threads=2"]
    slurm = ["-D", "-f", str(folder / "slurm.conf")]

    def launch(command: str, arguments: list[str], ready: Callable[[], bool], sign: str) -> None:
        with (folder / f"{command}.out").open("w") as log:
            daemon = subprocess.Popen([find(command), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        daemons.append(daemon)
        deadline = time.monotonic() + 60
        while not ready():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(f"{command}: no {sign}\n{tail(folder / f'{command}.out')}")
            time.sleep(0.1)

    launch("munged", munge, (folder / "munge.socket").exists, "socket")
    launch("slurmctld", slurm, lambda: " UP" in answer("scontrol", "ping"), "answer to `scontrol ping`")
    launch("slurmd", slurm, lambda: answer("sinfo", "--noheader", "--format=%T") == "idle", "idle node")


def answer(command: str, *arguments: str) -> str:
    return subprocess.run([find(command), *arguments], capture_output=True, text=True).stdout.strip()


def tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def stop(daemons: list[subprocess.Popen]) -> None:
    """End all jobs, then the daemons, the last started first."""
    if len(daemons) == 3 and all(daemon.poll() is None for daemon in daemons):
        answer("scancel", "--user=root")
        deadline = time.monotonic() + 30
        while answer("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(0.2)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


if __name__ == "__main__":
    reason = unavailable()
    if reason:
        raise SystemExit(reason)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with cluster() as place:
        print(f"up, logs in {place}; Ctrl-C ends it", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
