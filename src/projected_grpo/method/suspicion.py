"""A step's rollouts before the arm's signal (methods 2b and 3a): what it is shown of them, and what it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from projected_grpo.method.actions import Suspects
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.method.groups import stratum
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.settings import TrainConfig
from projected_grpo.method.signals import (
    Followed,
    Seen,
    Signal,
    as_heavy,
    flag_above,
    flag_shares,
    mean_states,
    score,
)


@dataclass(frozen=True)
class Suspicion:
    """What an arm's signal says of a step's rows, in order: score, flag and stratum (one of STRATA) of each.

    `heavy` are the scores that an action gets, a twin's as heavy as its arm's; `groups` is the share of groups that are
    flagged as a whole.
    """

    scores: Sequence[float]
    heavy: Sequence[float]
    flags: Sequence[bool]
    strata: Sequence[str]
    groups: float


def suspect(
    model,
    adapter: Adapter,
    config: TrainConfig,
    signal: Signal,
    rows: Sequence[Rollout],
    A: torch.Tensor,
    partner: Mapping[str, Followed],
    told: Callable[[Rollout], bool] | None,
    generator: torch.Generator,
) -> Suspicion:
    """Ask the arm's signal about a step's rows; A (P, G) are their advantages as the reward has them.

    A twin follows its `partner` in each of STRATA; `told` is the bit that a detector or the truth is told of a row.
    """
    tokens = [(row.prompt_ids, row.completion_ids) for row in rows]
    numbers: dict[tuple, int] = {}  # what is read of a completion is read once, however often it was sampled
    same = torch.tensor([numbers.setdefault((*prompt, -1, *ids), len(numbers)) for prompt, ids in tokens])
    distinct = [tokens[same.tolist().index(number)] for number in range(len(numbers))]
    how = "fixed", 1.0, config.temperature, config.token_budget, config.gradient_checkpointing

    def gradients() -> dict[str, torch.Tensor]:
        return {name: g[same] for name, g in completion_gradients(model, adapter, distinct, *how).items()}

    seen = Seen(
        tokens,
        [row.completion for row in rows],
        torch.arange(len(A)).repeat_interleave(A.shape[1]),
        model.config.num_hidden_layers,
        lambda layers: mean_states(model, distinct, layers, config.token_budget)[same],
        gradients,
        generator,
        torch.tensor([told(row) for row in rows]) if told else None,
    )
    scores = score(signal, seen)
    strata = [stratum(row, a) for row, a in zip(rows, A.flatten().tolist(), strict=True)]
    if signal.twin:
        flags = flag_shares(scores, strata, {name: followed.share for name, followed in partner.items()})
    else:
        flags = flag_above(scores, signal.threshold)
    heavy = as_heavy(scores, flags, strata, partner)
    whole = flags.view(A.shape).all(1).double().mean().item()
    return Suspicion(scores.tolist(), heavy.tolist(), flags.tolist(), strata, whole)


def suspects(rewards: torch.Tensor, rows: Sequence[Rollout], found: Suspicion, loss_type: str) -> Suspects:
    """Return the step's groups as an action gets them; rewards are (P, G)."""
    shape = rewards.shape
    return Suspects(
        rewards,
        torch.tensor(found.heavy, dtype=torch.float64).view(shape),
        torch.tensor(found.flags).view(shape),
        torch.tensor([row.teacher for row in rows]).view(shape),
        loss_type,
    )
