"""The grader's side of the conversation with one child: a pure state machine over bytes (frames: see runner.py).

1. It accepts exactly the frames that are due, in order, of the declared shape and size; anything else is a violation,
   and a submission that violates the protocol earns nothing, whatever it had said before.
2. The nonce leaves only after `loaded`, so frames written ahead of time are a violation too.
"""

import os
from dataclasses import dataclass, field

from projected_grpo.environment.loopholes import LOOPHOLES, Evidence
from projected_grpo.grading import wire
from projected_grpo.grading.verdict import Outcome

_SMALL_FRAME = 4096
_FRAME_ITEMS = 32  # of a frame without its values, and what it says of each
_RESULTS_FRAME = 2 * wire.RESULTS_BYTES  # values and, of each, five bytes of header and a flag
_STATES = ("ok", "error", "memory")


@dataclass
class Conversation:
    """One submission: feed it what the child sent, send what it returns.

    program  [setup, code, entry_point, mode, test_function, overlay]
    calls    the encoded list of [args, kwargs items], made by `encode_calls`
    count    how many calls these are
    """

    program: list
    calls: bytes
    count: int
    nonce: bytes = field(default_factory=lambda: os.urandom(16))
    due: str = "ready"
    violated: bool = False
    setup_error: str = ""
    compiled: bool = False
    attempted: tuple[str, ...] = ()
    state: str = ""
    values: tuple[bytes | None, ...] = ()
    lenient: tuple[bool, ...] = ()
    exit_zero: bool = False
    run_tests: bool = False
    sentinel: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    @property
    def ready(self) -> bool:
        return self.due != "ready"

    @property
    def finished(self) -> bool:
        """Whether the child has said all that it has to say."""
        return self.due == "nothing"

    def opening(self) -> bytes:
        return wire.frame(self.program)

    def feed(self, data: bytes) -> bytes:
        """Take what the child sent and return the reply that it is owed now, often none. Never raises.

        What follows the last frame is ignored: how much of it arrives depends on when the child is killed.
        """
        if self.violated or self.finished:
            return b""
        self._buffer += data
        reply = b""
        try:
            while not self.finished and (body := wire.take_frame(self._buffer, self._limit())) is not None:
                reply += self._accept(wire.decode(body, items=_FRAME_ITEMS + 2 * self.count))
        except (wire.WireError, TypeError, ValueError):
            self.violated, reply = True, b""
        return reply

    def outcome(self, status: str, evidence: Evidence) -> Outcome:
        return Outcome(status, self.compiled, self.attempted, self.values, self.lenient, evidence)

    def _limit(self) -> int:
        return _RESULTS_FRAME if self.due == "results" else _SMALL_FRAME

    def _accept(self, message) -> bytes:
        name, *rest = message
        if name == "setup" and self.due == "ready":
            self.setup_error, self.due = str(rest[0]), "nothing"
        elif name != self.due:
            raise ValueError("not the frame that is due")
        else:
            return getattr(self, f"_accept_{name}")(*rest)
        return b""

    def _accept_ready(self) -> bytes:
        self.due = "compiled"
        return b""

    def _accept_compiled(self, compiled, modes) -> bytes:
        _require(type(compiled) is bool and type(modes) is list and all(mode in LOOPHOLES for mode in modes))
        self.compiled, self.attempted = compiled, tuple(modes)
        self.due = "loaded" if compiled else "nothing"
        return b""

    def _accept_loaded(self, state) -> bytes:
        _require(state in ("ok", "exit", "error", "memory"))
        if state in ("error", "memory"):
            self.state, self.due = state, "nothing"
            return b""
        self.due = "results"
        return wire.frame([self.nonce, self.calls])

    def _accept_results(self, nonce, state, values, lenient, flags) -> bytes:
        _require(type(nonce) is bytes and nonce == self.nonce and state in _STATES)
        _require(type(values) is list and all(value is None or type(value) is bytes for value in values))
        _require(type(lenient) is list and len(lenient) == len(values) <= self.count)
        _require(type(flags) is list and all(type(flag) is bool for flag in lenient + flags))
        self.exit_zero, self.run_tests, self.sentinel = flags
        self.state, self.values, self.lenient = state, tuple(values), tuple(lenient)
        self.due = "nothing"
        return b""


def encode_calls(tests) -> bytes:
    """Return the calls of a problem's tests as bytes: arguments, and nothing that depends on an expected value."""
    return wire.encode([[args, list(kwargs.items())] for args, kwargs, _ in tests])


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("not a frame of the declared shape")
