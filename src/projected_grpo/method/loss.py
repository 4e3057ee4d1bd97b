"""The loss (method 5): Dr.GRPO (arXiv:2503.20783) in PPO-clip form, with one inner step.

1. A = R - mean(R) within the group, no division by its standard deviation; `grpo` divides, as the classic does.
2. Dr.GRPO sums over completion tokens and divides by ONE constant (`loss_constant`); the classic divides each
   completion by its own length.
3. With a single inner step the ratio is 1 and clipping never acts; its form is kept because its gradient is the
   policy gradient.
4. The end-of-turn token belongs to the completion; padding never does, even when both are the same token, because
   completions are given by their lengths.

Sign: a loss, so descending it raises the log-probability of completions with positive advantage.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from projected_grpo.errors import UserError
from projected_grpo.method.head import logit_chunk, logits

CLIP = 0.2
GRPO_EPS = 1e-4


class LossError(UserError, ValueError):
    """A model whose loss cannot be computed as asked."""


def advantages(rewards: torch.Tensor, loss_type: str = "dr_grpo") -> torch.Tensor:
    """Return the advantages (P, G) of rewards (P, G); a group without variance gets exact zeros."""
    centred = rewards - rewards.mean(1, keepdim=True)
    centred = torch.where((rewards == rewards[:, :1]).all(1, keepdim=True), torch.zeros_like(centred), centred)
    if loss_type == "grpo":
        return centred / (rewards.std(1, keepdim=True) + GRPO_EPS)
    return centred


@dataclass(frozen=True)
class LossConfig:
    """loss_type: dr_grpo | grpo; constant: what the sum over tokens is divided by; temperature: of the policy that
    sampled; kl_coef: weight of the K3 term, 0 for none."""

    loss_type: str
    constant: float
    temperature: float
    kl_coef: float


def loss_constant(group_size: int, prompts_per_step: int, max_new_tokens: int, loss_type: str = "dr_grpo") -> float:
    """Return what the sum over tokens is divided by: Dr.GRPO's group * prompts * max_new_tokens, the classic's without
    the tokens. Dr.GRPO's is also the `fixed` normalisation of V."""
    return float(group_size * prompts_per_step * (max_new_tokens if loss_type == "dr_grpo" else 1))


@dataclass(frozen=True)
class Batch:
    """Right-padded rows prompt + completion: tokens (B, T), first completion position and length per row."""

    tokens: torch.Tensor
    starts: torch.Tensor
    lengths: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """(B, T - 1) bool: position t predicts token t + 1 of the completion."""
        position = torch.arange(1, self.tokens.shape[1], device=self.tokens.device)
        return (position >= self.starts[:, None]) & (position < (self.starts + self.lengths)[:, None])


def collate(rows: Sequence[tuple[Sequence[int], Sequence[int]]], device: str | torch.device = "cpu") -> Batch:
    """Stack (prompt ids, completion ids) rows, right-padded; causal attention keeps real tokens from the padding."""
    longest = max(len(prompt) + len(completion) for prompt, completion in rows)
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, (prompt, completion) in enumerate(rows):
        tokens[i, : len(prompt) + len(completion)] = torch.tensor([*prompt, *completion])
    starts = torch.tensor([len(prompt) for prompt, _ in rows])
    lengths = torch.tensor([len(completion) for _, completion in rows])
    return Batch(tokens.to(device), starts.to(device), lengths.to(device))


def micro_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Split row indices, in order, so that padded size (rows x longest) stays within `token_budget` tokens."""
    batches: list[list[int]] = [[]]
    longest = 0
    for index, length in enumerate(lengths):
        if batches[-1] and max(longest, length) * (len(batches[-1]) + 1) > token_budget:
            batches.append([])
            longest = 0
        batches[-1].append(index)
        longest = max(longest, length)
    return [batch for batch in batches if batch]


def completion_logprobs(model, batch: Batch, temperature: float = 1.0) -> torch.Tensor:
    """Return log p of every completion token, (tokens of all completions,), rows one after the other.

    p is the policy that samples at `temperature`: the softmax of logits / temperature.

    Logits exist for completion tokens only and never all at once: in chunks, recomputed in the backward pass.
    """
    chunk = logit_chunk(model)
    hidden = model.get_decoder()(input_ids=batch.tokens[:, :-1], use_cache=False).last_hidden_state
    mask = batch.mask
    hidden, target = hidden[mask], batch.tokens[:, 1:][mask]  # (N, H), (N,)

    def logprobs(hidden: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        scores = logits(model, hidden)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if temperature != 1:  # which would write as many numbers again
            scores = scores / temperature
        return -F.cross_entropy(scores, target, reduction="none")

    if len(target) <= chunk:
        return logprobs(hidden, target)
    parts = zip(hidden.split(chunk), target.split(chunk), strict=True)
    return torch.cat([checkpoint(logprobs, h, t, use_reentrant=False) for h, t in parts])


@contextmanager
def recompute(model, checkpointing: bool) -> Iterator[None]:
    """Inside, if asked, keep one activation per decoder layer and recompute the others in the backward pass.

    transformers does that for models in training mode only; one with dropout would learn for another policy than the
    one that sampled, and is a LossError, as is one that cannot.
    """
    if not checkpointing:
        yield
        return
    if not model.supports_gradient_checkpointing:
        raise LossError(f"train.gradient_checkpointing: a {type(model).__name__} cannot; set it to false")
    dropout = [module for module in model.modules() if isinstance(module, torch.nn.Dropout) and module.p > 0]
    if dropout or getattr(model.config, "attention_dropout", 0):
        raise LossError("train.gradient_checkpointing: the model has dropout; set it to 0 in the model's config")
    if not model.is_activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.disable_input_require_grads()  # which only the reentrant form needs
    model.train()
    try:
        yield
    finally:
        model.eval()


def per_token(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Repeat one value per row over its completion tokens: (B,) -> (N,)."""
    return torch.repeat_interleave(values, lengths)


def k3(logp: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return the K3 estimate of KL(policy || reference) per token: e^d - d - 1 with d = reference - logp."""
    d = reference - logp
    return d.exp() - d - 1


def policy_loss(
    logp: torch.Tensor,
    advantage: torch.Tensor,
    lengths: torch.Tensor,
    denominator: float,
    loss_type: str = "dr_grpo",
    kl: torch.Tensor | None = None,
    kl_coef: float = 0.0,
) -> torch.Tensor:
    """Return the loss of a micro-batch: logp and kl (N,), advantage and lengths (B,).

    `denominator` is `loss_constant`'s.
    """
    ratio = (logp - logp.detach()).exp()
    A = per_token(advantage.to(logp.dtype), lengths)
    terms = -torch.minimum(ratio * A, ratio.clamp(1 - CLIP, 1 + CLIP) * A)
    if kl is not None:
        terms = terms + kl_coef * kl
    if loss_type == "grpo":
        terms = terms / per_token(lengths.to(logp.dtype), lengths)
    return terms.sum() / denominator
