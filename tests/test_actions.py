"""Method 3a: every action against numbers worked out by hand, and its limiting cases."""

import math

import pytest
import torch

from projected_grpo.method.actions import ACTIONS, Suspects, act, over_unflagged
from projected_grpo.method.loss import advantages
from projected_grpo.method.own import OwnCodeError
from projected_grpo.method.settings import Intervention

DOSES = {
    "penalise": Intervention(action="penalise", strength=2.0),
    "discount": Intervention(action="discount", alpha=0.5),
    "drop": Intervention(action="drop"),
    "route": Intervention(action="route", quarantine_rank=2),
}
NOBODY = [[False] * 4]


def suspects(rewards, flags, teacher=NOBODY, scores=None, loss_type="dr_grpo"):
    rewards = torch.tensor(rewards, dtype=torch.float64)
    scores = torch.zeros_like(rewards) if scores is None else torch.tensor(scores, dtype=torch.float64)
    flags, teacher = torch.tensor(flags), torch.tensor(teacher).expand(rewards.shape)
    return Suspects(rewards, scores, flags, teacher, loss_type)


def by_hand(action, expected, **step):
    got = act(suspects(**step), DOSES[action])
    assert got.tolist() == [pytest.approx(row) for row in expected]


R = [[1.25, 1.25, 0.25, 0.25]]


def test_penalise_by_hand():
    """R' = (-0.75, 1.25, 0.25, 0.25), of mean 0.25."""
    by_hand("penalise", [[-1, 1, 0, 0]], rewards=R, flags=[[True, False, False, False]])


def test_discount_by_hand():
    """sigmoid(log 3) = 3/4, so the first reward is multiplied by 1 - 3/8: R' = (0.78125, 1.25, 0.25, 0.25), of mean
    0.6328125. A score that is not flagged discounts nothing."""
    by_hand(
        "discount",
        [[0.1484375, 0.6171875, -0.3828125, -0.3828125]],
        rewards=R,
        flags=[[True, False, False, False]],
        scores=[[math.log(3), 5.0, -1.0, 0.0]],
    )


def test_drop_by_hand():
    """The mean of the other three is 7/12; the flagged one has no part."""
    by_hand("drop", [[0, 2 / 3, -1 / 3, -1 / 3]], rewards=R, flags=[[True, False, False, False]])


def test_route_by_hand():
    """The same mean; the flagged one keeps its advantage, which the quarantine learns from."""
    by_hand("route", [[2 / 3, 2 / 3, -1 / 3, -1 / 3]], rewards=R, flags=[[True, False, False, False]])


def test_grpo_divides_by_the_whole_groups_deviation():
    """Of (1.25, 1.25, 0.25, 0.25) it is sqrt(1/3)."""
    step = suspects(R, [[True, False, False, False]], loss_type="grpo")
    expected = [x / ((1 / 3) ** 0.5 + 1e-4) for x in (0, 2 / 3, -1 / 3, -1 / 3)]
    assert act(step, DOSES["drop"])[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo"])
@pytest.mark.parametrize("action", ACTIONS)
def test_without_a_flag_it_is_vanilla_bit_for_bit(action, loss_type):
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(5, 8, generator=generator, dtype=torch.float64)
    scores, nothing = 9 * rewards, torch.zeros(5, 8, dtype=torch.bool)
    step = Suspects(rewards, scores, nothing, ~nothing, loss_type)
    assert torch.equal(act(step, DOSES[action]), advantages(rewards, loss_type))


def test_a_group_that_is_flagged_as_a_whole():
    """A penalty on all is none; a discount scales; dropped, the group teaches nothing; routed, it is the group's
    own."""
    step = {"rewards": R, "flags": [[True] * 4]}
    plain = [[0.5, 0.5, -0.5, -0.5]]
    by_hand("penalise", plain, **step)
    by_hand("discount", [[0.375, 0.375, -0.375, -0.375]], **step)  # sigmoid(0) = 1/2, so every reward times 3/4
    by_hand("drop", [[0] * 4], **step)
    by_hand("route", plain, **step)


def test_a_group_with_one_that_is_not_flagged():
    """It is its own mean."""
    step = {"rewards": R, "flags": [[True, False, True, True]]}
    by_hand("drop", [[0] * 4], **step)
    by_hand("route", [[0, 0, -1, -1]], **step)


def test_unflagged_rollouts_of_one_reward_get_exact_zeros():
    """Or rounding would be a gradient, which Adam makes full steps of."""
    rewards = [[0.1, 0.1, 0.1, 0.7]]
    assert (advantages(torch.tensor(rewards, dtype=torch.float64)[:, :3]) == 0).all()
    assert (over_unflagged(suspects(rewards, [[False, False, False, True]]))[0, :3] == 0).all()


TEACHER = [[True, True, False, False]]


def test_a_penalty_takes_a_flagged_teacher_row_to_zero_and_no_further():
    """R' = (-0.75, -0.75, 0.25, 0.25), of mean -0.25: the teacher's -0.5 becomes 0, a live row's does not."""
    flags = [[True, True, False, False]]
    by_hand("penalise", [[0, 0, 0.5, 0.5]], rewards=R, flags=flags, teacher=TEACHER)
    by_hand("penalise", [[-0.5, -0.5, 0.5, 0.5]], rewards=R, flags=flags)


def test_a_teacher_row_that_is_not_flagged_keeps_its_advantage():
    """R' = (0.25, 0.25, -0.75, 1.25), of mean 0.25."""
    rewards, flags = [[0.25, 0.25, 1.25, 1.25]], [[False, False, True, False]]
    by_hand("penalise", [[0, 0, -1, 1]], rewards=rewards, flags=flags, teacher=TEACHER)
    rewards = [[0.25, 0.25, 1.25, 3.25]]  # R' = (0.25, 0.25, -0.75, 3.25), of mean 0.75
    by_hand("penalise", [[-0.5, -0.5, -1.5, 2.5]], rewards=rewards, flags=flags, teacher=TEACHER)


def test_a_discounted_teacher_row_is_not_pushed_away_either():
    """Of equal rewards the flagged ones fall below the mean."""
    rewards, flags = [[1.0] * 4], [[True, True, False, False]]
    by_hand("discount", [[0, 0, 0.125, 0.125]], rewards=rewards, flags=flags, teacher=TEACHER)


@pytest.mark.parametrize("action", ["drop", "route"])
def test_dropping_and_routing_treat_teacher_rows_like_live_ones(action):
    step = {"rewards": R, "flags": [[True, False, False, False]]}
    plain = act(suspects(**step), DOSES[action])
    assert torch.equal(plain, act(suspects(**step, teacher=TEACHER), DOSES[action]))


def test_an_action_of_ones_own_has_to_give_advantages(monkeypatch, tmp_path):
    (tmp_path / "own_actions.py").write_text(
        "from projected_grpo.method.loss import advantages\n"
        "def halve(step, how):\n    return advantages(step.rewards) * (1 - 0.5 * step.flags)\n"
        "def forget(step, how):\n    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    step = suspects(R, [[True, False, False, False]])
    assert act(step, Intervention(action="own_actions:halve")).tolist() == [[0.25, 0.5, -0.5, -0.5]]
    for name, message in (
        ("own_actions:forget", r"action own_actions:forget: it has to give the advantages \(1, 4\), finite"),
        ("own_actions:nothing", "own_actions:nothing: .* its module has to be on PYTHONPATH"),
        ("no_such_module:f", "no_such_module:f: No module named 'no_such_module'; its module has to be on PYTHONPATH"),
    ):
        with pytest.raises(OwnCodeError, match=message):
            act(step, Intervention(action=name))
