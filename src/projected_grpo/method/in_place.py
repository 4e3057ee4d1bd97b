"""Sampling on a GPU (method 6): every row stays in its place, in a cache that is allocated once.

A step then has fixed shapes and asks nothing of the host, so that it is captured as one CUDA graph and replayed.
"""

from collections.abc import Callable, Sequence

import torch
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

from projected_grpo.method.draws import Rows, next_tokens, until_end

LOOK_EVERY = 16  # tokens between two looks at which rows have finished


def fits(model) -> bool:
    """Whether the model has full attention by torch's own kernels in every layer."""
    if model.config._attn_implementation != "sdpa":
        return False
    return all(type(layer) is StaticLayer for layer in StaticCache(config=model.config, max_cache_len=1).layers)


def proceed(model, rows: Rows, uniforms: torch.Tensor, temperature: float, ends: Sequence[int], told: Callable) -> None:
    """Continue all rows to the end of the last one, and tell of each soon after it is complete."""
    step, grid = fixed_step(model, rows, uniforms, temperature)
    next_token = step  # `step` stays: it owns the memory that its graph works on
    waiting, tokens = set(range(len(grid))), grid.shape[1]
    for t in range(1, tokens + 1):
        if t == 2:
            next_token = replayable(step, model.device)
        next_token()
        if t % LOOK_EVERY == 0 or t == tokens:
            for row, ids in enumerate(grid[:, :t].tolist()):
                made = until_end(ids, ends)
                if row in waiting and (made[-1] in ends or t == tokens):
                    waiting.remove(row)
                    told(row, made)
            if not waiting:
                return


def fixed_step(
    model, rows: Rows, uniforms: torch.Tensor, temperature: float
) -> tuple[Callable[[], None], torch.Tensor]:
    """Return a step that samples a token of every row and runs the model on it, and the tokens (B, T) that it fills."""
    decoder, longest = model.get_decoder(), rows.mask.shape[1]
    length = -(-(longest + uniforms.shape[1]) // 8) * 8  # as attention's kernels want their masks
    cache = StaticCache(config=model.config, max_cache_len=length)
    for i, layer in enumerate(rows.cache.layers):
        cache.update(layer.keys[rows.prompt], layer.values[rows.prompt], i)
        layer.keys = layer.values = None  # before the next one is copied
    # A mask of four dimensions goes to attention as it is. One of two would be looked at, which stops a GPU.
    mask = torch.zeros(len(rows.mask), 1, 1, length, dtype=torch.bool, device=model.device)
    mask[:, 0, 0, :longest] = rows.mask.bool()
    hidden, position = rows.hidden.clone(), rows.position.clone()
    grid = torch.empty(uniforms.shape, dtype=torch.long, device=model.device)
    t = torch.zeros(1, dtype=torch.long, device=model.device)

    def step() -> None:
        token = next_tokens(model, hidden, uniforms.index_select(1, t).squeeze(1), temperature)[:, None]
        grid.index_copy_(1, t, token)
        mask.index_fill_(3, longest + t, True)
        position.add_(1)
        t.add_(1)
        out = decoder(token, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True)
        hidden.copy_(out.last_hidden_state[:, -1])

    return step, grid


def replayable(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return on a GPU the replay of a step's CUDA graph; the step must have run once, for what is allocated at first
    use. Elsewhere it is the step."""
    if device.type != "cuda":
        return step
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):  # which records, and runs nothing
        step()
    return graph.replay
