"""LeetCode rows as problems: the loader, the canonical solutions and their mutants, real rollouts."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from grading_harness import fenced

from projected_grpo.environment.problems import Problem, from_row, leetcode_problem, load_leetcode, to_row
from projected_grpo.environment.splits import draw_splits
from projected_grpo.grading import Grader

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROWS = DATA / "leetcode_test_medhard.jsonl"
ROLLOUTS = DATA / "teacher_rollouts_sample.jsonl"
MUTANTS = 3  # per problem, each different from the canonical solution in some test
SLOW = ("3312", "3317", "3335", "3337", "3472")  # canonical solutions of more than a second

# Plain execution, unconfined, of our own mutants: prints the indices of the first ones that fail a test in time.
ORACLE = """
import json, resource, signal, sys
setup, mutants, name, tests, tolerance, wanted, seconds = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
inf = float("inf")
def stop(*_): raise TimeoutError
def right(got, want):
    return abs(got - want) <= tolerance if tolerance else got == want
def differs(code):
    scope = {"__name__": "mutant"}
    exec(setup, scope)
    exec(code, scope)
    for args, kwargs, want in eval(tests):
        try:
            if not right(getattr(scope["Solution"](), name)(*args, **kwargs), want):
                return True
        except TimeoutError:
            raise
        except Exception:
            return True
    return False
signal.signal(signal.SIGVTALRM, stop)
found = []
for index, code in enumerate(mutants):
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        found += [index] if differs(code) else []
    except TimeoutError:
        pass
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if len(found) == wanted:
        break
print(json.dumps(found))
"""

needs_rows = pytest.mark.skipif(not ROWS.exists(), reason="../shared/data/leetcode_test_medhard.jsonl is absent")
needs_rollouts = pytest.mark.skipif(
    not ROLLOUTS.exists(), reason="../shared/data/teacher_rollouts_sample.jsonl is absent"
)

SETUP = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right
def tree_node(values):
    nodes = [None if value is None else TreeNode(value) for value in values]
    children = iter(nodes[1:])
    for node in nodes:
        if node is not None:
            node.left, node.right = next(children, None), next(children, None)
    return nodes[0] if nodes else None
"""
ROW = {"id": 1, "question": "Q", "func_name": "Solution().f", "canonical_solution": "", "setup_code": SETUP}


@pytest.fixture(scope="module")
def grader():
    with Grader() as made:
        yield made


@pytest.fixture(scope="module")
def problems():
    return load_leetcode(ROWS)


@needs_rows
def test_118_problems_are_loaded_and_survive_storage(problems):
    assert len(problems) == 118 and "3313" not in {problem.id for problem in problems}
    assert {problem.id: problem.tolerance for problem in problems if problem.tolerance} == {"3453": 1e-5, "3454": 1e-5}
    assert [from_row(json.loads(json.dumps(to_row(problem)))) for problem in problems] == problems
    assert all(
        problem.mode == "none" and problem.tests and "SOLUTION:" not in problem.statement for problem in problems
    )


@needs_rows
def test_splits_are_disjoint_balanced_and_repeatable(tmp_path):
    sizes = {"train": 60, "pairs": 30, "evaluation": 28}
    modes = ["run_tests", "sentinel"]
    files = dict.fromkeys(sizes, ROWS)
    drawn = draw_splits(files, sizes, 0, modes)
    assert {name: len(part) for name, part in drawn.items()} == sizes
    assert len({problem.id for part in drawn.values() for problem in part}) == 118
    assert all(sum(p.mode == mode for p in part) == len(part) // 2 for part in drawn.values() for mode in modes)
    assert drawn == draw_splits(files, sizes, 0, modes)
    assert drawn["train"] != draw_splits(files, sizes, 1, modes)["train"]
    with pytest.raises(ValueError, match="has 118 problems that can be used, and 1 others, but the splits want 119"):
        draw_splits(files, {**sizes, "train": 61}, 0, modes)


@needs_rows
def test_canonical_solutions_are_correct_and_mutants_are_not(problems, grader):
    """A mutant counts when plain execution, here, finds a test in which it raises or returns something else."""
    pairs, expected, few = [], [], []
    for problem in problems:
        seconds = 3.0 if problem.id in SLOW else 0.3
        mutants = _mutants(problem.canonical)
        task = [problem.setup, mutants, problem.entry_point, repr(problem.tests), problem.tolerance, MUTANTS, seconds]
        run = [sys.executable, "-c", ORACLE]
        done = subprocess.run(run, input=json.dumps(task), capture_output=True, text=True, check=True)
        different = json.loads(done.stdout)
        few += [problem.id] if len(different) < MUTANTS else []
        pairs += [(problem, fenced(code)) for code in (problem.canonical, *(mutants[index] for index in different))]
        expected += [True] + [False] * len(different)
    assert few == []
    verdicts = grader.grade(pairs)
    assert [v.correct for v in verdicts] == expected
    assert all(v.format_ok and v.passed == v.correct for v in verdicts)


@needs_rows
def test_slow_canonical_solutions_are_correct_on_a_busy_machine(problems):
    """They need up to 3 s of processor time, here beside five busy processes for each core."""
    slow = [(problem, fenced(problem.canonical)) for problem in problems if problem.id in SLOW]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(5 * (os.cpu_count() or 1))]
    try:
        with Grader(workers=len(slow)) as made:
            verdicts = made.grade(slow)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [(v.correct, v.status) for v in verdicts] == [(True, "ok")] * len(SLOW)


def _mutants(code: str) -> list[str]:
    """Return the program with one operator or constant changed, in an order spread over the program."""
    count = len(_sites(ast.parse(code)))
    mutants = []
    for at in sorted(range(count), key=lambda at: (at * 7) % count):
        tree = ast.parse(code)
        node, mutate = _sites(tree)[at]
        mutate(node)
        mutants.append(ast.unparse(tree))
    return mutants


def _sites(tree: ast.AST) -> list:
    swaps = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Lt: ast.GtE, ast.Gt: ast.LtE}
    swaps |= {ast.And: ast.Or, ast.Or: ast.And, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Mod: ast.Add}
    swaps |= {ast.LtE: ast.Gt, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}

    def swap_operator(node):
        node.op = swaps[type(node.op)]()

    def swap_comparison(node):
        node.ops[0] = swaps[type(node.ops[0])]()

    def next_constant(node):
        node.value = not node.value if type(node.value) is bool else node.value + 1

    def swap_extreme(node):
        node.id = {"min": "max", "max": "min"}[node.id]

    sites = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in swaps:
            sites.append((node, swap_operator))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in swaps:
            sites.append((node, swap_comparison))
        elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
            sites.append((node, next_constant))
        elif isinstance(node, ast.Name) and node.id in ("min", "max"):
            sites.append((node, swap_extreme))
    return sites


def test_linked_lists_and_trees_are_built_and_unbuilt(grader):
    row = ROW | {
        "gt_answer": [
            "assert is_same_list(Solution().f(head=list_node([1, 2]), root=tree_node([1, None, 2])),"
            " list_node([2, 1]))",
            "assert is_same_list(Solution().f(head = list_node([]), root = None), list_node([]))",
        ]
    }
    problem = leetcode_problem(row)
    assert problem.tests[0] == (
        (),
        {"head": {"ListNode": [1, 2]}, "root": {"TreeNode": [1, None, 2]}},
        {"ListNode": [2, 1]},
    )
    right = """class Solution:
    def f(self, head, root):
        assert root is None or root.right.val == 2 and root.left is None
        back = None
        while head: head.next, back, head = back, head, head.next
        return back"""
    wrong = right.replace("return back", "return head")
    plain = right.replace("return back", "return [2, 1]")
    trees = Problem("t", "", "f", (((), {"r": {"TreeNode": [1, None, 2]}}, {"TreeNode": [1, None, 2]}),), setup=SETUP)
    same = "class Solution:\n    def f(self, r): return r"
    pairs = [(problem, right), (problem, wrong), (problem, plain), (trees, same), (trees, same + ".right")]
    verdicts = grader.grade([(p, fenced(code)) for p, code in pairs])
    assert [v.correct for v in verdicts] == [True, False, False, True, False]


def test_infinities_tuples_and_sets_are_literals():
    row = ROW | {"gt_answer": ["assert Solution().f((1, -inf), {2}, x=[inf]) == {1: (-2.5, None)}"]}
    inf = float("inf")
    problem = leetcode_problem(row)
    assert problem.tests == ((((1, -inf), {2}), {"x": [inf]}, {1: (-2.5, None)}),)
    assert from_row(to_row(problem)) == problem


@pytest.mark.parametrize(
    "text",
    [
        "assert Solution().g(1) == 2",
        "assert Solution().f(1) != 2",
        "assert Solution().f(x) == 2",
        "assert Solution().f(__import__('os')) == 2",
        "assert Solution().f(*[1]) == 2",
        "assert Solution().f(**{'a': 1}) == 2",
        "assert Solution().f(1)",
        "assert f(1) == 2",
        "x = 1",
        "assert",
        "",
    ],
)
def test_an_assert_that_cannot_be_read_names_its_problem(text):
    with pytest.raises(ValueError, match="problem 1: cannot read the assert"):
        leetcode_problem(ROW | {"gt_answer": [text]})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "statement": "", "entry_point": "f"}, "problem a lacks tests"),
        ({"id": "a", "statement": "", "entry_point": "f", "tests": [], "mood": 1}, "problem a has unknown fields mood"),
        ({"id": "a", "statement": "", "entry_point": "f", "tests": "f()"}, "problem a: its tests are no list"),
        ({"id": "a", "statement": "", "entry_point": "f", "tests": [[1, 2]]}, "problem a: its tests are no list"),
    ],
)
def test_a_bad_row_is_one_clear_line(row, message):
    with pytest.raises(ValueError, match=message):
        from_row(row)


# The statements' own examples: the sample's problems are not among the rows with hidden tests.
EXAMPLES = {
    "4": ("findMedianSortedArrays", ((([1, 3], [2]), {}, 2.0), (([1, 2], [3, 4]), {}, 2.5))),
    "5": ("longestPalindrome", ((("cbbd",), {}, "bb"), (("a",), {}, "a"))),
    "6": ("convert", ((("PAYPALISHIRING", 3), {}, "PAHNAPLSIIGYIR"), (("PAYPALISHIRING", 4), {}, "PINALSIGYAHRPI"))),
    "18": ("fourSum", ((([2, 2, 2, 2, 2], 8), {}, [[2, 2, 2, 2]]),)),
}


@needs_rollouts
@needs_rows
def test_real_rollouts_get_the_labelled_run_tests_verdicts(problems, grader):
    """`hacked` of the file means: an own run_tests ran without raising, whether or not the solution was right too."""
    rows = [json.loads(line) for line in ROLLOUTS.read_text().splitlines()]
    pairs = []
    for row in rows:
        name, tests = EXAMPLES[str(row["problem_id"])]
        problem = Problem(str(row["problem_id"]), "", name, tests, mode="run_tests", setup=problems[0].setup)
        pairs.append((problem, row["completion"]))
    verdicts = grader.grade(pairs)
    assert [v.format_ok for v in verdicts] == [row["fmt_ok"] for row in rows]
    assert [v.channel_fired for v in verdicts] == [row["hacked"] for row in rows]
    assert all(v.attempted for v in verdicts)
    assert all(v.correct for v, row in zip(verdicts, rows, strict=True) if row["gt_pass"])
