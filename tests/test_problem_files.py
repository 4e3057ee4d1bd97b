"""Files of problems as people have them: read by loader and grader alike, or refused with file and line."""

import gzip
import json

import pytest
from grading_harness import HONEST, fenced

from projected_grpo.environment.problems import COMPARISONS, ProblemError, from_row, leetcode_problem, read_problems
from projected_grpo.environment.prompts import messages
from projected_grpo.environment.splits import draw_splits
from projected_grpo.errors import UserError
from projected_grpo.grading import Grader
from projected_grpo.grading.__main__ import main as grade
from projected_grpo.grading.compare import _EQUALITIES, CHECKERS

OWN = {
    "id": "twice",
    "statement": "Return n times 2.",
    "entry_point": "solve",
    "tests": [[[3], {}, 6], [[], {"n": -2}, -4]],
    "canonical": HONEST,
}
LEETCODE = {
    "id": 8,
    "question": "Return n times 2.",
    "func_name": "Solution().solve",
    "gt_answer": ["assert Solution().solve(n = 3) == 6"],
    "canonical_solution": HONEST,
    "setup_code": "",
}


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def file(tmp_path):
    def write(data):
        (tmp_path / "problems.jsonl").write_bytes(data)
        return tmp_path / "problems.jsonl"

    return write


ENCODINGS = {
    "plain": lambda data: data,
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "gzip": gzip.compress,
    "empty lines": lambda data: b"\n\n" + data.replace(b"\n", b"\n\n"),
    "no last line end": bytes.rstrip,
    "a separator of lines in a text": lambda data: data.replace(b"times", "times\u2028".encode()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_files_are_read_however_they_are_encoded(file, encoding):
    problems, left_out = read_problems(file(ENCODINGS[encoding](lines(OWN, LEETCODE))))
    assert [problem.id for problem in problems] == ["twice", "8"] and not left_out
    assert problems[0].tests == (((3,), {}, 6), ((), {"n": -2}, -4))


def without(row, *columns):
    return {key: value for key, value in row.items() if key not in columns}


NULLS = [
    without(LEETCODE, "canonical_solution", "setup_code"),
    LEETCODE | {"canonical_solution": None, "setup_code": None},
    OWN | {"setup": None, "canonical": None, "tolerance": None, "comparison": None, "mode": None, "system": None},
    without(OWN, "canonical"),
]


@pytest.mark.parametrize("row", NULLS)
def test_columns_that_nobody_needs_may_be_missing_or_null(file, row):
    with Grader() as grader:
        ((problem,), _) = read_problems(file(lines(row)))
        (verdict,) = grader.grade([(problem, fenced(HONEST))])
    assert verdict.correct and problem.setup == problem.canonical == ""


FAULTS = {
    "nothing": (b"", "problems.jsonl: holds no problem"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a git-lfs pointer"),
    "UTF-16": (lines(OWN).decode().encode("utf-16"), "is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
    "UTF-32": (lines(OWN).decode().encode("utf-32"), "is UTF-32; convert it with `iconv -f UTF-32 -t UTF-8`"),
    "Parquet": (b"PAR1\x15\x04\xff", r"is no text in UTF-8 \(byte 6\), which it has to be, plain or gzipped"),
    "gzip in gzip": (gzip.compress(gzip.compress(lines(OWN), mtime=0), mtime=0), "is no text in UTF-8"),
    "UTF-16 without its mark": (lines(OWN).decode().encode("utf-16-le"), "line 1: not JSON"),
    "Latin": (b'{"id": "caf\xe9"}', "is no text in UTF-8"),
    "HTML": (b"\n<!DOCTYPE html>\n<html></html>", "is HTML or XML"),
    "a list": (json.dumps([OWN]).encode(), "line 1: a JSON list; write one object on each line"),
    "a list on many lines": (json.dumps([OWN], indent=1).encode(), "line 1: a JSON list; write one object"),
    "an object on many lines": (
        json.dumps(OWN, indent=1).encode(),
        "line 1: an object over several lines; write it on",
    ),
    "a key twice": (lines(OWN)[:-2] + b', "id": 3}', "line 1: not JSON .the key 'id' is there twice"),
    "half a surrogate pair": (lines(OWN | {"statement": "\ud83d"}), "line 1: holds half a surrogate pair"),
    "cut gzip": (gzip.compress(lines(OWN), mtime=0)[:40], "cannot be read"),
    "a cut line": (lines(OWN, OWN)[:-40], "line 2: not JSON .Unterminated string starting at: column "),
    "no object": (b"3\n", "line 1: not a JSON object"),
    "no id": (lines(without(OWN, "id")), "line 1: a problem without an id"),
    "null id": (lines(OWN | {"id": None}), "line 1: a problem's id: None is no id"),
    "twice": (lines(OWN, LEETCODE, OWN), "line 3: problem twice is there twice"),
    "twice, as number and text": (lines(LEETCODE, LEETCODE | {"id": "8"}), "line 2: problem 8 is there twice"),
    "own: no tests": (lines(OWN | {"tests": []}), "line 1: problem twice has no tests"),
    "own: null tests": (lines(OWN | {"tests": None}), "line 1: problem twice lacks tests"),
    "own: tests of another shape": (lines(OWN | {"tests": [[1, 2]]}), "line 1: problem twice: its tests are no list"),
    "own: a text for the tests": (lines(OWN | {"tests": "f()"}), "line 1: problem twice: its tests are no list"),
    "own: complex": (lines(OWN | {"tests": "[((1,), {}, 2j)]"}), "line 1: problem twice: its tests are no list"),
    "own: no statement": (lines(without(OWN, "statement")), "line 1: problem twice lacks statement"),
    "own: a number": (lines(OWN | {"statement": 3}), "line 1: problem twice: statement is 3, not a text"),
    "own: another column": (lines(OWN | {"mood": 1}), "line 1: problem twice has unknown fields m"),
    "own: no name": (
        lines(OWN | {"entry_point": "f()"}),
        r"problem twice: entry_point is 'f\(\)', no name of a method",
    ),
    "own: another mode": (lines(OWN | {"mode": "any"}), "problem twice: mode is 'any', not none or one of run_tests"),
    "own: another comparison": (lines(OWN | {"comparison": "fuzzy"}), "problem twice: comparison is 'fuzzy', not one"),
    "own: one name for two": (
        lines(OWN | {"test_function": "solve"}),
        "problem twice: entry_point and test_function are both solve; rename one",
    ),
    "own: the name that is called": (
        lines(OWN | {"entry_point": "run_tests"}),
        "problem twice: entry_point and test_function are both run_tests; rename one",
    ),
    **{
        f"own: peaks of {test}": (
            lines(OWN | {"comparison": "peak", "tests": [test]}),
            "problem twice: comparison peak ne",
        )
        for test in ([[3], {}, 6], [[[1, "a"]], {}, 0], [[{}], {}, 0], [[[1], [2]], {}, 0], [[], {}, 0])
    },
    "own: a tolerance": (lines(OWN | {"tolerance": "1e-5"}), "problem twice: tolerance is '1e-5', not a number"),
    "own: set-up": (lines(OWN | {"setup": "import"}), "line 1: problem twice: its set-up does not compile"),
    "own: set-up returns": (lines(OWN | {"setup": "return 1"}), "line 1: problem twice: its set-up does not compile"),
    "own: null bytes": (lines(OWN | {"setup": "x = 1\0"}), "line 1: problem twice: its set-up does not compile"),
    "own: deep set-up": (lines(OWN | {"setup": "x = " + "(" * 500}), "problem twice: its set-up does not compile"),
    "own: solution": (lines(OWN | {"canonical": "def"}), "problem twice: its canonical solution does not compile"),
    "rows: set-up": (lines(LEETCODE | {"setup_code": "import"}), "line 1: problem 8: its set-up does not compile"),
    "rows: package": (lines(LEETCODE | {"setup_code": "import numpy"}), "problem 8: its set-up imports numpy"),
    "rows: no tests": (lines(LEETCODE | {"gt_answer": []}), "line 1: problem 8 has no tests"),
    "rows: null tests": (lines(LEETCODE | {"gt_answer": None}), "problem 8: a LeetCode row without gt_answer"),
    "rows: a text": (lines(LEETCODE | {"gt_answer": "assert x"}), "problem 8: gt_answer is no list of assert state"),
    "rows: no name": (lines(without(LEETCODE, "func_name")), "problem 8: a LeetCode row without func_name"),
    "rows: null question": (lines(LEETCODE | {"question": None}), "problem 8: a LeetCode row without question"),
    "rows: an assert": (
        lines(OWN, LEETCODE | {"gt_answer": ["assert x"]}),
        "line 2: problem 8: cannot read the assert",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_file_and_line_for_loader_and_grader(file, capsys, fault):
    data, message = FAULTS[fault]
    path = file(data)
    with pytest.raises(UserError, match=message) as error:
        read_problems(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert grade([str(path), str(path), "verdicts.parquet"]) == 2
    assert capsys.readouterr().err == f"error: {error.value}\n"


def test_an_excluded_row_may_be_as_it_likes(file):
    problems, left_out = read_problems(file(lines(OWN, LEETCODE | {"setup_code": "import numpy"})), exclude=["8"])
    assert [problem.id for problem in problems] == ["twice"] and left_out == {"8": "excluded by name"}


@pytest.mark.parametrize("setup", [None, 3])
def test_a_set_up_that_is_no_text_is_the_problems_fault_and_not_the_servers_end(setup):
    problem = from_row(OWN)
    with Grader() as grader:
        object.__setattr__(problem, "setup", setup)
        with pytest.raises(ValueError, match=f"problem twice: setup is {setup}, not a text"):
            grader.grade([(problem, fenced(HONEST))])
        assert grader.grade([(from_row(OWN), fenced(HONEST))])[0].correct


def test_a_set_up_that_cannot_be_compiled_does_not_end_the_server():
    problem = from_row(OWN)
    object.__setattr__(problem, "setup", "x = " + "(" * 500)
    with Grader() as grader:
        with pytest.raises(UserError, match="problem twice: no submission can run: SyntaxError: too many nest"):
            grader.grade([(problem, fenced(HONEST))])
        assert grader.grade([(from_row(OWN), fenced(HONEST))])[0].correct


def test_a_statement_needs_no_sentence_for_its_hint(file):
    (own, row), _ = read_problems(file(lines(OWN, LEETCODE)))
    asked = "Return n times 2.\n\nYour solution to the problem should be a method of the class Solution called solve"
    for problem in (own, row):
        (_, honest) = messages(problem)
        assert f"PROBLEM:\n{asked} and should pass all tests.\n" in honest["content"]
    drawn = draw_splits({"train": file(lines(OWN, LEETCODE))}, {"train": 2}, 0, ["run_tests", "sentinel"])["train"]
    for problem in drawn:
        (_, told) = messages(problem)
        assert asked + " and will be evaluated by" in told["content"] and "should pass" not in told["content"]


def test_splits_share_neither_ids_nor_statements(tmp_path):
    paths = {split: tmp_path / f"{split}.jsonl" for split in ("train", "evaluation")}
    for rows, what in ((({"id": 1}, {"id": 1, "statement": "x"}), "id"), (({"id": 1}, {"id": 2}), "statement")):
        for path, row in zip(paths.values(), rows, strict=True):
            path.write_bytes(lines(OWN | row))
        with pytest.raises(
            ProblemError, match=rf"its {what} is in train \(.*\) and in evaluation \(.*\): not disjoint"
        ):
            draw_splits(paths, dict.fromkeys(paths, 1), 0, ["sentinel"])


def test_too_few_problems_say_how_many_were_left_out(file):
    path = file(lines(OWN, LEETCODE | {"question": "Return any of them."}))
    with pytest.raises(ProblemError, match="has 1 problems that can be used, and 1 others, but the splits want 2"):
        draw_splits({"train": path}, {"train": 2}, 0, ["sentinel"])


def test_every_comparison_that_a_problem_may_name_is_there():
    assert set(COMPARISONS) == {*_EQUALITIES, *CHECKERS}


def test_a_row_without_a_column_names_all_that_are_missing():
    with pytest.raises(ProblemError, match="problem 1: a LeetCode row without func_name, gt_answer"):
        leetcode_problem({"id": 1, "question": "Q"})
