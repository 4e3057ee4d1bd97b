"""Qwen3 written out, for the organism: the bits of transformers' own, without what that costs.

1. For any model transformers imports torch's compiler, three seconds of a job that takes half a minute; and what it
   does between the operations is a quarter of the time in which so small a model samples.
2. Modules and weights have transformers' names, so that one directory serves both; there is what an organism has: full
   attention, tied embeddings, rotary positions without scaling.
3. The operations are transformers' too, in the same order, so that logits and gradients are the same bit for bit; a
   test compares them. Weights are frozen: gradients flow through them, not into them.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from projected_grpo.artifacts.io import read_tensors


@dataclass(frozen=True)
class Qwen3Config:
    """The shape of a model, in the words of its config.json; rope_theta: base of the rotary frequencies."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float

    def get_text_config(self) -> "Qwen3Config":
        return self


@dataclass(frozen=True)
class Output:
    """What a decoder returns: last_hidden_state (B, T, H)."""

    last_hidden_state: torch.Tensor


class Cache:
    """Keys and values of every layer, (B, heads, tokens, head_dim); `update` appends, `reorder_cache` selects rows."""

    def __init__(self, layers: int):
        self.layers: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * layers

    @property
    def length(self) -> int:
        return 0 if self.layers[0] is None else self.layers[0][0].shape[2]

    def update(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if (past := self.layers[layer]) is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        self.layers[layer] = keys, values
        return keys, values

    def reorder_cache(self, rows: torch.Tensor) -> None:
        self.layers = [(keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.layers]


def _normalised(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, ...]:
    """Return weight * x / sqrt(mean(x^2) + eps) over the last axis, in float32, and what its gradient needs."""
    wide = x.float()
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * (wide * scale).to(x.dtype), wide, scale


class _Normalise(torch.autograd.Function):
    """x to (`_normalised` x, x): one pass back over what autograd would take ten for, in its order of operations.

    x passes through because its gradient is a sum of three, of which autograd adds the residual's first.
    """

    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.set_materialize_grads(False)
        made, wide, scale = _normalised(x, weight, eps)
        ctx.save_for_backward(weight, wide, scale)
        return made, x

    @staticmethod
    def backward(ctx, grad, grad_residual):
        weight, wide, scale = ctx.saved_tensors
        inner = (grad * weight).float()
        of_scale = (inner * wide).sum(-1, keepdim=True)
        of_square = (2 * wide).mul_(-0.5 * of_scale * scale.pow(3) / wide.shape[-1])
        direct = inner.mul_(scale)
        if grad_residual is not None and grad.dtype == torch.float32:
            return direct.add_(grad_residual).add_(of_square), None, None
        found = direct.add_(of_square).to(grad.dtype)
        return found if grad_residual is None else found + grad_residual, None, None


class RMSNorm(nn.Module):
    """Returns (x normalised, x), the latter to go on with."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if torch.is_grad_enabled():
            return _Normalise.apply(x, self.weight, self.eps)
        return _normalised(x, self.weight, self.eps)[0], x


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return (x * cos).add_(torch.cat([-second, first], -1).mul_(sin))


class _Rotate(torch.autograd.Function):
    """`_rotated`, whose gradient is a rotation backwards."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        first, second = (grad * sin).chunk(2, -1)
        return (grad * cos).add_(torch.cat([second, -first], -1)), None, None


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Return x (B, heads, T, D) with its halves rotated by the positions' angles."""
    return _Rotate.apply(x, cos, sin) if torch.is_grad_enabled() else _rotated(x, cos, sin)


class Attention(nn.Module):
    def __init__(self, config: Qwen3Config, number: int):
        super().__init__()
        self.number, self.head_dim = number, config.head_dim
        self.groups = config.num_attention_heads // config.num_key_value_heads
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def forward(self, x: torch.Tensor, cos, sin, mask: torch.Tensor | None, cache: Cache | None) -> torch.Tensor:
        by_head = (*x.shape[:2], -1, self.head_dim)
        q, _ = self.q_norm(self.q_proj(x).view(by_head))
        k, _ = self.k_norm(self.k_proj(x).view(by_head))
        q, k = rotated(q.transpose(1, 2), cos, sin), rotated(k.transpose(1, 2), cos, sin)  # (B, heads, T, D)
        v = self.v_proj(x).view(by_head).transpose(1, 2)
        if cache is not None:
            k, v = cache.update(self.number, k, v)
        attended = self.attend(q, k, v, mask)
        return self.o_proj(attended.transpose(1, 2).reshape(*x.shape[:2], -1))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return (B, heads, T, D). Without a mask the queries are all of the tokens, or the last one."""
        shape = q.shape
        if mask is not None and shape[2] == 1:
            q = q.reshape(shape[0], -1, self.groups, self.head_dim)  # one token of each head, beside each other
        elif mask is not None and self.groups > 1:
            k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        causal = mask is None and shape[2] > 1
        shared = mask is None and self.groups > 1
        scale = self.head_dim**-0.5
        found = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale, enable_gqa=shared)
        return found.reshape(shape)


class MLP(nn.Module):
    def __init__(self, config: Qwen3Config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Qwen3Config, number: int):
        super().__init__()
        self.self_attn = Attention(config, number)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: torch.Tensor, *attention) -> torch.Tensor:
        normed, x = self.input_layernorm(x)
        normed, x = self.post_attention_layernorm(x + self.self_attn(normed, *attention))
        return x + self.mlp(normed)


class Decoder(nn.Module):
    def __init__(self, config: Qwen3Config):
        super().__init__()
        self.embed_tokens = nn.Embedding.from_pretrained(torch.empty(config.vocab_size, config.hidden_size))
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float, device="cpu") / config.head_dim
        self.frequencies = 1.0 / (config.rope_theta**exponents)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
    ) -> Output:
        """Return the last hidden state of tokens (B, T) that follow those in the cache, if there is one.

        attention_mask (B, tokens in all) is 0 for padding on the left; position_ids (B or 1, T). Arguments have
        transformers' names; the cache is used if it is there.
        """
        queries, past = input_ids.shape[1], 0 if past_key_values is None else past_key_values.length
        device = input_ids.device
        if position_ids is None:
            position_ids = torch.arange(past, past + queries, device=device)[None]
        x = self.embed_tokens(input_ids)
        angles = position_ids[..., None].float() * self.frequencies.to(device)  # (B or 1, T, D / 2)
        angles = torch.cat([angles, angles], -1)[:, None]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        mask = _mask(attention_mask, queries, past)
        for layer in self.layers:
            if self.training:  # as in loss.recompute: one activation per layer is kept
                x = checkpoint(layer, x, cos, sin, mask, past_key_values, use_reentrant=False)
            else:
                x = layer(x, cos, sin, mask, past_key_values)
        return Output(self.norm(x)[0])


def _mask(attention_mask: torch.Tensor | None, queries: int, past: int) -> torch.Tensor | None:
    """Return which tokens each query sees, (B, 1, queries, past + queries) bool; None where it is plain causality, for
    which attention has a faster form."""
    if (attention_mask is None or attention_mask.all()) and (queries == 1 or past == 0):
        return None
    tokens = torch.arange(past + queries, device=attention_mask.device)
    return attention_mask.bool()[:, None, None] & (tokens <= tokens[past:, None])


class Qwen3(nn.Module):
    """A causal language model with tied embeddings; of transformers' interface what this project uses."""

    supports_gradient_checkpointing = is_activation_checkpointing = True  # in training mode

    def __init__(self, config: Qwen3Config):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def device(self) -> torch.device:
        return self.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.lm_head.weight.dtype

    def get_decoder(self) -> Decoder:
        return self.model

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.lm_head(hidden)

    def new_cache(self) -> Cache:
        return Cache(self.config.num_hidden_layers)


def read_qwen3(directory: str | Path) -> Qwen3:
    """Return the model of an organism's directory, frozen and in eval mode; errors as in `read_tensors`."""
    spec = json.loads(Path(directory, "config.json").read_text(encoding="utf-8"))
    spec |= spec["rope_parameters"]
    tensors, _ = read_tensors(Path(directory, "model.safetensors"))
    with torch.device("meta"):  # or every weight would be drawn first
        model = Qwen3(Qwen3Config(**{field.name: spec[field.name] for field in fields(Qwen3Config)}))
    model.load_state_dict(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]}, assign=True)
    model.lm_head.weight = model.model.embed_tokens.weight
    return model.requires_grad_(False).eval()
