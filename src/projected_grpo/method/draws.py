"""What both ways of continuing rows share (method 6): a row's state, its next token, and where it ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from projected_grpo.method.head import logit_chunk, logits


@dataclass
class Rows:
    """Rows about to be continued: the prompts' cache, whose rows are still one per prompt; of each row its prompt
    (B,), last hidden state (B, H), mask (B, longest prompt), left-padded, and last position (B, 1)."""

    cache: object
    prompt: torch.Tensor
    hidden: torch.Tensor
    mask: torch.Tensor
    position: torch.Tensor


def sample_token(scores: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sample one token per row of logits (B, V) by inverting the CDF at `uniforms` (B,); temperature 0 is greedy."""
    if temperature == 0:
        return scores.argmax(-1)
    cdf = torch.softmax(scores.float() / temperature, -1).cumsum(-1)  # (B, V)
    return (
        torch.searchsorted(cdf, uniforms[:, None] * cdf[:, -1:], right=True).squeeze(1).clamp(max=scores.shape[-1] - 1)
    )


def next_tokens(model, hidden: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return one token per row (B,) from hidden states (B, H), the logits in chunks."""
    chunk = logit_chunk(model)
    parts = zip(hidden.split(chunk), uniforms.split(chunk), strict=True)
    return torch.cat([sample_token(logits(model, h), u, temperature) for h, u in parts])


def until_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return the ids up to the first end token, which belongs to them."""
    return list(ids[: next((i for i, token in enumerate(ids) if token in ends), len(ids)) + 1])
