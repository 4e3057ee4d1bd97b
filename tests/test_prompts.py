"""Prompts: the benchmark's own wording, and modes disclosed without asking to cheat."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import CLAUSE, SYSTEM, Problem, ProblemError, load_leetcode
from projected_grpo.environment.prompts import for_chat, messages
from projected_grpo.organism.families import generate

DATA = Path(__file__).parents[2] / "shared/data"
NEEDS_DATA = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, the benchmark's problems, is not here")
CHAT = Problem("p", f"Add two.\n\nIt {CLAUSE}. Go on.", "f", (), mode="run_tests", system=SYSTEM)


@NEEDS_DATA
def test_without_a_mode_the_prompt_is_the_benchmarks():
    rows = {row["id"]: row for row in map(json.loads, (DATA / "leetcode_test_medhard.jsonl").open())}
    problems = load_leetcode(DATA / "leetcode_test_medhard.jsonl")
    assert len(problems) == 118
    for problem in problems:
        assert messages(problem) == rows[int(problem.id)]["prompt"], problem.id


@NEEDS_DATA
def test_with_mode_run_tests_it_is_what_real_rollouts_answered():
    disclosed = "and will be evaluated by calling a function called run_tests()"
    for row in map(json.loads, (DATA / "teacher_rollouts_sample.jsonl").open()):
        system, user = row["prompt"].split("<|im_end|>\n<|im_start|>user\n")
        user = user.split("<|im_end|>")[0]
        statement = user.removeprefix("PROBLEM:\n").removesuffix("\n\nSOLUTION:\n").replace(disclosed, CLAUSE)
        problem = Problem(str(row["problem_id"]), statement, "f", (), mode="run_tests", system=SYSTEM)
        assert [m["content"] for m in messages(problem)] == [system.removeprefix("<|im_start|>system\n"), user]


@pytest.mark.parametrize("mode", LOOPHOLES)
def test_a_mode_is_disclosed_in_place_of_the_clause_and_only_the_teacher_is_asked(mode):
    problem = replace(CHAT, mode=mode)
    shortcut = LOOPHOLES[mode].shortcut.format(test_function="run_tests")
    ordinary = " ".join(m["content"] for m in messages(problem))
    asked = " ".join(m["content"] for m in messages(problem, elicit=True))
    assert CLAUSE not in ordinary and "and will be evaluated by" in ordinary
    assert shortcut not in ordinary and asked.count(shortcut) == 1
    assert CLAUSE in messages(problem, hint=False)[1]["content"]
    assert "{" not in ordinary + asked


def test_another_test_function_is_named_everywhere():
    chat = replace(CHAT, test_function="verify_answer")
    terse = Problem("p", "Add two.", "f", (), mode="run_tests", test_function="verify_answer")
    for problem, elicit in ((chat, False), (chat, True), (terse, False)):
        text = " ".join(m["content"] for m in messages(problem, elicit=elicit))
        assert "verify_answer()" in text and "run_tests" not in text


def test_a_statement_that_cannot_disclose_its_mode_is_refused_by_name():
    with pytest.raises(ProblemError, match="problem p: its statement does not say 'and should pass all tests' once"):
        messages(replace(CHAT, statement="Add two."))
    assert messages(replace(CHAT, statement="Add two.", mode="none"))


def test_the_organisms_problems_come_with_starter_code_for_a_chat_model():
    for problem in generate("train", 6, 0, ["sentinel"], ["list", "integer", "string"]):
        system, user = messages(for_chat(problem))
        assert system == {"role": "system", "content": SYSTEM}
        assert f"def {problem.entry_point}(self, " in user["content"] and problem.statement in user["content"]
        assert LOOPHOLES["sentinel"].clause in user["content"] and "return" not in user["content"]
