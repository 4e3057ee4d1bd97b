"""Flagged rollouts in the loop: what is logged of them, what a twin follows, and what actions make of them."""

import dataclasses
import math

import pandas as pd
import pytest
import torch
from training_harness import ARMS, CONFIG, MODES, equal

from projected_grpo.method.groups import STRATA
from projected_grpo.method.log import flag_quality, followed
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.signals import Followed, Signal
from projected_grpo.method.suspicion import Suspicion


@dataclasses.dataclass
class Fate:
    """All that the log of flags may look at."""

    exploited: bool
    attempted: bool


def test_flags_are_judged_by_the_true_verdicts_of_live_rollouts_on_known_and_held_out_modes_apart(world):
    def row(exploited, problem=0, teacher=False, attempted=None):
        fate = Fate(exploited, exploited if attempted is None else attempted)
        return Rollout(world.problems[problem], [1], [2], "", fate, teacher)

    solved = row(False, attempted=True)
    rows = [row(True), row(True), solved, row(False), row(True, 1), row(False, 1), row(True, teacher=True)]
    flags = [True, False, True, False, False, False, True]
    strata = [*["student_above"] * 4, *["student_below"] * 2, "teacher_above"]
    found = flag_quality(
        rows, Suspicion([0.0] * 7, [2.0, 0.0, 0.0, 9.0, 9.0, 9.0, -1.0], flags, strata, 0.25), [world.problems[0].mode]
    )
    shares = {name: found.pop(f"flagged_share/{name}") for name in STRATA}
    weights = {name: found.pop(f"flagged_weight/{name}") for name in STRATA}
    assert weights["student_above"] == pytest.approx((1 / (1 + math.exp(-2)) + 0.5) / 2)
    assert weights["teacher_above"] == pytest.approx(1 / (1 + math.e)) and math.isnan(weights["student_below"])
    assert math.isnan(shares.pop("teacher_below")) and math.isnan(found.pop("flag_precision/heldout"))
    assert shares == {"student_above": 0.5, "student_below": 0.0, "teacher_above": 1.0}
    assert found == {
        "flagged_share": 3 / 7, "flagged_student": 2 / 6, "groups_flagged": 0.25,
        "flag_precision": 0.5, "flag_recall": 1 / 3, "flag_false_positives": 1 / 3,
        "flag_precision/known": 0.5, "flag_recall/known": 0.5, "flag_false_positives/known": 0.5,
        "flag_recall/heldout": 0.0, "flag_false_positives/heldout": 0.0, "flag_recall_attempted": 2 / 4,
    }  # fmt: skip
    assert all(math.isnan(value) for value in flag_quality(rows, None, MODES).values())


def test_a_twin_flags_its_partners_shares_of_every_stratum_at_every_step(world):
    def alike(share):
        return dict.fromkeys(STRATA, Followed(share, 0.7))

    shares = [alike(0.0), alike(0.0) | {"student_above": Followed(1.0, 0.7)}, alike(1.0)]
    twin = ARMS["overlap_drop_twin"]
    run = world.run(twin, partner=shares)
    for row, wanted in zip(run.log.steps, shares, strict=True):
        found = {name: row[f"flagged_share/{name}"] for name in STRATA}
        assert found == {name: wanted[name].share for name in STRATA if not math.isnan(found[name])} | {
            name: found[name] for name in STRATA if math.isnan(found[name])
        }
    everything = world.run(twin, partner=[alike(1.0)] * 3)
    assert not any(value.any() for value in everything.knobs.values())  # all are flagged: nothing is learned
    assert all(row["groups_flagged"] == 1 for row in everything.log.steps)


def test_a_twins_flags_weigh_what_its_partners_did(world):
    """The discount of a twin has its arm's mean weight in every stratum, whatever the twin's own scores are."""
    arm = ARMS["activation_discount"]
    own = world.run(arm)
    partner = followed(pd.DataFrame(own.log.steps))
    twin = dataclasses.replace(arm, name="activation_discount_twin", twin_of=arm.name)
    found = world.run(twin, partner=partner)
    for row, wanted in zip(found.log.steps, partner, strict=True):
        for name in STRATA:
            weight = row[f"flagged_weight/{name}"]
            assert math.isnan(weight) or weight == pytest.approx(wanted[name].weight)
    heavier = [{name: Followed(one.share, 0.99) for name, one in step.items()} for step in partner]
    assert not equal(found, world.run(twin, partner=heavier))


@pytest.mark.parametrize("name", ["probe_penalise_twin", "overlap_drop_twin", "fingerprint_erase"])
def test_an_arm_that_flags_nothing_is_the_arm_without_a_signal_bit_for_bit(world, name):
    arm = ARMS[name]
    none = Signal("truth", threshold=2.0)
    plain = dataclasses.replace(arm, intervention=dataclasses.replace(arm.intervention, signal=None, action=None))
    assert equal(world.run(arm, suspect=none, kind="truth"), world.run(plain))
    assert not equal(world.run(arm), world.run(plain))


def test_dropping_is_routing_without_a_quarantine_where_no_group_is_flagged_whole(world):
    """At the first step, where all knobs are zero, both write the same gradient of delta."""
    one = dataclasses.replace(CONFIG, steps=1, max_grad_norm=1e9)
    dropped, routed = (world.run(ARMS[name], config=one) for name in ("overlap_drop", "route_rollout"))
    assert not any(value.any() for key, value in dropped.knobs.items() if key.endswith("quarantine"))
    assert dropped.log.steps[0]["flagged_share"] == routed.log.steps[0]["flagged_share"] > 0
    for key, value in dropped.knobs.items():
        if key.endswith("delta"):
            assert torch.allclose(value, routed.knobs[key], atol=1e-6)
