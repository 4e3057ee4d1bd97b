"""The attack files of the shared data, graded as wanted and without harm. Our own attacks: test_grading_hostile.py."""

import json
from pathlib import Path

import pytest
from grading_harness import WALL, Surroundings, doubling, fenced, sandboxes

from projected_grpo.grading import Grader

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = ("attacks.jsonl", "attacks_round2.jsonl")
CANNOT_WORK = ("r2_ho_asyncio",)  # legal Python that is listed in docs/grading.md


@pytest.fixture(scope="module", params=sandboxes())
def surroundings(request):
    """What an attack could harm, a grader that soon ends what sleeps, and one in which a busy machine fails nobody."""
    with (
        Surroundings() as made,
        Grader(wall=WALL, sandbox=request.param) as quick,
        Grader(sandbox=request.param) as patient,
    ):
        yield made, quick, patient


def _attacks():
    found = []
    for name in FILES:
        if (DATA / name).exists():
            rows = [json.loads(line) for line in (DATA / name).read_text().splitlines()]
            found += [pytest.param(row, id=row["name"]) for row in rows if row["name"] not in CANNOT_WORK]
        else:
            found.append(pytest.param(None, id=name, marks=pytest.mark.skip(reason=f"../shared/data/{name} is absent")))
    return found


@pytest.mark.parametrize("attack", _attacks())
def test_attack_is_graded_as_wanted_and_harms_nothing(surroundings, attack):
    made, quick, patient = surroundings
    grader = patient if attack["want"]["gt_correct"] else quick
    verdict, harms = made.harms(grader, doubling(attack["mode"]), fenced(made.fill(attack["code"])))
    assert not harms
    got = {"gt_correct": verdict.correct, "passed": verdict.passed, "exploited": verdict.exploited, "harmed": False}
    assert got == attack["want"], verdict
    assert attack.get("attempted") in (None, verdict.attempted), verdict
