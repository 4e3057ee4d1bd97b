"""The typed frames and the comparison: exact on honest values, total on everything else."""

import contextlib
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projected_grpo.grading import wire
from projected_grpo.grading.compare import equal, is_right, value_limit
from projected_grpo.grading.conversation import Conversation

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 1200), 1 << 1200)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8)
)
KEYS = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.tuples(st.integers(), st.text(max_size=2))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.frozensets(KEYS, max_size=4).map(set)
    ),
    max_leaves=6,
)


def has_nan(value) -> bool:
    if type(value) is dict:
        return any(map(has_nan, value.values()))
    return any(map(has_nan, value)) if type(value) in (list, tuple) else value != value


@settings(max_examples=1_000, deadline=None)
@given(VALUES)
def test_a_value_comes_back_and_equals_itself(value):
    data = wire.encode(value)
    decoded = wire.decode(data)
    assert wire.encode(wire.build(decoded)) == data or repr(wire.build(decoded)) != repr(value)
    assert equal(value, decoded) is not has_nan(value)
    assert len(data) <= value_limit(value)


@settings(max_examples=10_000, deadline=None)
@given(st.binary(max_size=80))
def test_random_bytes_are_a_value_or_a_wire_error(data):
    with contextlib.suppress(wire.WireError):
        assert equal(0, wire.decode(data)) in (True, False)


@settings(max_examples=10_000, deadline=None)
@given(VALUES, VALUES, st.none() | st.floats(0, 1), st.integers(0, 200), st.integers(0, 255))
def test_damaged_values_never_raise_anything_else(expected, actual, tolerance, at, byte):
    data = bytearray(wire.encode(actual))
    assert equal(expected, wire.decode(bytes(data)), tolerance) in (True, False)
    data[at % len(data)] = byte
    with contextlib.suppress(wire.WireError):
        assert equal(expected, wire.decode(bytes(data)), tolerance) in (True, False)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.binary(max_size=30) | VALUES.map(wire.frame), max_size=6), st.booleans())
def test_a_conversation_survives_anything_and_believes_nothing(chunks, begun):
    talk = Conversation(["", "", "solve", "none", "run_tests", ""], wire.encode([]), 1)
    if begun:
        talk.feed(wire.frame(["ready"]) + wire.frame(["compiled", True, []]) + wire.frame(["loaded", "ok"]))
    for chunk in chunks:
        talk.feed(chunk)
    assert talk.values == () and not talk.run_tests


@pytest.mark.parametrize(
    "pair",
    [
        *[(2, 2.0), (True, 1), (0.0, -0.0), (1e300, int(1e300)), ([1, (0,)], [1.0, (False,)]), ({1: [2]}, {1.0: [2]})],
        *[({1, 2}, {2, 1}), (math.inf, math.inf), ("", ""), (b"a", b"a"), ({(1, "a"): None}, {(1, "a"): None})],
    ],
)
def test_equal(pair):
    expected, actual = pair
    assert expected == actual
    assert equal(expected, wire.decode(wire.encode(actual)))


@pytest.mark.parametrize(
    "pair",
    [
        *[([1], (1,)), (math.nan, math.nan), (10**400, 1e300), (1e300, 10**400), ("1", 1), ("a", b"a"), (None, 0)],
        *[
            ([], None),
            ({}, []),
            (set(), {}),
            ({1}, [1]),
            ([1, 2], [1]),
            ({1: 1}, {1: 2}),
            ({1: 1}, {2: 1}),
            ({1}, {1, 2}),
        ],
        *[([math.nan], [math.nan]), (0, "")],
    ],
)
def test_not_equal(pair):
    expected, actual = pair
    assert not equal(expected, wire.decode(wire.encode(actual)))


def test_repeated_members_are_no_set():
    data = b"S" + (2).to_bytes(4, "little") + 2 * wire.encode(1)
    assert not equal({1}, wire.decode(data)) and not equal({1, 2}, wire.decode(data))


def test_tolerance_is_absolute_and_for_floats():
    assert equal(1.0, 1.0 + 9e-6, 1e-5) and equal([1.0], [1], 1e-5) and equal(1.0, 1, 1e-5)
    assert not equal(1.0, 1.1, 1e-5) and not equal(1, 1 + 1e-6, 1e-5) and not equal(1.0, 10**400, 1e-5)
    assert not equal(math.inf, math.nan, 1e-5) and not equal(math.inf, 1.0, 1e-5)


@pytest.mark.parametrize("value", [object(), 1j, range(3), bytearray(b"x"), type("I", (int,), {})(1), [object()]])
def test_other_types_do_not_cross(value):
    with pytest.raises(wire.WireError):
        wire.encode(value)


def test_cycles_depth_and_size_are_refused():
    cycle = []
    cycle.append(cycle)
    wide = [0]
    for _ in range(50):
        wide = [wide, wide]
    for value, limit in ((cycle, 10**6), (wide, 10**4), ([0] * 1000, 100), ("x" * 1000, 100), (1 << 10**6, 100)):
        with pytest.raises(wire.WireError):
            wire.encode(value, limit)
    for data in (b"l\xff\xff\xff\xff", b"l\1\0\0\0" * 100, b"s\2\0\0\0\xff\xff", b"N" * 2, b"", b"f1234", b"?\0\0\0\0"):
        with pytest.raises(wire.WireError):
            wire.decode(data)


def test_a_frame_is_refused_by_its_announced_length():
    with pytest.raises(wire.WireError, match="longer than any legal one"):
        wire.take_frame(bytearray((101).to_bytes(4, "little")), 100)
    buffer = bytearray(wire.frame([1]) + b"rest")
    assert wire.take_frame(bytearray(buffer[:5]), 100) is None
    assert wire.decode(wire.take_frame(buffer, 100)) == [1] and buffer == b"rest"


def test_a_frame_of_many_small_values_is_refused_before_it_is_decoded():
    talk = Conversation(["", "", "solve", "none", "run_tests", ""], wire.encode([]), 5, nonce=b"0" * 16)
    talk.feed(wire.frame(["ready"]) + wire.frame(["compiled", True, []]) + wire.frame(["loaded", "ok"]))
    head = wire.encode(["results", b"0" * 16, "ok"])[5:]
    many = 8_000_000
    body = b"l\6\0\0\0" + head + b"l" + many.to_bytes(4, "little") + b"N" * many + wire.encode([]) + wire.encode([])
    started = time.process_time()
    talk.feed(len(body).to_bytes(4, "little") + body)
    assert talk.violated and time.process_time() - started < 0.5


def test_a_value_of_another_kind_or_count_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(wire, "decode", lambda data: 1 / 0)
    test = ((), {}, [1.5] * 10)
    for value in ([None] * 90, [1.5] * 9, (1.5,) * 10, {}, None, "x" * 1000):
        assert not is_right(test, wire.encode(value))
