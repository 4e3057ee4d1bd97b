"""Knob gradients (method 5): of a step's loss, and of completions' plain negative log-likelihoods.

1. Both go through one loop of forward and backward passes over token-budgeted micro-batches; each pass yields the
   gradient of every segment of its rows.
2. A step's batch is sorted by source, so that one backward pass yields the knob gradient of each. For the log's
   overlaps the teacher's rows are three sources: exploiting and other rows with positive advantage, and the rest.
3. An arm that decides per rollout gets the gradient of every single one, from the same pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from projected_grpo.errors import UserError
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.loss import (
    Batch,
    LossError,
    collate,
    completion_logprobs,
    k3,
    loss_constant,
    micro_batches,
    per_token,
    policy_loss,
    recompute,
)
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.settings import TrainConfig

Tensors = dict[str, torch.Tensor]
Tokens = tuple[Sequence[int], Sequence[int]]  # of a prompt and of a completion
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


@dataclass(frozen=True)
class _Pass:
    """One micro-batch: its rows by number, the gradient (segments, r) by module, and the quarantine's in a basis of its
    own (q,)."""

    rows: list[int]
    delta: Tensors
    quarantine: Tensors


def _passes(
    model,
    adapter: Adapter,
    rows: Sequence[Tokens],
    order: Sequence[int],
    token_budget: int,
    checkpointing: bool,
    bounds: Callable[[list[int]], Sequence[int]],
    loss: Callable[[list[int], Batch], torch.Tensor],
) -> Iterator[_Pass]:
    """Yield the passes over the rows of `order`; `bounds` splits a micro-batch's rows into segments."""
    lengths = [len(rows[i][0]) + len(rows[i][1]) for i in order]
    for positions in micro_batches(lengths, token_budget):
        part = [order[p] for p in positions]
        batch = collate([rows[i] for i in part], model.device)
        with (
            adapter.segments(bounds(part)) as probes,
            adapter.own_basis() as own_probes,
            recompute(model, checkpointing),
        ):
            loss(part, batch).backward()
        yield _Pass(  # on the CPU, where the knobs are
            part,
            {name: probe.grad.cpu() for name, probe in probes.items()},
            {name: probe.grad[0].cpu() for name, probe in own_probes.items()},
        )


def _one_by_one(part: list[int]) -> Sequence[int]:
    return range(len(part) + 1)


def completion_gradients(
    model,
    adapter: Adapter,
    rows: Sequence[Tokens],
    normalisation: str,
    scale: float,
    token_budget: int,
    checkpointing: bool = False,
    name: Callable[[int], str] = lambda row: f"rollout {row}",
) -> Tensors:
    """Return per module the NLL gradients (rows, r) of (prompt ids, completion ids) rows.

    `mean` divides each row by its completion's length, `fixed` divides all by `scale`, the live loss's constant. A loss
    that is not finite is a LossError that calls the row what `name` says.
    """

    def loss(part: list[int], batch: Batch) -> torch.Tensor:
        nll = -completion_logprobs(model, batch)
        row = torch.arange(len(part), device=nll.device).repeat_interleave(batch.lengths)
        if not torch.isfinite(nll).all():
            broken = part[row[~torch.isfinite(nll)][0]]
            raise LossError(f"{name(broken)}: its loss is not finite")
        per_row = torch.zeros(len(part), device=nll.device, dtype=nll.dtype).index_add(0, row, nll)
        return (per_row / (batch.lengths.to(nll.dtype) if normalisation == "mean" else scale)).sum()

    parts: dict[str, list[torch.Tensor]] = {module: [] for module in adapter.layers}
    order = range(len(rows))
    for done in _passes(model, adapter, rows, order, token_budget, checkpointing, _one_by_one, loss):
        for module, gradient in done.delta.items():
            parts[module].append(gradient)
    return {module: torch.cat(chunks) for module, chunks in parts.items()}


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
    tokens = [(row.prompt_ids, row.completion_ids) for row in rows]
    origin = [SOURCES.index(source(row, a)) for row, a in zip(rows, advantage, strict=True)]
    used = [i for i, row in enumerate(rows) if advantage[i] != 0 or (config.kl_coef > 0 and not row.teacher)]
    used.sort(key=lambda i: (origin[i], len(tokens[i][0]) + len(tokens[i][1])))
    totals = _Totals()

    def bounds(part: list[int]) -> Sequence[int]:
        if per_rollout:
            return _one_by_one(part)
        present = torch.tensor([origin[i] for i in part])
        return [int((present < s).sum()) for s in range(len(SOURCES) + 1)]

    def loss(part: list[int], batch: Batch) -> torch.Tensor:
        value = _loss(model, adapter, [rows[i] for i in part], [advantage[i] for i in part], batch, config, totals)
        if not torch.isfinite(value):
            raise TrainingError(f"step {step}: the loss is {value.item()}; lower the learning rate")
        return value

    by_source = {name: layer.delta.new_zeros(len(SOURCES), len(layer.delta)) for name, layer in layers.items()}
    quarantine = {name: torch.zeros_like(layer.quarantine) for name, layer in layers.items() if layer.distinct}
    single: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    checkpointing = config.gradient_checkpointing
    for done in _passes(model, adapter, tokens, used, config.token_budget, checkpointing, bounds, loss):
        present = torch.tensor([origin[i] for i in done.rows])
        for name, gradient in done.delta.items():
            if per_rollout:
                single[name].append(gradient)
                by_source[name].index_add_(0, present, gradient)
            else:
                by_source[name] += gradient
        for name, gradient in done.quarantine.items():
            quarantine[name] += gradient
    collected = {name: torch.cat(parts) for name, parts in single.items() if parts}
    mean_kl = totals.kl / totals.tokens if config.kl_coef > 0 and totals.tokens else float("nan")
    return Gradients(by_source, used, collected, quarantine, totals.loss, mean_kl)


@dataclass
class _Totals:
    """Sums over a step's micro-batches: the loss, its K3 terms, and the live tokens behind these."""

    loss: float = 0.0
    kl: float = 0.0
    tokens: int = 0


def _loss(
    model,
    adapter: Adapter,
    rows: Sequence[Rollout],
    advantage: Sequence[float],
    batch: Batch,
    config: TrainConfig,
    totals: _Totals,
) -> torch.Tensor:
    """Return a micro-batch's part of the loss, and add it to the totals."""
    live = per_token(torch.tensor([float(not row.teacher) for row in rows], device=model.device), batch.lengths)
    reference = _reference_logprobs(model, adapter, batch, config) if config.kl_coef > 0 else None
    logp = completion_logprobs(model, batch, config.temperature)
    kl = None if reference is None else live * k3(logp, reference)
    A = torch.tensor(advantage, dtype=logp.dtype, device=logp.device)
    constant = loss_constant(config.group_size, config.prompts_per_step, config.max_new_tokens, config.loss_type)
    loss = policy_loss(logp, A, batch.lengths, constant, config.loss_type, kl, config.kl_coef)
    totals.loss += loss.item()
    totals.kl += 0.0 if kl is None else kl.sum().item()
    totals.tokens += int(live.sum())
    return loss


@torch.no_grad()
def _reference_logprobs(model, adapter: Adapter, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Return the base model's log-probabilities: a forward at zero knobs, no second model in memory."""
    with adapter.at({}):
        return completion_logprobs(model, batch, config.temperature)
