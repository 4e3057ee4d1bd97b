"""What a run needs, from the config alone: memory on its GPU, disk, least time. Writes its tables into a document:

    python benchmarks/budget.py docs/cluster.md

1. Counted are weights, merged weights, factors, the cache of sampling, what the backward pass keeps, and the largest
   tensors that exist for a moment. Knobs, V and optimizer are on the CPU.
2. What a decoder layer keeps was read off transformers' Llama and Qwen3 with SDPA attention; a test compares it with
   what autograd saves there. Fragmentation and the allocator's own blocks come on top: leave some 10%.
3. The least time is that of the bytes that sampling reads and of the matrix products, which a test counts, at the data
   sheet's rates of an H100 SXM: real steps take a few times as long.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from projected_grpo.documents.blocks import replace_block
from projected_grpo.method.head import LOGITS_AT_A_TIME
from projected_grpo.method.sampling import GPU_SHARE

FLOAT = 4
DTYPES = {"float32": 4, "bfloat16": 2}
PROMPT, LONGEST_PROMPT = 600, 1536  # tokens: of an ordinary one; the benchmark leaves longer ones than that out
GPU_BYTES = 85e9  # which torch finds on a GPU of 80 GB
BYTES_PER_SECOND, BFLOAT16_RATE = 3.35e12, 990e12  # H100 SXM, dense


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama or Qwen3 family, in the words of its config, and the bytes of one of its numbers."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    qk_norm: bool
    itemsize: int

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(d_out, d_in) of one layer's targets."""
        H, I = self.hidden_size, self.intermediate_size  # noqa: E741, the usual letter
        q, k = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return [(q, H), (k, H), (k, H), (H, q), (I, H), (I, H), (H, I)]


QWEN3_4B = Shape(2560, 9728, 36, 32, 8, 128, 151936, True, True, 2)  # Qwen/Qwen3-4B's config.json, in bfloat16


@dataclass(frozen=True)
class Memory:
    """Bytes on the device; `moment` is the largest that a layer of the backward pass needs beside what is kept."""

    weights: int
    merged: int
    factors: int
    cache: int
    kept: int
    moment: int

    @property
    def peak(self) -> int:
        return self.weights + self.merged + self.factors + max(self.cache, self.kept + self.moment)


def weights(shape: Shape) -> int:
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    return merged(shape) + embeddings * shape.itemsize


def merged(shape: Shape) -> int:
    """The targets' weights, which lie there merged with the knobs as well."""
    return shape.num_hidden_layers * sum(d_out * d_in for d_out, d_in in shape.linears) * shape.itemsize


def factors(shape: Shape) -> int:
    """U (d_out, r) and Vh (r, d_in) of every target in the model's dtype."""
    pairs = sum((d_out + d_in) * min(d_out, d_in) for d_out, d_in in shape.linears)
    return shape.num_hidden_layers * pairs * shape.itemsize


def cache(shape: Shape, rows: int, tokens: int) -> int:
    """Keys and values of so many rows, which a GPU allocates once."""
    return 2 * rows * tokens * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim * shape.itemsize


def layer_kept(shape: Shape, tokens: int) -> int:
    """What the backward pass of one decoder layer keeps: inputs of the Linears, and what norms and attention save."""
    heads, groups = shape.num_attention_heads, shape.num_key_value_heads
    q, k, H = heads * shape.head_dim, groups * shape.head_dim, shape.hidden_size
    own = 2 * H + 2 * q + 2 * k + 4 * shape.intermediate_size  # in the model's dtype
    floats = 2 * H + 2 + heads + (q + heads + k + groups if shape.qk_norm else 0)
    return tokens * (own * shape.itemsize + floats * FLOAT)


def kept(shape: Shape, tokens: int, checkpointing: bool) -> int:
    """What the backward pass of all layers keeps of a micro-batch; checkpointing recomputes one layer at a time."""
    layer = layer_kept(shape, tokens)
    if not checkpointing:
        return shape.num_hidden_layers * layer
    return shape.num_hidden_layers * tokens * shape.hidden_size * shape.itemsize + layer


def moment(shape: Shape, tokens: int) -> int:
    """The widest target's backward pass (gradients of output and input, their products with the factors, in float32 a
    weight's gradient and its product), or one chunk of logits with its gradient."""
    widest = max(2 * d_out + 2 * d_in + 3 * min(d_out, d_in) for d_out, d_in in shape.linears)
    matrix = max(d_out * d_in for d_out, d_in in shape.linears) if shape.itemsize == FLOAT else 0
    return max((tokens * widest + 2 * matrix) * shape.itemsize, LOGITS_AT_A_TIME * (2 * shape.itemsize + 3 * FLOAT))


def needed(shape: Shape, train: dict, mix: float) -> Memory:
    """Return what one training run needs, from config.train and the arm's share of teacher rollouts."""
    longest = LONGEST_PROMPT + train["max_new_tokens"]
    tokens = max(train["token_budget"], longest)
    rows = min(live_rows(train, mix), rows_at_a_time(shape, longest))
    return Memory(
        weights(shape),
        merged(shape),
        factors(shape),
        cache(shape, rows, longest),
        kept(shape, tokens, train["gradient_checkpointing"]),
        moment(shape, tokens),
    )


def live_rows(train: dict, mix: float) -> int:
    return train["prompts_per_step"] * (train["group_size"] - round(train["group_size"] * mix))


def rows_at_a_time(shape: Shape, tokens: int) -> int:
    return max(1, int(GPU_SHARE * GPU_BYTES // cache(shape, 1, tokens)))


def forward_products(shape: Shape, tokens: int) -> int:
    """Operations of the targets' matrix products over so many tokens, two per multiplication."""
    return 2 * tokens * shape.num_hidden_layers * sum(d_out * d_in for d_out, d_in in shape.linears)


def backward_products(shape: Shape, train: dict, tokens: int, completion: int) -> int:
    """Operations of the products of a step's forward and backward passes in bfloat16, attention's aside, over `tokens`
    in all, `completion` of them of completions, where alone logits are needed, in chunks."""
    forwards = 1 + train["gradient_checkpointing"] + (train["kl_coef"] > 0)
    knobs = sum(2 * (d_out + d_in) * min(d_out, d_in) for d_out, d_in in shape.linears) * shape.num_hidden_layers
    into_embeddings = sum(2 * d_out * d_in for d_out, d_in in shape.linears[:3])  # which ask for no gradient
    logits = 2 * shape.vocab_size * shape.hidden_size * (3 + (train["kl_coef"] > 0))  # one of them is recomputed
    return forward_products(shape, tokens) * (forwards + 1) + tokens * (knobs - into_embeddings) + completion * logits


def attention_products(shape: Shape, train: dict, rows: int, length: int) -> int:
    """Operations of causal attention in the same passes: two products of length x length / 2 per head and forward pass,
    five in the backward pass, as flash attention has them."""
    forwards = 1 + train["gradient_checkpointing"] + (train["kl_coef"] > 0)
    one = rows * length**2 * shape.num_attention_heads * shape.head_dim * shape.num_hidden_layers
    return one * (2 * forwards + 5)


def sampling_products(shape: Shape, rows: int, prompts: int, prompt: int, new: int) -> int:
    """Operations of sampling's products, attention's aside: prompts once, then one token of every row at a time."""
    return (
        forward_products(shape, prompts * prompt + rows * new) + 2 * rows * new * shape.vocab_size * shape.hidden_size
    )


def least_step(shape: Shape, train: dict, mix: float, prompt: int) -> tuple[float, float]:
    """Return the least seconds of a step in bfloat16, for prompts of so many tokens: sampling, which computes them and
    then reads weights and cache for every token, and the forward and backward passes of all rollouts."""
    new, prompts = train["max_new_tokens"], train["prompts_per_step"]
    live, rows = live_rows(train, mix), prompts * train["group_size"]
    batches = -(-live // rows_at_a_time(shape, prompt + new))
    read = new * (batches * weights(shape) + cache(shape, live, prompt + new))
    sampling = forward_products(shape, prompts * prompt) / BFLOAT16_RATE + read / BYTES_PER_SECOND
    products = backward_products(shape, train, rows * (prompt + new), rows * new)
    products += attention_products(shape, train, rows, prompt + new)
    return sampling, products / BFLOAT16_RATE


def table(presets: dict[str, dict]) -> str:
    """Return the Markdown table of docs/cluster.md for config.train sections by name."""
    parts = ("weights", "merged", "factors", "cache", "kept", "moment", "peak")
    lines = [f"| preset | {' | '.join(parts)} |", "| --- |" + " --- |" * len(parts)]
    for name, train in presets.items():
        memory = needed(QWEN3_4B, train, 0.125)
        lines.append(f"| {name} | " + " | ".join(f"{getattr(memory, part) / 1e9:.1f}" for part in parts) + " |")
    return "\n".join(lines) + "\n"


def time_table(presets: dict[str, dict]) -> str:
    lines = ["| preset | tokens of a prompt | sampling, s | backward, s | steps | hours |", "| --- |" + " --- |" * 5]
    for name, train in presets.items():
        for prompt in (PROMPT, LONGEST_PROMPT):
            sampling, backward = least_step(QWEN3_4B, train, 0.125, prompt)
            hours = train["steps"] * (sampling + backward) / 3600
            lines.append(f"| {name} | {prompt} | {sampling:.1f} | {backward:.1f} | {train['steps']} | {hours:.2f} |")
    return "\n".join(lines) + "\n"


def disk_table() -> str:
    held, own = weights(QWEN3_4B), factors(replace(QWEN3_4B, itemsize=FLOAT))  # files of factors are in float32
    lines = ["| what | GB |", "| --- | --- |"]
    lines.append(f"| base/ with its factors, once | {(held + own) / 1e9:.0f} |")
    lines += [f"| an export in {dtype}, on request | {held * size / 2 / 1e9:.0f} |" for dtype, size in DTYPES.items()]
    return "\n".join(lines) + "\n"


def train_section(files: Iterable[Path]) -> dict:
    """Return config.train of configs on top of each other: as for --configfile, later ones replace earlier ones."""
    train: dict = {}
    for path in files:
        train |= yaml.safe_load(path.read_text(encoding="utf-8"))["train"]
    return train


def read(root: Path) -> dict[str, dict]:
    """Return config.train of the two presets of Qwen3-4B, with and without gradient checkpointing."""
    files = [root / name for name in ("config.yaml", "presets/qwen3-4b.yaml", "presets/qwen3-4b-long.yaml")]
    presets = {}
    for last in (1, 2):
        name, train = files[last].stem, train_section(files[: last + 1])
        presets[name] = train
        presets[f"{name}, without gradient checkpointing"] = train | {"gradient_checkpointing": False}
    return presets


if __name__ == "__main__":
    page = Path(sys.argv[1])
    text, presets = page.read_text(encoding="utf-8"), read(page.parents[1])
    checkpointed = {name: train for name, train in presets.items() if train["gradient_checkpointing"]}
    for name, content in (("memory", table(presets)), ("time", time_table(checkpointed)), ("disk", disk_table())):
        text = replace_block(text, name, content)
    page.write_text(text, encoding="utf-8")
