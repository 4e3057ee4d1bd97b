"""Interrupted training (method 6): a file from which a run resumes as if nothing had happened.

1. Every generator is derived from (seed, step, purpose), so the step's number stands for the state of all of them.
2. The file is written whole or not at all, names the run that it belongs to by a key, and ends in its own SHA-256.
   Whatever does not fit is refused in one line, and training begins at zero.
3. It lies in a directory that no rule declares, because Snakemake deletes declared outputs before a retry.
4. One process works on a run: it holds a lock in that directory, which the kernel takes back however the process ends.
   A training outlives a Snakemake that is killed outright.
"""

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from projected_grpo.artifacts.io import write_atomic
from projected_grpo.errors import UserError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems that are mounted without them
_DIGEST_BYTES = hashlib.sha256().digest_size


class RunTakenError(UserError, RuntimeError):
    """A run that another process is working on."""


@dataclass(frozen=True)
class Snapshot:
    """A run after `step` optimizer steps: its tensors by name, and the rows of its tables so far."""

    step: int
    tensors: Mapping[str, torch.Tensor]
    rows: Mapping[str, list[dict]]


def end_on_sigterm() -> None:
    """Let SIGTERM raise SystemExit, once: a scheduler sends it before its limit, and again while the run is saving."""

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def run_key(params: Mapping, inputs: Iterable[str | Path]) -> str:
    """Return 16 hex digits for a run's parameters and input files, these by name, size and time of change."""
    files = [(str(path), (stat := Path(path).stat()).st_size, stat.st_mtime_ns) for path in inputs]
    text = json.dumps([dict(params), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ResumeFile:
    """The snapshot of one run on disk: `directory`/`key`.snapshot."""

    def __init__(self, directory: str | Path, key: str):
        self.directory, self.key = Path(directory), key
        self.path = self.directory / f"{key}.snapshot"

    def claim(self) -> "ResumeFile":
        """Keep every other process from this directory until this one ends, and return this file.

        Raises RunTakenError where another process has it already.

        Where the file system has no locks, a line says that nothing keeps two trainings apart.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.directory / "lock", "a+", encoding="utf-8")  # noqa: SIM115, open to the end
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.seek(0)
            owner = self._lock.read() or "another process"
            raise RunTakenError(f"{self.directory}: {owner} is training this run; wait for it or end it") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print(f"{self.directory}: no locks here ({error}); nothing keeps two trainings apart", flush=True)
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {platform.node()}")
        self._lock.flush()
        return self

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file; an interruption leaves the one before."""
        rows = json.dumps(snapshot.rows, default=lambda number: number.item()).encode()
        tensors = {name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}
        tensors["rows"] = torch.frombuffer(bytearray(rows), dtype=torch.uint8)
        data = safetensors.torch.save(tensors, {"key": self.key, "step": str(snapshot.step)})
        write_atomic(self.path, lambda path: path.write_bytes(data + hashlib.sha256(data).digest()))

    def load(self) -> Snapshot | None:
        """Return the snapshot, or None where there is none or it is refused, which is said."""
        if not self.path.exists():
            return None
        data = self.path.read_bytes()
        data, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            return self._refuse("is damaged")
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if header["key"] != self.key:
            return self._refuse(f"belongs to another run ({header['key']})")
        # Copies, because the last digit of a product can depend on how its operands are aligned in memory.
        tensors = {name: tensor.clone() for name, tensor in sorted(safetensors.torch.load(data).items())}
        rows = json.loads(tensors.pop("rows").numpy().tobytes())
        print(f"resuming after step {header['step']}, from {self.path}", flush=True)
        return Snapshot(int(header["step"]), tensors, rows)

    def _refuse(self, reason: str) -> None:
        print(f"{self.path} {reason}: it is ignored, and training begins at step 1", flush=True)

    def remove(self) -> None:
        """Forget this run and all others of the directory: its outputs are complete."""
        shutil.rmtree(self.directory, ignore_errors=True)
