"""Actions (method 3a): what is done with suspect rollouts; pure functions from rewards and flags to advantages.

1. penalise and discount lower a flagged rollout's reward before the group's mean is taken; drop and route take the mean
   over the rollouts that are not flagged. Without a flag, each gives the advantages of `loss.advantages` bit for bit.
2. Teacher rows are flagged like live ones. A penalty would push the likelihood of these frozen rows down without bound,
   because no policy samples them less for it (measured: solving collapses). So under penalise and discount a flagged
   teacher row's advantage is never below zero. The papers that these actions are from train on live rollouts alone.
3. `route` also sends the flagged rollouts' gradient to the quarantine alone, which is the trainer's part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from projected_grpo.method import own
from projected_grpo.method.loss import GRPO_EPS, advantages
from projected_grpo.method.settings import Intervention


@dataclass(frozen=True)
class Suspects:
    """A step's groups: rewards and scores (P, G) float64, flags and teacher (P, G) bool; loss_type as in the config."""

    rewards: torch.Tensor
    scores: torch.Tensor
    flags: torch.Tensor
    teacher: torch.Tensor
    loss_type: str = "dr_grpo"


def penalise(step: Suspects, how: Intervention) -> torch.Tensor:
    """Return the advantages (P, G) of R' = R - strength * flag."""
    return _shaped(step, step.rewards - how.strength * step.flags)


def discount(step: Suspects, how: Intervention) -> torch.Tensor:
    """Return the advantages (P, G) of R' = R * (1 - alpha * sigmoid(score) * flag) (arXiv:2604.01476)."""
    return _shaped(step, step.rewards * (1 - how.alpha * torch.sigmoid(step.scores) * step.flags))


def drop(step: Suspects, how: Intervention) -> torch.Tensor:
    """Return the advantages (P, G) over the mean of the unflagged, 0 for the flagged.

    What the loss is divided by stays that of the whole group, so that a step does not grow; a group that is flagged as
    a whole teaches nothing.
    """
    return torch.where(step.flags, torch.zeros_like(step.rewards), over_unflagged(step))


def route(step: Suspects, how: Intervention) -> torch.Tensor:
    """Return the advantages (P, G) over the mean of the unflagged; of a group that is flagged as a whole, over its
    own."""
    return over_unflagged(step)


ACTIONS: Mapping[str, Callable[[Suspects, Intervention], torch.Tensor]] = {
    "penalise": penalise,
    "discount": discount,
    "drop": drop,
    "route": route,
}


def act(step: Suspects, how: Intervention) -> torch.Tensor:
    """Return the advantages (P, G) that the arm's action makes of a step; an action of one's own that gives anything
    else is an OwnCodeError."""
    action = ACTIONS[how.action] if how.action in ACTIONS else own.function(how.action)
    A = action(step, how)
    if not isinstance(A, torch.Tensor) or A.shape != step.rewards.shape or not A.isfinite().all():
        raise own.OwnCodeError(
            f"action {how.action}: it has to give the advantages {tuple(step.rewards.shape)}, finite"
        )
    return A


def over_unflagged(step: Suspects) -> torch.Tensor:
    """Return R minus the mean of the group's unflagged rollouts (P, G); `grpo` divides by the whole group's deviation.

    Unflagged rollouts of one reward get exact zeros. A group without flags, or of nothing else, is `advantages`' own.
    """
    R, kept = step.rewards, ~step.flags
    count = kept.sum(1, keepdim=True)
    mean = (R * kept).sum(1, keepdim=True) / count.clamp(min=1)
    high = R.masked_fill(~kept, -torch.inf).amax(1, keepdim=True)
    low = R.masked_fill(~kept, torch.inf).amin(1, keepdim=True)
    A = torch.where(kept & (high == low), torch.zeros_like(R), R - mean)
    if step.loss_type == "grpo":
        A = A / (R.std(1, keepdim=True) + GRPO_EPS)
    mixed = (count > 0) & (count < R.shape[1])
    return torch.where(mixed, A, advantages(R, step.loss_type))


def _shaped(step: Suspects, rewards: torch.Tensor) -> torch.Tensor:
    A = advantages(rewards, step.loss_type)
    return torch.where(step.flags & step.teacher, A.clamp(min=0), A)
