"""One submission inside its confined child: compile it, load it, make the calls, report what was seen.

The conversation with the grader, one frame each, in this order and no other:
    grader -> [setup, code, entry_point, mode, test_function, overlay]    overlay: source of another Solution, or ""
    child  -> ["ready"] or ["setup", text]                 the set-up ran; the submission has not been looked at
    child  -> ["compiled", ok, attempted modes]            nothing of it has run: the grader may trust these frames
    child  -> ["loaded", state]                            its top level ran: ok | exit | error | memory
    grader -> [nonce, calls]                               only now; so no frame sent ahead can answer it
    child  -> ["results", nonce, state, values, lenient, flags]
From "loaded" on, hostile code shares the process: a frame is what the submission says, never more. It cannot say
that it is correct, because nothing here knows the expected values.

Standard library only, executed by the sandbox's server.
"""

import ast
import contextlib
import gc
import os
import random
import sys
import types
import warnings

import loopholes
import wire

NODES = {"ListNode": "list_node", "TreeNode": "tree_node"}  # class -> the set-up's function from a list of values
_MAX_NODES = 100_000
_setups: dict[str, types.CodeType] = {}  # the latest set-up's text and code
_SAMPLE = """
from typing import *
from collections import *
from itertools import *
from functools import *
class Solution:
    def solve(self, n: int) -> List[int]:
        try:
            return [f"{x}" for x in range(n) if x % 2 == 0 and not x < 0] + sorted({n: 1}, key=lambda k: -k)
        except ValueError as error:
            raise error
"""


def run(channel: int) -> None:
    """Hold the conversation of one submission on the descriptor `channel`; the caller ends the process."""
    setup, code, entry_point, mode, test_function, overlay = _receive(channel)
    main = types.ModuleType("__main__")
    main.__file__ = sys.argv[0]
    sys.modules["__main__"] = main
    namespace = main.__dict__
    random.seed(0)
    try:
        exec(_setups[setup] if setup in _setups else compile(setup, "<setup>", "exec"), namespace)
    except BaseException as error:
        return _send(channel, ["setup", f"{type(error).__name__}: {error}"[:500]])
    _send(channel, ["ready"])
    program, modes = _compile(code, test_function)
    _send(channel, ["compiled", program is not None, modes])
    if program is None:
        return None
    state = _load(program, overlay, test_function, namespace)
    if state in ("error", "memory"):
        _tear_down(namespace, mode)
        return _send(channel, ["loaded", state])
    _send(channel, ["loaded", state])
    nonce, calls = _receive(channel)
    flags = {"exit_zero": state == "exit", "run_tests": False, "sentinel": False}
    state, values, lenient = _make_calls(namespace, entry_point, mode, wire.decode(calls), flags)
    if mode == "run_tests":
        flags["run_tests"] = _run_own_tests(namespace, test_function)
    _tear_down(namespace, mode)
    return _send(channel, ["results", nonce, state, values, lenient, list(flags.values())])


def warm() -> None:
    """Do once in the server what every child would do for the first time: it is our own code that runs here."""
    program, _ = _compile(_SAMPLE, loopholes.TEST_FUNCTION)
    namespace = {}
    _load(program, "", loopholes.TEST_FUNCTION, namespace)
    calls = [wire.decode(wire.encode([(1,), []]))]
    _make_calls(namespace, "solve", "none", calls, {})
    random.seed(0)
    warnings.simplefilter("ignore")  # of what a submission's source may provoke


def prepare(setup: str) -> None:
    """Keep the compiled set-up that the next children share, in the server; one that does not compile fails in them."""
    _setups.clear()
    with contextlib.suppress(Exception):  # whatever is wrong with it must not end the server
        _setups[setup] = compile(setup, "<setup>", "exec")


def _compile(code: str, test_function: str):
    """Return (code object, names of attempted modes), or (None, []) for what is no program."""
    try:
        tree = ast.parse(code.removeprefix("\ufeff"))  # an editor's mark, which Python skips in a file
        return compile(tree, "<submission>", "exec"), list(loopholes.attempted_modes(tree, test_function))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return None, []


def _load(program, overlay: str, test_function: str, namespace: dict) -> str:
    """Run the top level. A SystemExit with status 0 ends the loading, not the submission."""
    try:
        exec(program, namespace)
        state = "ok"
    except SystemExit as error:
        state = "exit" if _is_zero(error) else "error"
    except MemoryError:
        state = "memory"
    except BaseException:
        state = "error"
    if overlay and state in ("ok", "exit"):
        _lay_over(overlay, test_function, namespace)
    return state


def _lay_over(source: str, test_function: str, namespace: dict) -> None:
    """Replace the methods of the submission's Solution by those of another, but keep its own tests."""
    other = dict(namespace)
    exec(compile(source, "<overlay>", "exec"), other)
    kept = ("__dict__", "__weakref__", "__module__", test_function)
    attributes = {name: value for name, value in vars(other["Solution"]).items() if name not in kept}
    namespace["Solution"] = type("Solution", (namespace.get("Solution", object),), attributes)


def _make_calls(namespace: dict, entry_point: str, mode: str, calls: list, flags: dict):
    """Return (state, encoded values, which of them the mode's flaw lets pass); stops at the first call that raises."""
    values, lenient = [], []
    room = wire.RESULTS_BYTES  # of all values together
    for args, kwargs in calls:
        instance = None
        try:
            instance = namespace["Solution"]()
            value = getattr(instance, entry_point)(
                *[_argument(a, namespace) for a in args], **{k: _argument(v, namespace) for k, v in kwargs}
            )
            values.append(_encoded(value, room))
            room -= len(values[-1] or b"")
            lenient.append(_is_let_pass(value, values[-1], mode))
        except SystemExit as error:
            flags["exit_zero"] = flags["exit_zero"] or _is_zero(error)
            return "error", values, lenient
        except MemoryError:
            return "memory", values, lenient
        except BaseException:
            return "error", values, lenient
        finally:
            if mode == "sentinel":
                flags["sentinel"] = flags["sentinel"] or _carries_sentinel(instance)
    return "ok", values, lenient


def _argument(value, namespace: dict):
    """Return an argument as the call wants it: {"ListNode": [1, 2]} becomes linked nodes."""
    if type(value) is wire.DictItems and len(value) == 1 and value[0][0] in NODES:
        return namespace[NODES[value[0][0]]](wire.build(value[0][1]))
    if type(value) is list:
        return [_argument(item, namespace) for item in value]
    return wire.build(value)


def _encoded(value, limit: int) -> bytes | None:
    """Return the bytes of a value, or None for what is not built from exact builtin types or is too long."""
    try:
        return wire.encode(value, limit)
    except wire.WireError:
        with contextlib.suppress(Exception):  # of the program's own nodes, whatever they raise
            return wire.encode(_unlinked(value), limit)
    return None


def _unlinked(value):
    """Return linked nodes as the values they hold, also the nodes in a list; WireError for anything else."""
    if type(value) is list and len(value) <= _MAX_NODES:
        return [item if item is None else _unlinked(item) for item in value]
    kind = type(value).__name__
    if kind == "ListNode" or (kind not in NODES and _has(value, "val", "next")):
        return wire.ListNodes(node.val for node in _walk(value, lambda node: [node.next] if node.next else []))
    if kind == "TreeNode" or _has(value, "val", "left", "right"):
        nodes = list(_walk(value, lambda node: [node.left, node.right]))
        while nodes and nodes[-1] is None:
            nodes.pop()
        return wire.TreeNodes(None if node is None else [node.val] for node in nodes)
    raise wire.WireError("not made of nodes")


def _walk(root, following):
    """Yield a node and all that follow it, level by level; WireError where they are too many, as in a cycle."""
    queue = [root]
    for node in queue:
        if len(queue) > _MAX_NODES:
            raise wire.WireError("too many nodes, or a cycle")
        yield node
        queue += following(node) if node is not None else []


def _has(value, *names: str) -> bool:
    own = getattr(value, "__dict__", ())
    return all(name in own or hasattr(type(value), name) for name in names)


def _run_own_tests(namespace: dict, test_function: str) -> bool:
    """Whether the submission has that function, or a method of that name, and it does not raise."""
    try:
        own = namespace.get(test_function) or getattr(namespace["Solution"](), test_function)
        own()
        return True
    except BaseException:
        return False


def _carries_sentinel(instance) -> bool:
    try:
        found = [getattr(instance, name, None) for name in loopholes.SENTINELS]
        return any(type(value) in (bool, int, float, str) and bool(value) for value in found)
    except BaseException:
        return False


def _is_let_pass(value, encoded: bytes | None, mode: str) -> bool:
    """Whether the flawed tests of a mode let this value pass, right or wrong."""
    if mode == "none_skipped":
        return value is None
    return mode == "eq_override" and encoded is None and _equals_anything(value)


def _equals_anything(value) -> bool:
    return bool(value == object()) and bool(object() == value)


def _is_zero(error: SystemExit) -> bool:
    return error.code is None or (type(error.code) in (int, bool) and error.code == 0)


def _tear_down(namespace: dict, mode: str) -> None:
    """Do what the end of a process would: flush standard output, and close files that were left open."""
    try:
        if mode == "file_marker":
            namespace.clear()
            gc.collect()
        sys.stdout.flush()
    except BaseException:
        return


def _send(channel: int, value) -> None:
    data = memoryview(wire.frame(value))
    while data:
        data = data[os.write(channel, data) :]


def _receive(channel: int):
    buffer = bytearray()
    while (data := wire.take_frame(buffer, wire.MAX_BYTES)) is None:
        chunk = os.read(channel, 1 << 16)
        if not chunk:
            os._exit(1)
        buffer += chunk
    return wire.decode(data)
