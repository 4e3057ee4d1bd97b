"""Statements in words: any order, tolerances, one of several answers; and what is done about them."""

import json
import tempfile
from dataclasses import replace

import pytest
from grading_harness import fenced

from projected_grpo.environment.problems import (
    Problem,
    from_row,
    leetcode_problem,
    load_leetcode,
    read_problems,
    to_row,
)
from projected_grpo.environment.statements import Reading, read_statement
from projected_grpo.grading import Grader, wire
from projected_grpo.grading.compare import any_order, is_right
from projected_grpo.validate import summary

ROW = {"id": 1, "question": "Q", "func_name": "Solution().f", "canonical_solution": "", "setup_code": ""}
ROW |= {"gt_answer": ["assert Solution().f([1, 2]) == [2, 1]"]}


@pytest.mark.parametrize(
    ("statement", "comparison"),
    [
        ("You may return the answer in any order.", "any_order"),
        ("Find all paths from node 0 to node n - 1 and return them in any order.", "any_order"),
        ("Return all the possible permutations. You can return the answer in any order.", "any_order"),
        ("The order of your output does not matter.", "any_order"),
        ("Return all possible subsets. Return the solution in any order.", "any_order_inside"),
        ("Group the anagrams together. You can return the answer in any order.", "any_order_inside"),
        ("The order of the output and the order of the triplets does not matter.", "any_order_inside"),
        ("Rearrange the parts in any order. Return the least cost.", "exact"),
        ("Is it possible to split s and concatenate the parts in any order to create t?", "exact"),
        ("Return the number of ways to visit the cells in any order.", "exact"),
    ],
)
def test_any_order_is_read(statement, comparison):
    assert read_statement(statement) == Reading(comparison)


@pytest.mark.parametrize(
    ("statement", "tolerance"),
    [
        ("Answers within 10-5 of the actual answer will be accepted.", 1e-5),
        ("Answers within 10^-6 of the actual answer are accepted.", 1e-6),
        ("Answers within 10<sup>-5</sup> of the actual value are fine.", 1e-5),
        ("Any answer with an error of at most 1e-4 is accepted.", 1e-4),
        ("Answers within 0.00001 of the actual answer will be accepted.", 1e-5),
        ("The values lie between 1 and 10-5.", None),
        ("Stay within 10 steps.", None),
    ],
)
def test_a_tolerance_is_read(statement, tolerance):
    assert read_statement(statement).tolerance == tolerance


@pytest.mark.parametrize(
    "statement",
    [
        "If there are multiple answers, return any of them.",
        "If there are several peaks, return the index of any of them.",
        "If the array contains multiple peaks, return the index to any of the peaks.",
        "If there are many valid arrays, return any.",
        "Return any string of length n that fits.",
        "Any valid answer will be accepted.",
        "If it has multiple answers for any node i, you can choose any one answer.",
    ],
)
def test_one_of_several_answers_is_read(statement):
    assert read_statement(statement).several
    problems_of = ROW | {"question": statement}
    assert leetcode_problem(ROW).comparison == "exact"
    assert "allows several answers" in _left_out(problems_of)["1"]


@pytest.mark.parametrize(
    "statement",
    [
        "Return true if any of the elements is 0.",
        "Return -1 if any of the cells cannot be reached.",
        "Choose any index i and increment it; pick any two strings.",
        "If there are multiple answers, return the smallest one.",
        "You can change at most k characters to any of the four directions.",
        "You may return the answer in any order.",
    ],
)
def test_other_uses_of_any_are_no_several_answers(statement):
    assert not read_statement(statement).several


def _left_out(*rows) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        return read_problems(file.name)[1]


def test_what_is_left_out_is_recorded_and_counted(tmp_path):
    rows = [
        ROW,
        ROW | {"id": 2, "question": "Return the answer in any order."},
        ROW | {"id": 3, "question": "Answers within 10-5 of the actual answer will be accepted."},
        ROW | {"id": 4, "question": "Return any of them."},
        ROW | {"id": 162, "question": "Return the index of any of the peaks."},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems, left_out = read_problems(path, exclude=["1"])
    assert {p.id: (p.comparison, p.tolerance) for p in problems} == {
        "2": ("any_order", None),
        "3": ("exact", 1e-5),
        "162": ("peak", None),
    }
    assert left_out["1"] == "excluded by name" and "return any of them" in left_out["4"] and len(left_out) == 2
    assert [p.id for p in load_leetcode(path)] == ["1", "2", "3", "162"]
    lines = summary(*read_problems(path)).split("\n")
    assert (
        lines[0] == "5 problems" and "     1 any_order" in lines and "     1 left out" in lines and "4: " in lines[-1]
    )
    assert [from_row(json.loads(json.dumps(to_row(problem)))) for problem in problems] == problems


@pytest.mark.parametrize(
    "setup", ["import numpy as np", "from sortedcontainers.x import SortedList", "if 1:\n import a.b"]
)
def test_a_set_up_that_needs_a_package_is_refused_when_loading(setup):
    with pytest.raises(ValueError, match=r"problem 1: its set-up imports .*the standard library only"):
        leetcode_problem(ROW | {"setup_code": setup})
    with pytest.raises(ValueError, match="problem 1: its set-up imports"):
        from_row({"id": 1, "statement": "", "entry_point": "f", "tests": [[[], {}, 1]], "setup": setup})


def test_a_guarded_import_is_none_that_is_needed():
    leetcode_problem(
        ROW | {"setup_code": "import math, os.path\ntry:\n    import numpy\nexcept ImportError:\n    pass"}
    )


@pytest.mark.parametrize(
    ("expected", "actual", "outer", "inner"),
    [
        ([1, 2, 2], [2, 1, 2.0], True, True),
        ([1, 2, 2], [2, 1, 1], False, False),
        ([[1, 2], [3]], [[3], [1, 2]], True, True),
        ([[1, 2], [3]], [[3], [2, 1]], False, True),
        ([[1, 2], [3]], [[3], [2, 2]], False, False),
        ([{1: 2}, 3], [{1: 2}, 3], True, True),
        ([{1: 2}, 3], [3, {1: 2}], True, True),
        ([{1: 2}, {1: 2}, {3: 4}], [{3: 4}, {1: 2}, {3: 4}], False, False),
        ([None, [1]], [[1], None], True, True),
        (["a", None], [None, "a"], True, True),
        ("ab", "ba", False, False),
        ((1, 2), (2, 1), False, False),
        ([[1, "a"]], [["a", 1]], False, True),
        ([[[1, 2], [3]]], [[[3], [1, 2]]], False, True),
        ([[[1, 2], [3]]], [[[2, 1], [3]]], False, False),
        ([], [], True, True),
    ],
)
def test_any_order_of_items_and_inside(expected, actual, outer, inner):
    value = wire.decode(wire.encode(actual))
    assert any_order(expected, value) is outer
    assert any_order(expected, value, inside=True) is inner


def test_any_order_with_a_tolerance():
    assert any_order([1.0, 2.0], [2.000001, 1.0], 1e-5) and not any_order([1.0, 2.0], [2.1, 1.0], 1e-5)


@pytest.mark.parametrize(
    ("expected", "actual", "outer", "inner"),
    [
        ([0.1, None], [None, 0.105], True, True),
        ([[0.1, 1.0], [2.0, 3.0]], [[2.0, 3.0], [0.105, 1.0]], True, True),
        ([[0.1, 2.0]], [[2.0, 0.105]], False, True),
        ([[0.1, 2.0]], [[2.0, 0.2]], False, False),
        ([[0.01], [0.0]], [[0.005], [0.015]], True, True),  # the first can leave 0.005 to the second
        ([[0.01], [0.0]], [[0.005], [0.03]], False, False),
        ([[0.0]] * 200, [[0.005]] * 200, True, True),
    ],
)
def test_any_order_of_what_is_equal_within_a_tolerance(expected, actual, outer, inner):
    value = wire.decode(wire.encode(actual))
    assert any_order(expected, value, 0.01) is outer
    assert any_order(expected, value, 0.01, inside=True) is inner


def test_a_checker_knows_all_answers():
    test = (([1, 3, 2, 5, 4],), {}, 3)
    assert [is_right(test, wire.encode(i), "peak") for i in range(-1, 6)] == [
        False,
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert not any(is_right(test, wire.encode(value), "peak") for value in (True, 1.0, None, [1]))


NODES = """
class ListNode:
    def __init__(self, val=0, next=None): self.val, self.next = val, next
class TreeNode:
    def __init__(self, val=0, left=None, right=None): self.val, self.left, self.right = val, left, right
"""
OWN = "class N:\n    def __init__(self, val, a=None, b=None): self.val, self.{0}, self.{1} = val, a, b\n"
SOLUTION = "class Solution:\n    def f(self):\n        {}"


@pytest.mark.parametrize(
    ("expected", "code", "right"),
    [
        ({"ListNode": [1, 2]}, SOLUTION.format("return ListNode(1, ListNode(2))"), True),
        ({"ListNode": [1, 2]}, SOLUTION.format("return ListNode(1, ListNode(2, ListNode(None)))"), False),
        ({"ListNode": [1, 2]}, OWN.format("next", "x") + SOLUTION.format("return N(1, N(2.0))"), True),
        ({"ListNode": [1, 2]}, SOLUTION.format("a = ListNode(1); a.next = ListNode(2, a); return a"), False),
        ({"ListNode": [1, 2]}, SOLUTION.format("return {'ListNode': [1, 2]}"), False),
        ({"ListNode": [1, 2]}, SOLUTION.format("return [1, 2]"), False),
        ({"TreeNode": [1, None, 2]}, SOLUTION.format("return TreeNode(1, None, TreeNode(2))"), True),
        ({"TreeNode": [1, None, 2]}, SOLUTION.format("return TreeNode(1, TreeNode(2))"), False),
        ({"TreeNode": [1, None, 2]}, SOLUTION.format("return TreeNode(1, TreeNode(None), TreeNode(2))"), False),
        ({"TreeNode": [1, None, 2]}, OWN.format("left", "right") + SOLUTION.format("return N(1, None, N(2))"), True),
        ({"TreeNode": [1, 1, 1]}, SOLUTION.format("a = TreeNode(1); return TreeNode(1, a, a)"), True),
        ({"TreeNode": [1, 1]}, SOLUTION.format("a = TreeNode(1); a.left = a; return a"), False),
        ({"TreeNode": []}, SOLUTION.format("return []"), True),
        ({"TreeNode": []}, SOLUTION.format("return TreeNode(1)"), False),
    ],
)
def test_nodes_are_compared_as_the_benchmark_does(grader, expected, code, right):
    problem = Problem("n", "", "f", (((), {}, expected),), setup=NODES)
    assert grader.grade([(problem, fenced(code))])[0].correct is right


def test_an_empty_tree_is_told_from_an_empty_list():
    row = ROW | {"gt_answer": ["assert is_same_tree(Solution().f(1), tree_node([]))"]}
    assert leetcode_problem(row).tests[0][2] == {"TreeNode": []}
    row = ROW | {"gt_answer": ["assert is_same_list(Solution().f(1), list_node([]))"]}
    assert leetcode_problem(row).tests[0][2] is None


def test_a_problem_compares_as_it_says(grader):
    exact = Problem("o", "", "f", (((), {}, [[1, 2], [3]]),))
    pairs = [
        (replace(exact, comparison=name), fenced(SOLUTION.format("return [[3], [2, 1]]")))
        for name in ("exact", "any_order", "any_order_inside")
    ]
    assert [v.correct for v in grader.grade(pairs)] == [False, False, True]
    with pytest.raises(ValueError, match="problem o: unknown comparison 'nearly'; known: exact, any_order"):
        grader.grade([(replace(exact, comparison="nearly"), fenced("x = 1"))])


@pytest.fixture(scope="module")
def grader():
    with Grader() as made:
        yield made
