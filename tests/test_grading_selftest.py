"""The start-up self-test: it passes here, and with any one layer of the confinement taken away it refuses."""

import shutil
from pathlib import Path

import pytest
from grading_harness import HONEST, doubling, fenced, sandboxes

import projected_grpo
from projected_grpo.grading import Grader, GraderError, bubblewrap, worker

PACKAGE = Path(projected_grpo.__file__).parent
LAYERS = {
    "landlock": ("            self._check(self._libc.syscall(_RESTRICT_SELF, self._ruleset.fileno(), 0))\n", ""),
    "seccomp": ("        self._check(self._libc.syscall(*self._load))\n", ""),
    "threads only": (", args=[(0, seccompy.CmpOp.MASKED_EQ, _THREAD, _THREAD)]", ""),
    "memory": ("            resource.RLIMIT_AS: MEMORY_BYTES,\n", ""),
    "private mappings only": (", args=[(3, seccompy.CmpOp.MASKED_EQ, 0, _MAP_SHARED)]", ""),
    "truncation": ("scoped=Scope.SIGNAL", "handled_fs=landlockpy.flags.fs_for_abi(2), scoped=Scope.SIGNAL"),
    "limits stay": (", args={0: 0, 2: 0}", ""),
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of what the server executes, used in place of the real one."""
    for part in ("grading", "environment"):
        shutil.copytree(PACKAGE / part, tmp_path / part)
    monkeypatch.setattr(worker, "SERVER", tmp_path / "grading" / "server.py")
    return tmp_path


def test_the_unchanged_copy_passes(package):
    Grader().close()


def test_a_kernel_without_landlock_names_the_alternative(package):
    sandbox = package / "grading" / "sandbox.py"
    sandbox.write_text(sandbox.read_text() + "\nlandlockpy.supported = lambda: False\n")
    with pytest.raises(GraderError, match=r"lacks Landlock .* choose the sandbox bwrap"):
        Grader()


def test_a_landlock_that_does_not_know_truncation_is_refused(package):
    sandbox = package / "grading" / "sandbox.py"
    sandbox.write_text(sandbox.read_text() + "\nlandlockpy.abi_version = lambda: 2\n")
    with pytest.raises(GraderError, match=r"ABI 2, before Linux 6.2\) lets a file be emptied .* choose .*bwrap"):
        Grader()


def test_a_kernel_that_does_not_count_is_refused(package):
    vitals = package / "grading" / "vitals.py"
    vitals.write_text(vitals.read_text().replace('"self/io"', '"self/nothing"'))
    with pytest.raises(GraderError, match=r"cannot start: FileNotFoundError: .*self/nothing"):
        Grader()


def test_a_fork_that_the_machine_refuses_is_tried_again(package):
    refusing = """
import errno
real, tried = os.fork, []
def fork():
    tried.append(1)
    if len(tried) % 4:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return real()
os.fork = fork
"""
    sandbox = package / "grading" / "sandbox.py"
    sandbox.write_text(sandbox.read_text() + refusing)
    with Grader() as grader:
        assert grader.grade([(doubling("none"), fenced(HONEST))])[0].correct


@pytest.mark.parametrize("sandbox", sandboxes())
def test_a_child_does_not_end_before_it_is_watched(package, sandbox):
    """On a busy machine the server may look late; an ordinary user is then refused, which this does for root too."""
    late = """
import time
look = Watch.child
def late(self, handle):
    time.sleep(0.2)
    pid = _field(_read(self._open(f"self/fdinfo/{handle}")), "Pid:")
    if _read(self._open(f"{pid}/stat")).rpartition(")")[2].split()[0] == "Z":
        raise PermissionError(pid)
    return look(self, handle)
Watch.child = late
"""
    vitals = package / "grading" / "vitals.py"
    vitals.write_text(vitals.read_text() + late)
    with Grader(sandbox=sandbox) as grader:
        verdict = grader.grade([(doubling("exit_code"), fenced("raise SystemExit(False)"))])[0]
    assert verdict.exploited and verdict.passed


@pytest.mark.parametrize("sandbox", sandboxes())
def test_a_kernel_without_seccomp_grades_nothing(package, sandbox):
    source = package / "grading" / "sandbox.py"
    source.write_text(source.read_text() + "\nseccompy.supported = lambda: False\n")
    with pytest.raises(GraderError, match=r"lacks seccomp"):
        Grader(sandbox=sandbox)


def test_without_bubblewrap_its_sandbox_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GraderError, match="needs bubblewrap"):
        Grader(sandbox="bwrap+seccomp")


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(worker.sys, "platform", "darwin")
    with pytest.raises(GraderError, match=r"grading needs Linux.*not darwin"):
        Grader()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")
def test_a_namespace_that_shows_the_machine_is_refused(monkeypatch):
    def open_house(command, workdir, code):
        return ["bwrap", "--dev-bind", "/", "/", "--chdir", workdir, "--", *command]

    monkeypatch.setattr(bubblewrap, "wrapped", open_house)
    with pytest.raises(GraderError, match=r"does not confine.*can read a file outside"):
        Grader(sandbox="bwrap+seccomp")


@pytest.mark.parametrize("layer", LAYERS)
def test_without_a_layer_nothing_is_graded(package, layer):
    source = (package / "grading" / "sandbox.py").read_text()
    old, new = LAYERS[layer]
    assert source.count(old) == 1
    (package / "grading" / "sandbox.py").write_text(source.replace(old, new))
    with pytest.raises(GraderError, match="does not confine"):
        Grader()


def test_a_leaking_environment_is_refused(monkeypatch):
    monkeypatch.setenv("GRADER_TEST_SECRET", "x")
    monkeypatch.setattr(worker, "_KEPT_ENVIRONMENT", (*worker._KEPT_ENVIRONMENT, "GRADER_TEST_SECRET"))
    with pytest.raises(GraderError, match="GRADER_TEST_SECRET"):
        Grader()


def test_a_server_that_cannot_start_says_why(package):
    (package / "grading" / "sandbox.py").write_text("raise OSError('no Landlock here')")
    with pytest.raises(GraderError, match="no Landlock here"):
        Grader()
