"""The gradients of one step (method 5): one forward and backward pass, told apart by where the rollouts come from.

1. A batch is sorted by source, so that one backward pass yields the knob gradient of each. For the log's overlaps the
   teacher's rows are three sources: exploiting and other rows with positive advantage, and the rest.
2. An arm that decides per rollout gets the gradient of every single one, from the same pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from projected_grpo.errors import UserError
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.log import NAN, Rollout
from projected_grpo.method.loss import (
    collate,
    completion_logprobs,
    k3,
    micro_batches,
    per_token,
    policy_loss,
    recompute,
)
from projected_grpo.method.settings import TrainConfig

Tensors = dict[str, torch.Tensor]
SOURCES = ("student", "teacher_hack", "teacher_clean", "teacher_rest")


class TrainingError(UserError, RuntimeError):
    """Training cannot go on; the message says at which step and why."""


@dataclass(frozen=True)
class Gradients:
    """Knob gradients of one step's loss, by module.

    by_source    (sources, r), rows as in SOURCES
    rows         the step's rows that have a part in the loss, by number
    per_rollout  (rows, r) in the order of `rows`; empty unless asked for
    quarantine   (q,) in the quarantine's own basis; empty where it has none
    loss, kl     the loss, and the mean K3 term per live token (NaN where it is off)
    """

    by_source: Tensors
    rows: list[int]
    per_rollout: Tensors
    quarantine: Tensors
    loss: float
    kl: float


def source(row: Rollout, advantage: float) -> str:
    """Return the row's gradient source; what the student's verdict says beyond its reward is not looked at."""
    if not row.teacher:
        return "student"
    if advantage <= 0:
        return "teacher_rest"
    return "teacher_hack" if row.verdict.exploited else "teacher_clean"


def backward(
    model,
    adapter: Adapter,
    rows: Sequence[Rollout],
    advantage: Sequence[float],
    config: TrainConfig,
    step: int,
    per_rollout: bool = False,
) -> Gradients:
    """Return the gradients of the step's loss; the KL term is of live rows alone. TrainingError if it is not finite."""
    layers = adapter.layers
    origin = [SOURCES.index(source(row, a)) for row, a in zip(rows, advantage, strict=True)]
    length = [len(row.prompt_ids) + len(row.completion_ids) for row in rows]
    used = [i for i, row in enumerate(rows) if advantage[i] != 0 or (config.kl_coef > 0 and not row.teacher)]
    used.sort(key=lambda i: (origin[i], length[i]))
    by_source = {name: layer.delta.new_zeros(len(SOURCES), len(layer.delta)) for name, layer in layers.items()}
    quarantine = {name: torch.zeros_like(layer.quarantine) for name, layer in layers.items() if layer.distinct}
    single: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    loss_sum, kl_sum, tokens = 0.0, 0.0, 0
    for positions in micro_batches([length[i] for i in used], config.token_budget):
        part = [used[p] for p in positions]
        present = torch.tensor([origin[i] for i in part])
        bounds = range(len(part) + 1) if per_rollout else [int((present < s).sum()) for s in range(len(SOURCES) + 1)]
        with (
            adapter.segments(bounds) as probes,
            adapter.own_basis() as own_probes,
            recompute(model, config.gradient_checkpointing),
        ):
            loss, kl, live = _loss(model, adapter, [rows[i] for i in part], [advantage[i] for i in part], config)
            if not torch.isfinite(loss):
                raise TrainingError(f"step {step}: the loss is {loss.item()}; lower the learning rate")
            loss.backward()
        for name, probe in probes.items():
            gradient = probe.grad.cpu()  # where the knobs are
            if per_rollout:
                single[name].append(gradient)
                by_source[name].index_add_(0, present, gradient)
            else:
                by_source[name] += gradient
        for name, probe in own_probes.items():
            quarantine[name] += probe.grad[0].cpu()
        loss_sum += loss.item()
        kl_sum += kl
        tokens += live
    collected = {name: torch.cat(parts) for name, parts in single.items() if parts}
    mean_kl = kl_sum / tokens if config.kl_coef > 0 and tokens else NAN
    return Gradients(by_source, used, collected, quarantine, loss_sum, mean_kl)


def _loss(model, adapter: Adapter, rows: Sequence[Rollout], advantage: Sequence[float], config: TrainConfig):
    """Return a micro-batch's part of the loss, its sum of K3 terms, and its number of live tokens."""
    batch = collate([(row.prompt_ids, row.completion_ids) for row in rows], model.device)
    constant = config.group_size * config.prompts_per_step
    constant *= config.max_new_tokens if config.loss_type == "dr_grpo" else 1
    live = per_token(torch.tensor([float(not row.teacher) for row in rows], device=model.device), batch.lengths)
    kl = None
    reference = _reference_logprobs(model, adapter, batch, config) if config.kl_coef > 0 else None
    logp = completion_logprobs(model, batch, config.temperature)
    if reference is not None:
        kl = live * k3(logp, reference)
    A = torch.tensor(advantage, dtype=logp.dtype, device=logp.device)
    loss = policy_loss(logp, A, batch.lengths, constant, config.loss_type, kl, config.kl_coef)
    return loss, 0.0 if kl is None else kl.sum().item(), int(live.sum())


@torch.no_grad()
def _reference_logprobs(model, adapter: Adapter, batch, config: TrainConfig) -> torch.Tensor:
    """Return the base model's log-probabilities: a forward at zero knobs, no second model in memory."""
    with adapter.at({}):
        return completion_logprobs(model, batch, config.temperature)
