"""Attacks of our own, of every class of the attack file and beyond: none pays, none harms."""

import time

import pytest
from grading_harness import HONEST, SECRET, WALL, WRONG, Surroundings, doubling, fenced, sandboxes
from hostile_programs import ATTACKS

from projected_grpo.environment.problems import Problem
from projected_grpo.grading import Grader, worker


@pytest.fixture(scope="module", params=sandboxes())
def surroundings(request):
    with Surroundings() as made, Grader(wall=WALL, sandbox=request.param) as grader:
        yield made, grader


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_neither_pays_nor_harms(surroundings, name):
    made, grader = surroundings
    mode, code = ATTACKS[name]
    verdict, harms = made.harms(grader, doubling(mode), fenced(made.fill(WRONG + "\n" + code)))
    assert not harms
    assert not verdict.passed and verdict.format_ok and verdict.reward == 0.25, verdict


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "(" * 300,
        "x = " + "[" * 99 + "]" * 98,
        "\x00",
        "\udc80",
        "if" + " not" * 10**5,
        "(" + "1+" * 10**5 + "1)",
        "class Solution:\n" + " " * 10**6 + "pass\n x",
        "é = é =",
    ],
)
def test_source_that_is_no_program_earns_nothing(surroundings, code):
    made, grader = surroundings
    verdict, harms = made.harms(grader, doubling("run_tests"), fenced(code))
    assert not harms
    assert verdict.reward == 0.0 and verdict.status == "syntax_error"


@pytest.mark.parametrize("pause", ["", "time.sleep(0.3)"])
def test_too_many_files_are_too_many_however_soon_they_are_seen(surroundings, pause):
    code = f"import time\nfor i in range(300): open(f'f{{i}}', 'w').close()\n{pause}\n"
    verdict = surroundings[1].grade([(doubling("none"), fenced(code + HONEST))])[0]
    assert verdict.status == "output_limit" and not verdict.passed


def test_a_deaf_child_with_long_arguments_is_late_by_its_own_limit_only(surroundings, monkeypatch):
    """Its frames come together, so that the reply is due in the same breath as `ready`."""
    long = Problem("long", "", "solve", ((("x" * (3 << 20),), {}, 0),), "none")
    real = worker._listen
    monkeypatch.setattr(worker, "_listen", lambda *a: time.sleep(0.3) or real(*a))
    started = time.monotonic()
    code = WRONG + "\nimport runner, time\nrunner._receive = lambda channel: time.sleep(60)"
    verdict = surroundings[1].grade([(long, fenced(code))])[0]
    assert verdict.status == "timeout" and time.monotonic() - started < WALL + 2


def test_a_program_beyond_the_size_limit_is_none(surroundings):
    verdict = surroundings[1].grade([(doubling("none"), fenced(HONEST + "\n" + "#" * (1 << 20)))])[0]
    assert verdict.status == "syntax_error" and not verdict.passed


def test_the_harness_sees_a_secret_in_the_output(surroundings):
    """The tests above can fail: a leak that is really there is reported."""
    made, grader = surroundings
    _, harms = made.harms(grader, doubling("none"), fenced(HONEST + f"\nprint({SECRET!r})"))
    assert harms and "secret" in harms[0]
