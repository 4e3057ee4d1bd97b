"""The same bytes on every x86-64 processor with AVX2, whoever made it (config: portable). Standard library only.

1. torch and its libraries choose kernels by the processor, and the order in which a kernel adds is part of its result.
   VARIABLES fixes the choice; they are read when torch and numpy are imported, so they are set before.
2. MKL computes alike on Intel and AMD processors in its oldest kernels alone, and that is where the time goes
   (docs/performance.md): with MKL_CBWR=AVX2 products differ between the makers, and with AVX2,STRICT still
   those of fewer than four rows or columns (all of a token's attention), factorizations and exp do.
3. Its vector square root is not alike even in the oldest kernels; AdamW's fused form does without it.
4. How a sum is shared among threads is part of its result too: one thread, on the processor (workflow/config.py).
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from projected_grpo.errors import UserError

VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "MKL_CBWR": "COMPATIBLE",  # products, factorizations, exp
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",  # numpy's products
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # numpy's exp, log, pow
}
NEEDED = {"avx2", "fma"}  # flags of the processor
CPUINFO = Path("/proc/cpuinfo")


class PortableError(UserError, RuntimeError):
    """A processor that the portable arithmetic does not exist on."""


def compute_alike(compute: Mapping) -> None:
    """Where a rule's `compute` is portable, fix this process's arithmetic: before it imports torch or numpy.

    Raises PortableError for a processor that is no x86-64 with AVX2.
    """
    if not compute["portable"]:
        return
    missing = lacking()
    if missing:
        raise PortableError(f"portable: true needs an x86-64 processor with AVX2, and {missing}; set portable: false")
    late = sorted({"torch", "numpy"} & sys.modules.keys())
    if late:
        raise ImportError(f"{', '.join(late)} was imported before the arithmetic was fixed")
    os.environ.update(VARIABLES)


def lacking() -> str | None:
    """Return what keeps this machine from the portable arithmetic, in words; None where nothing does."""
    if platform.machine() != "x86_64":
        return f"this is {platform.machine()}"
    missing = NEEDED - _flags(CPUINFO.read_text(encoding="utf-8"))
    return f"this one lacks {' and '.join(sorted(missing))}" if missing else None


def _flags(cpuinfo: str) -> set[str]:
    """Return the flags of the first processor in the text of /proc/cpuinfo."""
    lines = (line for line in cpuinfo.splitlines() if line.startswith("flags"))
    return set(next(lines, ":").partition(":")[2].split())
