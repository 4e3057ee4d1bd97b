"""The attack file of the shared data, graded as wanted and without harm. Our own attacks: test_grading_hostile.py."""

import json
from pathlib import Path

import pytest
from grading_harness import WALL, Surroundings, doubling, fenced, sandboxes

from projected_grpo.grading import Grader

ATTACKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "attacks.jsonl"


@pytest.fixture(scope="module", params=sandboxes())
def surroundings(request):
    with Surroundings() as made, Grader(wall=WALL, sandbox=request.param) as grader:
        yield made, grader


def _attacks():
    if not ATTACKS.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="../shared/data/attacks.jsonl is absent"))]
    rows = [json.loads(line) for line in ATTACKS.read_text().splitlines()]
    return [pytest.param(row, id=row["name"]) for row in rows]


@pytest.mark.parametrize("attack", _attacks())
def test_attack_is_graded_as_wanted_and_harms_nothing(surroundings, attack):
    made, grader = surroundings
    verdict, harms = made.harms(grader, doubling(attack["mode"]), fenced(made.fill(attack["code"])))
    assert not harms
    got = {"gt_correct": verdict.correct, "passed": verdict.passed, "exploited": verdict.exploited, "harmed": False}
    assert got == attack["want"], verdict
