"""Typed values as bytes: what crosses the border of the sandbox, in both directions.

1. Only exact builtin types exist: None, bool, int, float, str, bytes, list, tuple, set, frozenset, dict, and the two
   kinds of linked nodes, which only the child's encoder makes. There is no pickle, marshal or eval, so bytes from
   hostile code can mean nothing but data.
2. `decode` is total: on any bytes it returns a value or raises `WireError`, in time linear in their number. It never
   builds a set or a dict, whose keys could be chosen to collide: these arrive as `SetItems` and `DictItems`.
3. A value is one tag byte and its payload; lengths and counts are unsigned 32 bits, little endian.

Standard library only: the sandbox's server executes this file.
"""

import struct

CPU_SECONDS = 6  # of processor time, all threads of a submission together
WORKDIR_FILES = 256
RESULTS_BYTES = 1 << 24  # of all values of a submission: the same for every problem, so that it says nothing
MAX_DEPTH = 60  # of nested containers
MAX_BYTES = 1 << 26  # of one trusted value

EXIT = struct.Struct("<iqB")  # of a child's end: wait status, processor time in microseconds, the limit it broke
WITHIN, WALL, THREADS, OUTPUT = range(4)  # that limit

_U32 = struct.Struct("<I")
_F64 = struct.Struct("<d")


class WireError(ValueError):
    """A value that cannot be encoded, or bytes that are no value."""


class ListNodes(list):
    """The values of a linked list, from the head on."""


class TreeNodes(list):
    """The nodes of a binary tree in level order: [value], or None where a child is missing; none at the end."""


class SetItems(list):
    """The members of a decoded set or frozenset, in the order of arrival and perhaps repeated."""


class DictItems(list):
    """The (key, value) tuples of a decoded dict, in the order of arrival and perhaps repeated."""


_CONTAINERS = {list: b"l", tuple: b"t", set: b"S", frozenset: b"S", dict: b"d", ListNodes: b"L", TreeNodes: b"R"}
_LISTS = {b"l": list, b"S": SetItems, b"d": DictItems, b"L": ListNodes, b"R": TreeNodes}


def encode(value, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a value; raises WireError for another type, deep nesting, or more than `limit` bytes."""
    out = bytearray()
    _put(out, value, limit, 0)
    if len(out) > limit:
        raise WireError(f"the value takes more than {limit} bytes")
    return bytes(out)


def _put(out: bytearray, value, limit: int, depth: int) -> None:
    kind = type(value)
    if kind in _CONTAINERS:
        if depth >= MAX_DEPTH or len(out) + len(value) > limit:
            raise WireError("the value is nested too deeply or too long")
        out += _CONTAINERS[kind] + _U32.pack(len(value))
        for item in value:
            _put(out, item, limit, depth + 1)
            if kind is dict:
                _put(out, value[item], limit, depth + 1)
    else:
        _put_scalar(out, value, kind, limit)


def _put_scalar(out: bytearray, value, kind: type, limit: int) -> None:
    if value is None:
        out += b"N"
    elif kind is bool:
        out += b"T" if value else b"F"
    elif kind is float:
        out += b"f" + _F64.pack(value)
    elif kind is int:
        size = value.bit_length() // 8 + 1
        _reserve(out, size, limit)
        out += b"i" + _U32.pack(size) + value.to_bytes(size, "little", signed=True)
    elif kind is str:
        _reserve(out, len(value), limit)
        data = value.encode("utf-8", "surrogatepass")
        out += b"s" + _U32.pack(len(data)) + data
    elif kind is bytes:
        _reserve(out, len(value), limit)
        out += b"b" + _U32.pack(len(value)) + value
    else:
        raise WireError(f"a value of type {kind.__name__[:80]} cannot cross")


def _reserve(out: bytearray, size: int, limit: int) -> None:
    if len(out) + size > limit:
        raise WireError(f"the value takes more than {limit} bytes")


def decode(data: bytes, items: int = MAX_BYTES):
    """Return the value of these bytes, of at most so many `items` in all its containers.

    Raises WireError and nothing else. Never executes, hashes or compares.
    """
    value, end = _take(data, 0, 0, [items])
    if end != len(data):
        raise WireError("bytes are left over")
    return value


def _take(data: bytes, at: int, depth: int, room: list[int]):
    tag = data[at : at + 1]
    at += 1
    if tag == b"N":
        return None, at
    if tag in (b"T", b"F") and tag:
        return tag == b"T", at
    if tag == b"f":
        if at + 8 > len(data):
            raise WireError("truncated float")
        return _F64.unpack_from(data, at)[0], at + 8
    if at + 4 > len(data):
        raise WireError("truncated value")
    size = _U32.unpack_from(data, at)[0]
    at += 4
    if size > len(data) - at:
        raise WireError("a length or count is larger than the data")
    if tag in (b"i", b"s", b"b"):
        return _scalar(tag, data[at : at + size]), at + size
    if depth >= MAX_DEPTH:
        raise WireError("nested too deeply")
    room[0] -= size
    if room[0] < 0:
        raise WireError("too many items")
    return _container(data, at, tag, size, depth + 1, room)


def _scalar(tag: bytes, data: bytes):
    if tag == b"b":
        return data
    if tag == b"i":
        return int.from_bytes(data, "little", signed=True)
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise WireError("not UTF-8") from error


def _container(data: bytes, at: int, tag: bytes, count: int, depth: int, room: list[int]):
    if tag != b"t" and tag not in _LISTS:
        raise WireError("unknown tag")
    items = []
    for _ in range(count):
        item, at = _take(data, at, depth, room)
        if tag == b"d":
            value, at = _take(data, at, depth, room)
            item = (item, value)
        items.append(item)
    if tag == b"t":
        return tuple(items), at
    return _LISTS[tag](items), at


def build(value):
    """Return a decoded value of a trusted sender with real sets and dicts in place of their items."""
    kind = type(value)
    if kind is SetItems:
        return {build(item) for item in value}
    if kind is DictItems:
        return {build(key): build(item) for key, item in value}
    if kind in (list, tuple):
        return kind(build(item) for item in value)
    return value


def frame(value) -> bytes:
    """Return a value as one frame: its length in four bytes, then its bytes."""
    data = encode(value)
    return _U32.pack(len(data)) + data


def take_frame(buffer: bytearray, limit: int):
    """Remove and return the bytes of the first whole frame, or None if it is not there yet.

    Raises WireError as soon as the announced length exceeds `limit`, before anything is decoded.
    """
    if len(buffer) < 4:
        return None
    size = _U32.unpack_from(buffer)[0]
    if size > limit:
        raise WireError("the frame is longer than any legal one")
    if len(buffer) < 4 + size:
        return None
    data = bytes(buffer[4 : 4 + size])
    del buffer[: 4 + size]
    return data
