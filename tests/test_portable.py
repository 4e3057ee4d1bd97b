"""The portable arithmetic: the same bytes on a processor of another maker, and refused where it does not exist."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from projected_grpo import portable
from projected_grpo.portable import VARIABLES, PortableError, compute_alike, lacking

CHAIN = Path(__file__).with_name("portable_chain.py")
EMULATOR = "qemu-x86_64"  # Debian's qemu-user
elsewhere = pytest.mark.skipif(lacking() is not None, reason=f"the portable arithmetic needs AVX2: {lacking()}")


def other_maker():
    """Return the emulator's name for a processor by the maker that did not make this one."""
    return "EPYC" if "GenuineIntel" in Path("/proc/cpuinfo").read_text() else "Haswell"


def links(*emulator):
    plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [*emulator, sys.executable, str(CHAIN)],
        env={**plain, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@elsewhere
@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"{EMULATOR} is not installed (Debian: qemu-user)")
def test_a_run_has_the_same_bytes_on_a_processor_of_another_maker():
    here = links()
    assert here == links(EMULATOR, "-cpu", other_maker())
    assert len(set(here.values())) == len(here)


def test_what_is_not_portable_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(portable, "lacking", lambda: "this is aarch64")
    before = dict(os.environ)
    compute_alike({"portable": False})
    assert os.environ == before


@elsewhere
def test_the_variables_are_set_and_only_before_torch_is_imported():
    code = (
        "import os, sys; from projected_grpo.portable import VARIABLES, compute_alike; {};"
        " compute_alike(dict(portable=True)); assert VARIABLES.items() <= os.environ.items(); import torch;"
        " print(torch.backends.cpu.get_cpu_capability())"
    )
    command = [sys.executable, "-c"]
    early = subprocess.run([*command, code.format("pass")], capture_output=True, text=True)
    late = subprocess.run([*command, code.format("import torch")], capture_output=True, text=True)
    assert early.stdout.strip() == "AVX2", early.stderr
    assert "was imported before the arithmetic was fixed" in late.stderr


def test_a_processor_without_it_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(portable.platform, "machine", lambda: "aarch64")
    with pytest.raises(PortableError, match="this is aarch64; set portable: false"):
        compute_alike({"portable": True})
    monkeypatch.setattr(portable.platform, "machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nflags\t\t: fpu sse2 avx\n\nprocessor\t: 1\nflags\t\t: avx2 fma\n"
    )
    monkeypatch.setattr(portable, "CPUINFO", tmp_path / "cpuinfo")
    with pytest.raises(PortableError, match="this one lacks avx2 and fma"):
        compute_alike({"portable": True})
