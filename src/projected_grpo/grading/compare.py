"""Whether a returned value is right (method 4): total functions over exact builtin types, in the grading parent only.

1. Equality is Python's: 2 == 2.0 and True == 1, a list is no tuple, nan is never equal. Linked lists and trees are
   compared as the LeetCode benchmark does: by their values and shape, whatever the node's class is called.
2. How a problem compares is a key of one of two tables. Tolerance is absolute, for numbers where a float is expected.
3. Size and count are looked at before anything is decoded, so that a long wrong value costs no more than a right one.
4. Only expected values are hashed into tables, so colliding values of a submission cost nothing. Items that have no
   hash, such as dicts, or are equal within a tolerance, are matched one by one.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

from projected_grpo.grading import wire

_CHECKED_BYTES = 4096  # of a value that a checker looks at
_HEADER = 5  # bytes of a tag and a length
_COUNTED = (list, tuple, dict)


def is_right(test: tuple, data: bytes, comparison: str = "exact", tolerance: float | None = None) -> bool:
    """Whether the bytes of a returned value answer a test, (args, kwargs, expected)."""
    args, kwargs, expected = test
    checked = comparison in CHECKERS
    if len(data) > (_CHECKED_BYTES if checked else value_limit(expected)):
        return False
    if not checked and type(expected) in _COUNTED and not _is_nodes(expected) and not _counts(expected, data):
        return False
    try:
        value = wire.decode(data)
    except wire.WireError:
        return False
    return CHECKERS[comparison](args, kwargs, value) if checked else _EQUALITIES[comparison](expected, value, tolerance)


def value_limit(expected) -> int:
    """Return how many bytes the longest value that equals `expected` takes."""
    if _is_nodes(expected):
        ((_, values),) = expected.items()
        return _HEADER + sum(_HEADER + value_limit(value) for value in values)
    kind = type(expected)
    if kind in (bool, int, float):
        return _number_limit(expected)
    if kind is dict:
        return _HEADER + sum(value_limit(key) + value_limit(value) for key, value in expected.items())
    if kind in (list, tuple, set, frozenset):
        return _HEADER + sum(map(value_limit, expected))
    return len(wire.encode(expected))


def _number_limit(expected) -> int:
    """An int that equals a float has up to 1024 bits, and a bool has one byte."""
    try:
        return max(9, len(wire.encode(int(expected))) + 1)  # one more for a tolerance
    except (OverflowError, ValueError):
        return 9  # inf and nan


def _counts(expected, data: bytes) -> bool:
    """Whether the data are a container of the expected kind and number of items."""
    return data[:_HEADER] == wire.encode(type(expected)())[:1] + len(expected).to_bytes(4, "little")


def equal(expected, actual, tolerance: float | None = None) -> bool:
    """Whether a decoded value equals a trusted one."""
    kind, other = type(expected), type(actual)
    if kind in (bool, int, float):
        return other in (bool, int, float) and (expected == actual or _is_close(expected, actual, tolerance))
    if kind in (list, tuple):
        return other is kind and _all_equal(expected, actual, tolerance)
    if kind in (set, frozenset):
        return other is wire.SetItems and _covers(dict.fromkeys(expected), [(item, None) for item in actual], None)
    if _is_nodes(expected):
        return _same_nodes(expected, actual, tolerance)
    if kind is dict:
        return other is wire.DictItems and _covers(expected, actual, tolerance)
    return other is kind and expected == actual


def any_order(expected, actual, tolerance: float | None = None, inside: bool = False) -> bool:
    """As `equal`, but the items of a list may come in any order, and `inside` those of the lists in it as well, one
    level down."""
    if type(expected) is not list or type(actual) is not list:
        return equal(expected, actual, tolerance)
    if len(expected) != len(actual):
        return False
    if tolerance is not None and all(map(_is_number, [*expected, *actual])):
        return _all_equal(sorted(expected), sorted(actual), tolerance)
    try:
        wanted = Counter(_frozen(item, inside) for item in expected) if tolerance is None else None
    except TypeError:
        wanted = None
    if wanted is not None:
        return all(_taken(wanted, item, inside) for item in actual)
    same = any_order if inside else equal
    return _matches([[i for i, item in enumerate(actual) if same(wish, item, tolerance)] for wish in expected])


def _matches(choices: Sequence[Sequence[int]]) -> bool:
    """Whether each can have one of its choices for itself: bipartite matching by augmenting paths."""
    holders: dict[int, int] = {}
    for one in range(len(choices)):
        path = _path_to_a_free_choice(choices, holders, one)
        if not path:
            return False
        holders |= path
    return True


def _path_to_a_free_choice(choices, holders: dict[int, int], one: int) -> dict[int, int]:
    """Return {choice: its holder} of those that change hands so that `one` has a choice too; nothing where none is."""
    reached: dict[int, int] = {}
    todo, had = deque([one]), {holder: choice for choice, holder in holders.items()}
    while todo:
        asking = todo.popleft()
        for choice in choices[asking]:
            if choice in reached:
                continue
            reached[choice] = asking
            if choice in holders:
                todo.append(holders[choice])
                continue
            path = {choice: asking}
            while asking != one:
                choice = had[asking]
                asking = reached[choice]
                path[choice] = asking
            return path
    return {}


def _taken(wanted: Counter, item, inside: bool) -> bool:
    """Take an item out of those wanted, if it is there."""
    try:
        key = _frozen(item, inside)
    except TypeError:
        return False
    wanted[key] -= 1 if (found := wanted[key] > 0) else 0
    return found


def _frozen(value, unordered: bool = False) -> tuple:
    """Return something hashable that is equal for equal values; TypeError for what has no such thing or no order."""
    kind = type(value)
    if kind in (list, tuple):
        items = [_frozen(item) for item in value]
        return kind.__name__, tuple(sorted(items) if unordered and kind is list else items)
    if not _is_key(value):
        raise TypeError("neither a list nor a key")
    return "value", value


def _is_number(value) -> bool:
    return type(value) in (bool, int, float) and value == value


def _is_nodes(expected) -> bool:
    return type(expected) is dict and len(expected) == 1 and next(iter(expected)) in ("ListNode", "TreeNode")


def _same_nodes(expected: dict, actual, tolerance: float | None) -> bool:
    """Compare as the benchmark's is_same_list and is_same_tree; the latter takes anything false for an empty tree."""
    ((name, values),) = expected.items()
    if name == "ListNode":
        return type(actual) is wire.ListNodes and _all_equal(values, actual, tolerance)
    nodes = [None if value is None else [value] for value in values]
    while nodes and nodes[-1] is None:
        nodes.pop()
    if not nodes:
        return not actual
    return type(actual) is wire.TreeNodes and _all_equal(nodes, actual, tolerance)


def _all_equal(expected: Sequence, actual: Sequence, tolerance: float | None) -> bool:
    return len(expected) == len(actual) and all(equal(e, a, tolerance) for e, a in zip(expected, actual, strict=True))


def _is_close(expected, actual, tolerance: float | None) -> bool:
    if tolerance is None or type(expected) is not float:
        return False
    try:
        return abs(expected - actual) <= tolerance
    except OverflowError:
        return False


def _covers(expected: dict, items: list[tuple], tolerance: float | None) -> bool:
    """Whether the items are the expected ones, each exactly once."""
    seen = set()
    for key, value in items:
        if not _is_key(key) or key not in expected or not equal(expected[key], value, tolerance):
            return False
        seen.add(key)
        if len(seen) > len(expected):
            return False
    return len(seen) == len(expected) == len(items)


def _is_key(value) -> bool:
    kind = type(value)
    return kind in (type(None), bool, int, float, str, bytes) or (kind is tuple and all(map(_is_key, value)))


def _is_peak(args: tuple, kwargs: dict, value) -> bool:
    """LeetCode 162: the index of an element that is larger than its neighbours; beyond the ends all is smaller."""
    (numbers,) = [*args, *kwargs.values()]
    if type(value) is not int or not 0 <= value < len(numbers):
        return False
    neighbours = numbers[max(0, value - 1) : value] + numbers[value + 1 : value + 2]
    return all(numbers[value] > other for other in neighbours)


_EQUALITIES: dict[str, Callable] = {
    "exact": equal,
    "any_order": any_order,
    "any_order_inside": partial(any_order, inside=True),
}
CHECKERS: dict[str, Callable] = {"peak": _is_peak}  # of problems with several right answers
