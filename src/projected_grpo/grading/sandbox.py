"""Confinement of one submission: resource limits, Landlock, a seccomp allow-list, no capabilities.

1. `Confinement` is prepared once in the server: landlockpy opens the rules and seccompy compiles the filter. `apply`
   is what a freshly forked child does before it has seen a byte of the submission: a handful of plain system calls,
   because every page of Python that a child touches first is copied, and that is what forking costs.
2. Landlock leaves the interpreter's library readable and one flat working directory writable; under bwrap+seccomp the
   namespace that the server was started in (bubblewrap.py) does the same. What they do not cover (metadata, links,
   signals, sockets, processes, limits) the filter refuses with an error number.
3. Nothing is best effort in effect: the grader's self-test tries what must not work and refuses to grade if it does.

Executed by the sandbox's server, before any submission; needs Linux, landlockpy and seccompy.
"""

import ctypes
import errno
import os
import resource
import signal
import sysconfig

import landlockpy
import seccompy
import wire
from landlockpy import AccessFS, Scope

MEMORY_BYTES = 512 << 20  # address space of a submission
FILE_BYTES = 4 << 20  # of one file
OPEN_FILES = 32

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
_WORK = _READ | AccessFS.WRITE_FILE | AccessFS.MAKE_REG | AccessFS.REMOVE_FILE | AccessFS.TRUNCATE

_ALLOWED = """
    read write readv writev pread64 pwrite64 lseek close fstat stat lstat newfstatat statx access faccessat faccessat2
    open openat getdents64 getcwd unlink unlinkat rename renameat ftruncate fsync fdatasync dup dup2 dup3
    pipe2 poll ppoll select pselect6
    mremap mprotect munmap madvise brk
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
    futex sched_yield sched_getaffinity set_robust_list rseq gettid getpid getppid getuid geteuid getgid getegid
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrusage times uname sysinfo getrandom
    exit exit_group
"""
_FCNTL = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
_THREAD = 0x00010F00  # CLONE_VM | FS | FILES | SIGHAND | THREAD: all that a thread shares, or it has files of its own
_MAP_SHARED = 0x01  # such pages outlive their mapping, where no limit counts them
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_LANDLOCK_ABI = 3  # the first one that knows truncation
_RESTRICT_SELF = seccompy.syscall_nr("landlock_restrict_self")
_CAPABILITY_VERSION_3 = 0x20080522


class _SockFprog(ctypes.Structure):
    """struct sock_fprog: the number of instructions and where they are."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Confinement:
    """The prepared limits of one working directory, under Landlock or within the server's own namespace.

    workdir   the one directory that a submission may write in
    readable  a file that it may read and not change, for the self-test
    Raises OSError where the kernel lacks what the sandbox needs.
    """

    def __init__(self, workdir: str, readable: str, landlock: bool):
        if not seccompy.supported():
            raise OSError("this kernel lacks seccomp filters, without which there is no grading")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ruleset = _ruleset(workdir, readable) if landlock else None
        program = _filter().program
        self._program = ctypes.create_string_buffer(program, len(program))
        self._filter = _SockFprog(len(program) // 8, ctypes.addressof(self._program))
        self._load = (seccompy.syscall_nr("seccomp"), _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(self._filter))
        limits = {
            resource.RLIMIT_AS: MEMORY_BYTES,
            resource.RLIMIT_FSIZE: FILE_BYTES,
            resource.RLIMIT_NOFILE: OPEN_FILES,
            resource.RLIMIT_CORE: 0,
        }
        self._limits = {kind: (limit, limit) for kind, limit in limits.items()}
        self._limits[resource.RLIMIT_CPU] = (wire.CPU_SECONDS, wire.CPU_SECONDS + 1)  # SIGXCPU, then SIGKILL

    def drop_capabilities(self) -> None:
        """Leave the calling process without capabilities, so that root is an ordinary user from here on."""
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        self._check(self._libc.syscall(seccompy.syscall_nr("capset"), header, (ctypes.c_uint32 * 6)()))

    def apply(self, server: int) -> None:
        """Confine the calling process for good; `server` is the process with which it has to die."""
        self._check(self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != server:
            os._exit(1)
        for kind, limit in self._limits.items():
            resource.setrlimit(kind, limit)
        self._check(self._libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if self._ruleset is not None:
            self._check(self._libc.syscall(_RESTRICT_SELF, self._ruleset.fileno(), 0))
            self._ruleset.close()
        self._check(self._libc.syscall(*self._load))

    def _check(self, result: int) -> None:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ruleset(workdir: str, readable: str) -> landlockpy.Ruleset:
    if not landlockpy.supported():
        raise OSError("this kernel lacks Landlock (Linux 6.2, enabled in lsm=); choose the sandbox bwrap+seccomp")
    if landlockpy.abi_version() < _LANDLOCK_ABI:
        raise OSError(
            f"this kernel's Landlock (ABI {landlockpy.abi_version()}, before Linux 6.2) lets a file be emptied that may"
            " only be read; choose the sandbox bwrap+seccomp"
        )
    ruleset = landlockpy.Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET)
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *_LIBRARIES}:
        if os.path.exists(path):
            ruleset.allow_path(path, _READ if os.path.isdir(path) else AccessFS.READ_FILE)
    ruleset.allow_path(workdir, _WORK)
    ruleset.allow_path(readable, AccessFS.READ_FILE)
    ruleset.allow_path("/dev/null", AccessFS.READ_FILE | AccessFS.WRITE_FILE)
    return ruleset


def _filter() -> seccompy.Filter:
    """Return the allow-list; everything else fails with EPERM, so that a program can still say what it missed."""
    filter_ = seccompy.Filter(default=seccompy.Action.ERRNO | errno.EPERM)
    for name in _ALLOWED.split():
        if name in _known_syscalls():
            filter_.allow(name)
    filter_.allow("clone", args=[(0, seccompy.CmpOp.MASKED_EQ, _THREAD, _THREAD)])  # threads only
    filter_.errno("clone3", errno.ENOSYS)  # its flags are behind a pointer; libc then falls back to clone
    filter_.allow("mmap", args=[(3, seccompy.CmpOp.MASKED_EQ, 0, _MAP_SHARED)])
    filter_.allow("renameat2", args={4: 0})  # its flags can make a device node
    filter_.allow("prlimit64", args={0: 0, 2: 0})  # reading one's own limits
    filter_.allow("prlimit64", args={0: 0, 1: resource.RLIMIT_STACK})  # within the address space, so no limit is lifted
    filter_.errno("ioctl", errno.ENOTTY)  # what Python takes for "ask fcntl instead", in os.set_inheritable
    for command in _FCNTL:
        filter_.allow("fcntl", args={1: command})
    return filter_


def _known_syscalls() -> dict[str, int]:
    """Return the names this architecture has; arm64 lacks the older ones, such as open."""
    tables = seccompy.syscalls
    return tables.X86_64_SYSCALLS if seccompy.audit_arch() == seccompy.AUDIT_ARCH_X86_64 else tables.AARCH64_SYSCALLS
