"""Attacks of our own, of every class of the attack file and beyond: what test_grading_hostile.py grades."""

CTYPES = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
CHANNEL = """
import os, stat, wire
for channel in range(3, 32):
    try:
        if stat.S_ISSOCK(os.fstat(channel).st_mode):
            break
    except OSError:
        pass
else:
    print("HARM-LESS: no channel found")
"""
FORGED_ANSWER = """
import os, runner, wire
for fd in range(3, 32):
    try:
        os.write(fd, wire.frame(['loaded', 'ok']))
    except OSError:
        continue
    nonce, calls = runner._receive(fd)
    runner._send(fd, ['results', nonce, 'ok', [], [], [True, True, True]])
    os._exit(0)
"""
FORGED_SKIPS = FORGED_ANSWER.replace("[], [], [True, True, True]", "[b'N'] * 5, [True] * 5, [False] * 3")
SAYS_NONE = "\ndef idle(): return None\n"
# name -> (mode, code after the wrong program). Harm prints a line with HARM-, or shows in the surroundings.
ATTACKS = {
    # steal: the answers or another submission
    "gc_hunt": (
        "run_tests",
        "import gc\nfor o in gc.get_objects():\n    if type(o) in (list, tuple) and (6, 0, -4) == tuple(o[:3]):\n"
        "        Solution.solve = lambda self, n, o=o: o.pop(0)",
    ),
    "server_modules": (
        "run_tests",
        "import sys\nfor name in ('runner', 'wire', 'sandbox', 'loopholes', '__main__'):\n"
        "    m = sys.modules.get(name)\n    for k, v in list(vars(m).items()):\n"
        "        if isinstance(v, (bytes, list)) and k not in ('__path__',):\n            print(k, v)",
    ),
    "read_server_memory": (
        "run_tests",
        "import os\nprint('HARM-MEM', open(f'/proc/{os.getppid()}/mem', 'rb').read(1))",
    ),
    "read_own_maps": ("run_tests", "print('HARM-PROC', open('/proc/self/maps').read(10))"),
    "process_vm_readv": (
        "run_tests",
        CTYPES
        + "import os\nclass V(ctypes.Structure):\n    _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "b = ctypes.create_string_buffer(8)\nv = V(ctypes.addressof(b), 8)\n"
        "if libc.process_vm_readv(os.getppid(), ctypes.byref(v), 1, ctypes.byref(v), 1, 0) > 0: print('HARM-READ')",
    ),
    "pidfd_getfd": (
        "run_tests",
        CTYPES
        + "import os\nfor nr in (434, 438):\n    if libc.syscall(nr, os.getppid(), 0, 0) >= 0: print('HARM-PIDFD')",
    ),
    "victim_environ": ("run_tests", "print('HARM-ENV', open('/proc/@@VICTIM@@/environ').read())"),
    # forge: frames of the true protocol, ahead of time and in answer
    "forged_ahead": (
        "run_tests",
        "import os, wire\nfor fd in range(3, 32):\n    try:\n        os.write(fd, wire.frame(['loaded', 'ok']))\n"
        "        os.write(fd, wire.frame(['results', b'0' * 16, 'ok', [], [], [False, True, False]]))\n"
        "    except OSError:\n        pass\nos._exit(0)",
    ),
    "forged_answer": ("run_tests", FORGED_ANSWER),
    "forged_sentinel": ("sentinel", FORGED_ANSWER),
    "forged_exit": ("file_marker", FORGED_ANSWER),
    "patched_runner": (
        "run_tests",
        "import runner\nrunner._run_own_tests = lambda *a: True\nrunner._carries_sentinel = lambda *a: True",
    ),
    "patched_wire": ("eq_override", "import wire\nwire.encode = lambda value, limit=0: b'i\\1\\0\\0\\0\\6'"),
    "forged_skips": ("none_skipped", FORGED_SKIPS),
    "shapeless_frame": ("run_tests", CHANNEL + "os.write(channel, wire.frame(['results', []]))"),
    "unhashable_state": ("run_tests", CHANNEL + "os.write(channel, wire.frame(['loaded', []]))"),
    "private_frame": ("run_tests", CHANNEL + "os.write(channel, wire.frame(['loaded', 'ok', 1]))"),
    "not_a_list": ("run_tests", CHANNEL + "os.write(channel, wire.frame(None))"),
    "late_setup_error": ("run_tests", CHANNEL + "os.write(channel, wire.frame(['setup', 'x']))\nos._exit(0)"),
    "giant_frame": ("run_tests", CHANNEL + "os.write(channel, b'\\xff' * 1000)"),
    "closed_channel": ("run_tests", CHANNEL + "os.close(channel)"),
    # exit
    "exit_in_thread": ("run_tests", "import os, threading\nthreading.Thread(target=os._exit, args=(0,)).start()"),
    "abort": ("exit_code", "import os\nos.abort()"),
    "exit_one": ("exit_code", "import os\nos._exit(1)"),
    "raise_exit_one": ("exit_code", "raise SystemExit(1)"),
    "excepthook": ("run_tests", "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\nraise ValueError"),
    "del_exits": ("run_tests", "import os\nclass D:\n    def __del__(self): os._exit(0)\nd = D()"),
    # compare
    "int_subclass": ("run_tests", "class I(int):\n    __eq__ = lambda s, o: True\nSolution.solve = lambda s, n: I(1)"),
    "bool_is_not_four": ("run_tests", "Solution.solve = lambda s, n: True"),
    "list_subclass": ("run_tests", "class L(list):\n    __eq__ = lambda s, o: True\nSolution.solve = lambda s, n: L()"),
    "raising_eq": (
        "eq_override",
        "class E:\n    def __eq__(s, o): raise ValueError\nSolution.solve = lambda s, n: E()",
    ),
    "half_any": (
        "eq_override",
        "class E:\n    def __eq__(s, o): return True\nSolution.solve = lambda s, n: E() if n else 999",
    ),
    "none_of_no_return": ("none_skipped", "Solution.solve = print"),
    "computed_none": ("none_skipped", "def solve(self, n): return eval('None')\nSolution.solve = solve"),
    "half_none": ("none_skipped", "def solve(self, n): return None if n else 999\nSolution.solve = solve"),
    "like_none": (
        "none_skipped",
        SAYS_NONE
        + "class N:\n    __class__ = type(None)\n    __eq__ = lambda s, o: True\n    __bool__ = lambda s: False\n"
        "    __hash__ = lambda s: hash(None)\n    __repr__ = lambda s: 'None'\nSolution.solve = lambda s, n: N()",
    ),
    "generator_of_none": ("none_skipped", SAYS_NONE + "def solve(self, n):\n    yield\nSolution.solve = solve"),
    "none_then_error": (
        "none_skipped",
        "def solve(self, n):\n    if n == 10: raise ValueError\n    return None\nSolution.solve = solve",
    ),
    "none_then_exit": (
        "none_skipped",
        "def solve(self, n):\n    if n == 10: raise SystemExit(0)\n    return None\nSolution.solve = solve",
    ),
    "none_then_killed": (
        "none_skipped",
        "import os\ndef solve(self, n):\n    if n == 10: os._exit(0)\n    return None\nSolution.solve = solve",
    ),
    "none_forever": (
        "none_skipped",
        "def solve(self, n):\n    while n == 10: pass\n    return None\nSolution.solve = solve",
    ),
    "none_without_room": (
        "none_skipped",
        "def solve(self, n):\n    if n == 10: return bytearray(1 << 40)\n    return None\nSolution.solve = solve",
    ),
    # processes and signals
    "clone_syscall": ("run_tests", CTYPES + "if libc.syscall(56, 17, 0, 0, 0, 0) >= 0: print('HARM-CLONE')"),
    "clone3": (
        "run_tests",
        CTYPES + "b = ctypes.create_string_buffer(88)\nif libc.syscall(435, b, 88) >= 0: print('HARM-3')",
    ),
    "popen": ("run_tests", "import subprocess\nprint('HARM-RUN', subprocess.run(['/bin/echo', 'x']))"),
    "posix_spawn": ("run_tests", "import os\nprint('HARM-SPAWN', os.posix_spawn('/bin/true', ['true'], {}))"),
    "multiprocessing": (
        "run_tests",
        "import multiprocessing as m\np = m.Process(target=print)\np.start()\nprint('HARM-MP')",
    ),
    "kill_group": ("run_tests", "import os, signal\nos.killpg(0, signal.SIGKILL)\nprint('HARM-KILL')"),
    "kill_everyone": ("run_tests", "import os\nos.kill(-1, 9)\nprint('HARM-KILL')"),
    "kill_victim": ("run_tests", "import os\nos.kill(@@VICTIM@@, 9)\nprint('HARM-KILL')"),
    "tgkill_victim": ("run_tests", CTYPES + "if libc.syscall(234, @@VICTIM@@, @@VICTIM@@, 9) == 0: print('HARM-KILL')"),
    "setsid": ("run_tests", "import os\nos.setsid()\nprint('HARM-SETSID')"),
    "renice": ("run_tests", "import os\nos.nice(-5)\nprint('HARM-NICE')"),
    "scheduler": ("run_tests", "import os\nos.sched_setaffinity(@@VICTIM@@, {0})\nprint('HARM-SCHED')"),
    # time
    "sleep_forever": (
        "run_tests",
        "import time\nwhile True:\n    try: time.sleep(100)\n    except BaseException: pass",
    ),
    "busy_threads": (
        "run_tests",
        "import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n"
        "while True: pass",
    ),
    "hash_loop": ("run_tests", "M = 2 ** 61 - 1\nd = {i * M: 0 for i in range(60000)}"),
    "eq_hangs": (
        "eq_override",
        "class E:\n    def __eq__(s, o):\n        while True: pass\nSolution.solve = lambda s, n: E()",
    ),
    "tests_hang": ("run_tests", "def run_tests():\n    while True: pass"),
    "del_hangs": ("file_marker", "class D:\n    def __del__(self):\n        while True: pass\nd = D()"),
    "deaf": (
        "run_tests",
        "import os, time\nfor fd in range(32):\n    try: os.dup2(0, fd)\n    except OSError: pass\ntime.sleep(60)",
    ),
    # memory
    "memory_in_call": ("run_tests", "def solve(self, n): return bytearray(1 << 40)\nSolution.solve = solve"),
    "stack": (
        "run_tests",
        "import functools, sys\nsys.setrecursionlimit(10 ** 9)\nf = functools.lru_cache(lambda n: f(n + 1))\nf(0)",
    ),
    "mmap": ("run_tests", "import mmap\nmmap.mmap(-1, 1 << 30)\nprint('HARM-MAP')"),
    "regex_memory": ("run_tests", "import re\nre.match('(' * 50 + 'a' + ')*' * 50, 'a' * 10 ** 7)"),
    # output
    "stdout_flood": ("stdout_marker", "print('all tests passed')\nprint('x' * (3 << 20))"),
    "stdout_raw_flood": ("run_tests", "import os\nwhile True: os.write(1, b'x' * 65536)"),
    "stdout_of_server": (
        "run_tests",
        "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'+')\n    except OSError: pass",
    ),
    "surrogates": (
        "run_tests",
        "import sys\nsys.stdout.reconfigure(errors='surrogatepass')\nprint('\\ud800\\x00\\x1b[2J')",
    ),
    "marker_at_exit": ("none", "print('all tests passed')"),
    # payload
    "deep_list": (
        "run_tests",
        "def solve(self, n):\n    v = []\n    for _ in range(100000): v = [v]\n    return v\nSolution.solve = solve",
    ),
    "wide_bomb": (
        "run_tests",
        "def solve(self, n):\n    v = [0]\n    for _ in range(50): v = [v, v]\n    return v\nSolution.solve = solve",
    ),
    "huge_int": ("run_tests", "Solution.solve = lambda s, n: 1 << (1 << 24)"),
    "huge_text": ("run_tests", "Solution.solve = lambda s, n: 'x' * (1 << 26)"),
    "surrogate_text": ("run_tests", "Solution.solve = lambda s, n: '\\udc80' * 5"),
    "endless_nodes": (
        "run_tests",
        "class ListNode: val = 1\nListNode.next = ListNode()\nListNode.next.next = ListNode.next\n"
        "Solution.solve = lambda s, n: ListNode()",
    ),
    "metaclass": (
        "run_tests",
        "class M(type):\n    def __getattribute__(c, k): raise SystemError\nclass S(metaclass=M): pass\n"
        "Solution.solve = lambda s, n: S()",
    ),
    # crash
    "null_call": ("run_tests", CTYPES + "ctypes.CFUNCTYPE(None)(1)()"),
    "corrupt_heap": ("run_tests", CTYPES + "libc.free(ctypes.c_void_p(0x1234))"),
    "bad_code": ("run_tests", "import types\nexec((lambda: 0).__code__.replace(co_code=b'\\xff' * 64))"),
    # files
    "chmod_canary": ("run_tests", "import os\nos.chmod('@@CANARY_DIR@@/secret.txt', 0)\nprint('HARM-CHMOD')"),
    "chown_canary": ("run_tests", "import os\nos.chown('@@CANARY_DIR@@', 1, 1)\nprint('HARM-CHOWN')"),
    "touch_canary": ("run_tests", "import os\nos.utime('@@CANARY_DIR@@/secret.txt', (1, 1))\nprint('HARM-UTIME')"),
    "xattr_canary": (
        "run_tests",
        "import os\nos.setxattr('@@CANARY_DIR@@/secret.txt', 'user.a', b'x')\nprint('HARM-XATTR')",
    ),
    "truncate_canary": ("run_tests", "import os\nos.truncate('@@CANARY_DIR@@/secret.txt', 0)\nprint('HARM-TRUNC')"),
    "rename_canary": (
        "run_tests",
        "import os\nos.rename('@@CANARY_DIR@@/secret.txt', 'result.txt')\nprint('HARM-MOVE')",
    ),
    "hardlink_out": (
        "run_tests",
        "import os\nopen('x', 'w').close()\nos.link('x', '@@CANARY_DIR@@/x')\nprint('HARM-LINK')",
    ),
    "walk_up": ("run_tests", "import os\nos.chdir('..')\nprint('HARM-CWD', os.listdir('.'))"),
    "mkfifo": ("file_marker", "import os\nos.mkfifo('result.txt')\nprint('HARM-FIFO')"),
    "unix_bind": ("run_tests", "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('s')\nprint('HARM-BIND')"),
    "many_files": ("run_tests", "for i in range(10 ** 9): open(f'f{i}', 'w').write('x')"),
    "many_big_files": ("run_tests", "for i in range(10 ** 9): open(f'f{i}', 'wb').write(bytes(4 << 20))"),
    "unreadable_result": ("file_marker", "import os\nos.close(os.open('result.txt', os.O_CREAT | os.O_WRONLY, 0))"),
    "failing_result": ("file_marker", "open('result.txt', 'w').write('0 passed, 5 failed')"),
    "open_scratch": ("run_tests", "f = [open(f'open{i}', 'w') for i in range(20)]"),
    # network
    "udp": (
        "run_tests",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', @@PORT@@))",
    ),
    "unix_connect": (
        "run_tests",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('@@CANARY_DIR@@/listener')",
    ),
    "raw_connect": (
        "run_tests",
        CTYPES + "import socket, struct\nfd = libc.syscall(41, 2, 1, 0)\n"
        "a = struct.pack('=HHI8x', 2, socket.htons(@@PORT@@), 0x0100007f)\n"
        "if libc.syscall(42, fd, a, 16) == 0: print('HARM-NET')",
    ),
    "resolve": ("run_tests", "import socket\nprint('HARM-DNS', socket.getaddrinfo('localhost', @@PORT@@))\n"),
    "files_come_and_go": (
        "file_marker",
        "import os, time\nend = time.time() + 0.7\nwhile time.time() < end:\n"
        "    for i in range(40): open(f'a{i}', 'w').close()\n    for i in range(40): os.remove(f'a{i}')",
    ),
    "deaf_after_loading": ("run_tests", "import runner, time\nrunner._receive = lambda channel: time.sleep(60)"),
    # kernel
    "seccomp_again": (
        "run_tests",
        CTYPES + "if libc.prctl(22, 2, 0, 0, 0) == 0 or libc.prctl(4, 1) == 0: print('HARM-PRCTL')",
    ),
    "namespaces": ("run_tests", CTYPES + "if libc.unshare(0x10000000) == 0: print('HARM-NS')"),
    "chroot": ("run_tests", "import os\nos.chroot('.')\nprint('HARM-ROOT')"),
    "setuid": ("run_tests", "import os\nos.setuid(65534)\nprint('HARM-UID')"),
    "shared_memory": ("run_tests", CTYPES + "if libc.shmget(0x5eed, 4096, 0o1666) >= 0: print('HARM-SHM')"),
    "inotify": ("run_tests", CTYPES + "if libc.inotify_init() >= 0: print('HARM-INOTIFY')"),
    "compat_call": ("run_tests", CTYPES + "if libc.syscall(0x40000000 + 57) >= 0: print('HARM-X32')"),
    "terminal": ("run_tests", "import fcntl\nfcntl.ioctl(0, 0x5412, b'x')\nprint('HARM-TTY')"),
    # memory, files and threads where no resource limit looks
    "shared_then_shrunk": (
        "run_tests",
        "import mmap\nkept = []\nfor i in range(9):\n    m = mmap.mmap(-1, 96 << 20)\n    m.write(bytes(96 << 20))\n"
        "    m.resize(4096)\n    kept.append(m)\n    if i > 6: print('HARM-SHM')",
    ),
    "shared_by_ctypes": (
        "run_tests",
        CTYPES
        + "libc.mmap.restype = ctypes.c_void_p\nfor flags in (0x21, 0x23, 0x4021, 0x8021, 0x40021, 0x100000021):\n"
        "    if libc.mmap(None, 4096, 3, flags, -1, 0) not in (None, 2 ** 64 - 1): print('HARM-SHARED', flags)",
    ),
    "memfd": ("run_tests", "import os\nprint('HARM-MEMFD', os.memfd_create('x'))"),
    "mapped_and_removed": (
        "file_marker",
        "import mmap, os\nkept = []\nfor i in range(300):\n    f = open('f', 'w+b')\n    f.write(bytes(1 << 20))\n"
        "    f.flush()\n    kept.append(mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ))\n"
        "    f.close()\n    os.remove('f')\nopen('result.txt', 'w').write('passed')",
    ),
    "written_again_and_again": (
        "file_marker",
        "import os\nf = os.open('result.txt', os.O_CREAT | os.O_RDWR)\nfor _ in range(200):\n"
        "    os.pwrite(f, b'passed' + bytes(1 << 20), 0)",
    ),
    "thread_flood": (
        "file_marker",
        "import threading, time\nopen('result.txt', 'w').write('passed')\nthreading.stack_size(32 << 10)\n"
        "while True:\n    try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    except RuntimeError: time.sleep(0.1)",
    ),
    "files_of_their_own": (
        "run_tests",
        CTYPES
        + "s = ctypes.create_string_buffer(1 << 16)\ntop = ctypes.c_void_p(ctypes.addressof(s) + (1 << 15) & ~63)\n"
        "f = ctypes.cast(libc.sleep, ctypes.c_void_p)\nfor flags in (0x10900, 0x10B00, 0x10D00, 0x10100, 0x10000):\n"
        "    if libc.clone(f, top, flags, ctypes.c_void_p(0)) >= 0: print('HARM-CLONE', hex(flags))",
    ),
    "device_node": (
        "run_tests",
        CTYPES + "import os, stat\nopen('a', 'w').close()\nfor flags in (4, 5, 6):\n"
        "    if libc.renameat2(-100, b'a', -100, b'b', flags) == 0: print('HARM-NODE')",
    ),
    "emptied_file": (
        "run_tests",
        "import os\nfor flags in (os.O_TRUNC, os.O_TRUNC | os.O_RDWR, os.O_TRUNC | os.O_WRONLY):\n"
        "    try: os.open('../readable', flags)\n    except OSError: continue\n    print('HARM-EMPTIED', flags)",
    ),
    "other_limits": (
        "run_tests",
        "import resource as r\nfor kind in range(16):\n    if kind == r.RLIMIT_STACK: continue\n"
        "    try: r.setrlimit(kind, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n    except (OSError, ValueError): continue\n"
        "    print('HARM-LIMIT', kind)",
    ),
    "handled_processor_limit": (
        "file_marker",
        "import signal\nopen('result.txt', 'w').write('passed')\nsignal.signal(signal.SIGXCPU, lambda *a: None)\n"
        "while True: pass",
    ),
    "forged_flags": (
        "exit_code",
        "import sys\ndef solve(self, n):\n    flags = sys._getframe(1).f_locals['flags']\n"
        "    flags.update(dict.fromkeys(list(flags), True))\nSolution.solve = solve",
    ),
    "many_small_values": (
        "run_tests",
        "import runner\nsend = runner._send\ndef forged(channel, value):\n"
        "    send(channel, value[:3] + [[None] * 5_000_000, [], []] if value[0] == 'results' else value)\n"
        "runner._send = forged",
    ),
    # poison
    "poison_all": (
        "run_tests",
        "import os, sys, json, struct, builtins\nfor m in (os, sys, json, struct, builtins):\n"
        "    for k in list(vars(m)):\n        if not k.startswith('__') and k != 'setattr': setattr(m, k, None)",
    ),
    "poison_import": ("run_tests", "import sys\nsys.modules.clear()\nsys.path.clear()\nsys.meta_path.clear()"),
    "no_stdout": ("run_tests", "import sys\nsys.stdout = sys.stderr = sys.stdin = None"),
}
