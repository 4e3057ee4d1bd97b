"""Knob gradients (method 5): of a step's loss, and of completions' plain negative log-likelihoods.

1. Both go through one loop of forward and backward passes over token-budgeted micro-batches; each pass yields the
   gradient of every segment of its rows.
2. A step's batch is sorted by source, so that one backward pass yields the knob gradient of each. For the log's
   overlaps the teacher's rows are three sources: exploiting and other rows with positive advantage, and the rest.
3. Rows whose gradient `delta` is not to have (an action routes them) go through the model in passes of their own.
4. So do rows that were sampled with the quarantine ablated, in that state, so that the ratio is 1 for them too; the
   quarantine has no part in their gradient.
5. Rows are token ids here: nothing in this module knows a verdict, an arm or the trainer's settings.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import torch

from projected_grpo.errors import UserError
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.loss import (
    Batch,
    LossConfig,
    LossError,
    collate,
    completion_logprobs,
    k3,
    micro_batches,
    per_token,
    policy_loss,
    recompute,
)

Tensors = dict[str, torch.Tensor]
Tokens = tuple[Sequence[int], Sequence[int]]  # of a prompt and of a completion
SOURCES = ("student", "teacher_hack", "teacher_clean", "teacher_rest")


class TrainingError(UserError, RuntimeError):
    """Training cannot go on; the message says at which step and why."""


@dataclass(frozen=True)
class Gradients:
    """Knob gradients of one step's loss, by module.

    by_source    (sources, r), rows as in SOURCES
    kept         (sources, r) the part of it that `delta` may learn from: all but the routed rows'
    quarantine   (q,) in the quarantine's own basis; empty where it has none
    ablated      (r,) the part of the sum over sources that comes from ablated rows; empty where there are none
    loss, kl     the loss, and the mean K3 term per live token (NaN where it is off)
    """

    by_source: Tensors
    kept: Tensors
    quarantine: Tensors
    ablated: Tensors
    loss: float
    kl: float


@dataclass(frozen=True)
class _Loss:
    """A micro-batch's part of a loss, its sum of K3 terms, and the live tokens behind these."""

    value: torch.Tensor
    kl: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class _Pass:
    """One micro-batch: the gradient (segments, r) by module, the quarantine's in a basis of its own (q,), the loss."""

    delta: Tensors
    quarantine: Tensors
    loss: _Loss


def _passes(
    model,
    adapter: Adapter,
    rows: Sequence[Tokens],
    order: Sequence[int],
    token_budget: int,
    checkpointing: bool,
    bounds: Callable[[list[int]], Sequence[int]],
    loss: Callable[[list[int], Batch], _Loss],
    own_basis: bool = False,
) -> Iterator[_Pass]:
    """Yield the passes over the rows of `order`; `bounds` splits a micro-batch's rows into segments, and `own_basis`
    asks for the quarantine's gradient too."""
    lengths = [len(rows[i][0]) + len(rows[i][1]) for i in order]
    for positions in micro_batches(lengths, token_budget):
        part = [order[p] for p in positions]
        batch = collate([rows[i] for i in part], model.device)
        with (
            adapter.segments(bounds(part)) as probes,
            adapter.own_basis() if own_basis else nullcontext({}) as own_probes,
            recompute(model, checkpointing),
        ):
            found = loss(part, batch)
            found.value.backward()
        yield _Pass(  # on the CPU, where the knobs are
            {name: probe.grad.cpu() for name, probe in probes.items()},
            {name: probe.grad[0].cpu() for name, probe in own_probes.items()},
            found,
        )


def _one_by_one(part: list[int]) -> Sequence[int]:
    return range(len(part) + 1)


def completion_gradients(
    model,
    adapter: Adapter,
    rows: Sequence[Tokens],
    normalisation: str,
    scale: float,
    temperature: float,
    token_budget: int,
    checkpointing: bool = False,
    name: Callable[[int], str] = lambda row: f"rollout {row}",
) -> Tensors:
    """Return per module the NLL gradients (rows, r) of (prompt ids, completion ids) rows.

    The likelihood is that of the policy that samples at `temperature`, as in the live loss. `mean` divides each row by
    its completion's length, `fixed` divides all by `scale`, the live loss's constant. A loss that is not finite is a
    LossError that calls the row what `name` says.
    """

    def loss(part: list[int], batch: Batch) -> _Loss:
        nll = -completion_logprobs(model, batch, temperature)
        row = torch.arange(len(part), device=nll.device).repeat_interleave(batch.lengths)
        if not torch.isfinite(nll).all():
            broken = part[row[~torch.isfinite(nll)][0]]
            raise LossError(f"{name(broken)}: its loss is not finite")
        per_row = torch.zeros(len(part), device=nll.device, dtype=nll.dtype).index_add(0, row, nll)
        return _Loss((per_row / (batch.lengths.to(nll.dtype) if normalisation == "mean" else scale)).sum())

    parts: dict[str, list[torch.Tensor]] = {module: [] for module in adapter.layers}
    order = range(len(rows))
    for done in _passes(model, adapter, rows, order, token_budget, checkpointing, _one_by_one, loss):
        for module, gradient in done.delta.items():
            parts[module].append(gradient)
    return {module: torch.cat(chunks) for module, chunks in parts.items()}


def backward(
    model,
    adapter: Adapter,
    rows: Sequence[Tokens],
    sources: Sequence[str],
    advantage: Sequence[float],
    config: LossConfig,
    token_budget: int,
    checkpointing: bool,
    step: int,
    routed: Sequence[bool] | None = None,
    ablated: Sequence[bool] | None = None,
) -> Gradients:
    """Return the gradients of the step's loss; `sources` has each row's name in SOURCES.

    Of rows that are `routed` (None: none) delta learns nothing, and rows that are `ablated` (None: none) are taken with
    the quarantine ablated. The KL term is of live rows alone.
    TrainingError if the loss is not finite.
    """
    layers = adapter.layers
    origin = [SOURCES.index(source) for source in sources]
    live = [source == "student" for source in sources]
    off = [False] * len(rows) if ablated is None else ablated
    aside = [False] * len(rows) if routed is None else routed
    used = [i for i in range(len(rows)) if advantage[i] != 0 or (config.kl_coef > 0 and live[i])]
    used.sort(key=lambda i: (off[i], aside[i], origin[i], len(rows[i][0]) + len(rows[i][1])))

    def bounds(part: list[int]) -> Sequence[int]:
        present = torch.tensor([origin[i] for i in part])
        return [int((present < s).sum()) for s in range(len(SOURCES) + 1)]

    def loss(part: list[int], batch: Batch) -> _Loss:
        found = _loss(model, adapter, batch, [advantage[i] for i in part], [live[i] for i in part], config)
        if not torch.isfinite(found.value):
            raise TrainingError(f"step {step}: the loss is {found.value.item()}; lower the learning rate")
        return found

    def passes() -> Iterator[tuple[bool, bool, _Pass]]:
        for without, apart in product((False, True), repeat=2):
            part = [i for i in used if (off[i], aside[i]) == (without, apart)]
            with adapter.ablated() if without and part else nullcontext():
                for done in _passes(
                    model, adapter, rows, part, token_budget, checkpointing, bounds, loss, own_basis=not without
                ):
                    yield without, apart, done

    by_source = {name: layer.delta.new_zeros(len(SOURCES), len(layer.delta)) for name, layer in layers.items()}
    kept = {name: torch.zeros_like(g) for name, g in by_source.items()} if any(aside) else by_source
    of_ablated = {name: torch.zeros_like(layer.delta) for name, layer in layers.items()} if any(off) else {}
    quarantine = {name: torch.zeros_like(layer.quarantine) for name, layer in layers.items() if layer.distinct}
    loss_sum, kl_sum, tokens = 0.0, 0.0, 0
    for without, apart, done in passes():
        for name, gradient in done.delta.items():
            by_source[name] += gradient
            if kept is not by_source and not apart:
                kept[name] += gradient
            if without:
                of_ablated[name] += gradient.sum(0)
        for name, gradient in done.quarantine.items():
            quarantine[name] += gradient
        loss_sum += done.loss.value.item()
        kl_sum += done.loss.kl
        tokens += done.loss.tokens
    mean_kl = kl_sum / tokens if config.kl_coef > 0 and tokens else float("nan")
    return Gradients(by_source, kept, quarantine, of_ablated, loss_sum, mean_kl)


def _loss(
    model, adapter: Adapter, batch: Batch, advantage: Sequence[float], live: Sequence[bool], config: LossConfig
) -> _Loss:
    """Return a micro-batch's part of the loss."""
    live_tokens = per_token(torch.tensor([float(flag) for flag in live], device=model.device), batch.lengths)
    reference = _reference_logprobs(model, adapter, batch, config.temperature) if config.kl_coef > 0 else None
    logp = completion_logprobs(model, batch, config.temperature)
    kl = None if reference is None else live_tokens * k3(logp, reference)
    A = torch.tensor(advantage, dtype=logp.dtype, device=logp.device)
    value = policy_loss(logp, A, batch.lengths, config.constant, config.loss_type, kl, config.kl_coef)
    return _Loss(value, 0.0 if kl is None else kl.sum().item(), int(live_tokens.sum()))


@torch.no_grad()
def _reference_logprobs(model, adapter: Adapter, batch: Batch, temperature: float) -> torch.Tensor:
    """Return the base model's log-probabilities: a forward at zero knobs, no second model in memory."""
    with adapter.at({}):
        return completion_logprobs(model, batch, temperature)
