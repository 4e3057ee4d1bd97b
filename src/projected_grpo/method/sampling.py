"""Batched sampling (method 6): one prefill per distinct prompt, then one token of every row at a time.

1. Every row consumes its own column of uniforms drawn beforehand, so what one row samples depends neither on the other
   rows nor on when they finish; arms of one seed share their sampling noise.
2. Any of several end tokens ends a completion, and belongs to it.
3. Where the cache of all rows would be too large, prompts are sampled some at a time.
4. A processor drops rows as they finish; a GPU keeps them in their places (in_place.py).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from projected_grpo.method.draws import Rows, next_tokens

CACHE_BYTES = 8 << 30  # of all rows sampled at a time, without a GPU
GPU_SHARE = 0.25


def end_tokens(model, eos_id: int) -> list[int]:
    """Return the ids that end a completion: the tokenizer's `eos_id`, then those of the model's generation config."""
    settings = getattr(model, "generation_config", None)  # which an organism does without
    found = settings.eos_token_id if settings else None
    listed = found if isinstance(found, list) else [found]
    return list(dict.fromkeys([eos_id, *(id for id in listed if id is not None)]))


def sample(
    model,
    prompts: Sequence[Sequence[int]],
    counts: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
    eos_id: int,
    finished: Callable[[int, list[int]], None] = lambda row, ids: None,
) -> list[list[list[int]]]:
    """Sample counts[i] completions of prompt i; returns completions[prompt][sample] = token ids, end token included.

    Each of `end_tokens` ends a completion; one without was clipped at `max_new_tokens`. `finished` is told of each as
    soon as it is complete, by its number among all rows.
    """
    ends = end_tokens(model, eos_id)
    uniforms = torch.rand(sum(counts), max_new_tokens, generator=generator)
    most = rows_at_a_time(model, max(map(len, prompts)) + max_new_tokens)
    groups: list[list[list[int]]] = []
    start, first = 0, 0  # prompt and row
    while start < len(prompts):
        end = start + 1
        while end < len(prompts) and sum(counts[start : end + 1]) <= most:
            end += 1
        rows = sum(counts[start:end])
        told = partial(_shifted, finished, first)
        groups += _sample(
            model, prompts[start:end], counts[start:end], uniforms[first : first + rows], temperature, ends, told
        )
        start, first = end, first + rows
    return groups


def _shifted(finished: Callable[[int, list[int]], None], first: int, row: int, ids: list[int]) -> None:
    finished(first + row, ids)


def rows_at_a_time(model, tokens: int) -> int:
    """Return how many rows of so many tokens the cache may hold: in GPU_SHARE of a GPU's memory, or CACHE_BYTES."""
    gpu = model.device.type == "cuda"
    memory = GPU_SHARE * torch.cuda.get_device_properties(model.device).total_memory if gpu else CACHE_BYTES
    return max(1, int(memory // (cache_bytes(model.config, model.dtype) * tokens)))


def cache_bytes(config, dtype: torch.dtype) -> int:
    """Return the keys' and values' bytes per token of a row."""
    config = config.get_text_config()
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head * dtype.itemsize


def new_cache(model):
    """Return an empty cache for the model's keys and values: of its own kind, or of transformers'."""
    if hasattr(model, "new_cache"):
        return model.new_cache()
    from transformers import DynamicCache  # half a second to import

    return DynamicCache(config=model.config)


@torch.no_grad()
def _sample(
    model,
    prompts: Sequence[Sequence[int]],
    counts: Sequence[int],
    uniforms: torch.Tensor,
    temperature: float,
    ends: Sequence[int],
    finished: Callable[[int, list[int]], None],
) -> list[list[list[int]]]:
    done: dict[int, list[int]] = {}

    def told(row: int, ids: list[int]) -> None:
        done[row] = ids
        finished(row, ids)

    rows = prefill(model, prompts, counts, ends[0])
    proceed = _dropping
    if keeps_rows(model):
        from projected_grpo.method.in_place import proceed
    proceed(model, rows, uniforms.to(model.device), temperature, ends, told)
    found = (done[row] for row in range(len(done)))
    return [[next(found) for _ in range(n)] for n in counts]


def keeps_rows(model) -> bool:
    """Whether rows are continued in their places: on a GPU, for a model whose cache can be allocated beforehand."""
    if model.device.type != "cuda" or hasattr(model, "new_cache"):
        return False
    from projected_grpo.method.in_place import fits  # which imports transformers

    return fits(model)


def prefill(model, prompts: Sequence[Sequence[int]], counts: Sequence[int], padding: int) -> Rows:
    """Run the model on the prompts, each once, and return counts[i] rows of prompt i."""
    longest, device = max(map(len, prompts)), model.device
    tokens = torch.full((len(prompts), longest), padding, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):  # left-padded, so that every row's next position is the last
        tokens[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    tokens, mask = tokens.to(device), mask.to(device)
    cache = new_cache(model)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out = model.get_decoder()(
        tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    )
    spread = torch.arange(len(prompts), device=device).repeat_interleave(torch.tensor(counts, device=device))
    return Rows(cache, spread, out.last_hidden_state[:, -1][spread], mask[spread], positions[:, -1:][spread])


def _dropping(
    model, rows: Rows, uniforms: torch.Tensor, temperature: float, ends: Sequence[int], told: Callable
) -> None:
    """Continue all rows, and drop each as soon as it is complete."""
    cache, hidden, mask, position, decoder = rows.cache, rows.hidden, rows.mask, rows.position, model.get_decoder()
    cache.reorder_cache(rows.prompt)  # which, unlike batch_select_indices, layers of every kind have
    alive, end = torch.arange(len(hidden), device=hidden.device), torch.tensor(ends, device=hidden.device)
    grid = torch.empty(uniforms.shape, dtype=torch.long, device=hidden.device)
    for t in range(uniforms.shape[1]):
        token = next_tokens(model, hidden, uniforms[alive, t], temperature)
        grid[alive, t] = token
        keep = ~torch.isin(token, end)
        if t + 1 == uniforms.shape[1]:
            keep = torch.zeros_like(keep)
        if not keep.all():
            ended = alive[~keep]
            for row, ids in zip(ended.tolist(), grid[ended, : t + 1].tolist(), strict=True):
                told(row, ids)
            if not keep.any():
                break
            kept = keep.nonzero().squeeze(1)
            alive, token, mask, position = alive[kept], token[kept], mask[kept], position[kept]
            cache.reorder_cache(kept)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        position = position + 1
        out = decoder(token[:, None], attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True)
        hidden = out.last_hidden_state[:, -1]
