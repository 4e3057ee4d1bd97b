"""Qwen3-4B's shape on a GPU: a step by phase, its share of the matrix-product peak, memory; ratios; gradients' errors.

    python benchmarks/gpu.py presets/qwen3-4b.yaml [presets/qwen3-4b-long.yaml] [--write docs/cluster.md]

Random weights, factors and tokens, so nothing is downloaded or factorized and every completion has its full length; no
grading. The settings are config.yaml's and the first preset's; then those of the first two; and so on. Operations are
those of budget.py, which a test counts: torch's counter sees nothing in a CUDA graph. Ratios are measured in turn, on a
few rows of the first preset's length, without gradient checkpointing.
"""

import argparse
import gc
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import budget
import torch
import transformers
from scaling import fine_tuning, in_turn, rollouts_of
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from projected_grpo.documents.blocks import ratio_table, replace_block
from projected_grpo.method.adapter import Adapter, Factors, attach, segment_gradient, target_modules
from projected_grpo.method.gradients import backward
from projected_grpo.method.intervention import KnobOptimizer
from projected_grpo.method.loss import collate, completion_logprobs
from projected_grpo.method.sampling import sample
from projected_grpo.method.settings import Intervention, TrainConfig, build_train_config
from projected_grpo.method.trainer import loss_config
from projected_grpo.rng import random_rows

MIX, K = 0.125, 16
ROWS = 4  # of the ratios, in one micro-batch
TINY = budget.Shape(64, 96, 2, 4, 2, 16, 500, True, True, 2)  # to try this file where there is no GPU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "presets", type=Path, nargs="+", help="as for --configfile: each replaces what those before it say"
    )
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on the CPU: only shows that this runs")
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    shape, device = (TINY, "cpu") if options.tiny else (budget.QWEN3_4B, "cuda")
    error = 100 * gradient_error(shape, device)
    accuracy = f"Knob gradients differ from float64's by {error:.2f}% of their norm at most, over a layer's modules and"
    accuracy += " three sources, from the same inputs.\n"
    configs = [settings(options.presets[: n + 1]) for n in range(len(options.presets))]
    parts = [printed(accuracy), printed(ratio_table(ratios(shape, configs[0], device)))]
    for path, config in zip(options.presets, configs, strict=True):
        release(device)
        parts.append(printed(table(measure(shape, config, device), path.stem, shape, config)))
    text = "\n".join(parts)
    if options.write:
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "gpu", text), encoding="utf-8"
        )


def settings(presets: Sequence[Path]) -> TrainConfig:
    return build_train_config(budget.train_section([Path("config.yaml"), *presets]))


def printed(text: str) -> str:
    """Print a part as soon as it is known: a machine with a GPU may be taken back."""
    print(text, flush=True)
    return text


def plain(shape: budget.Shape, device: str) -> nn.Module:
    """Return a model with random weights in bfloat16."""
    sizes = {key: value for key, value in asdict(shape).items() if key not in ("qk_norm", "itemsize")}
    with torch.device(device):
        return Qwen3ForCausalLM(Qwen3Config(**sizes)).to(torch.bfloat16).eval()


def build(shape: budget.Shape, device: str) -> tuple[nn.Module, Adapter]:
    """Return such a model and its adapter, with factors of the right shapes and knobs that have moved."""
    model = plain(shape, device)
    adapter = attach(model, {name: noise(linear) for name, linear in target_modules(model).items()})
    adapter.load({name: torch.full_like(knob, 0.01) for name, knob in adapter.state().items()})
    return model, adapter


def noise(linear: nn.Linear) -> Factors:
    d_out, d_in = linear.weight.shape
    r, like = min(d_out, d_in), {"device": linear.weight.device, "dtype": linear.weight.dtype}
    U, Vh = torch.randn(d_out, r, **like), torch.randn(r, d_in, **like)
    return Factors(U / d_out**0.5, torch.ones(r), Vh / d_in**0.5)


def measure(shape: budget.Shape, config: TrainConfig, device: str) -> dict:
    """Return operations and seconds by phase of a second step, the memory's peak, and the device's rates."""
    model, adapter = build(shape, device)
    release(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    generator = torch.Generator().manual_seed(0)
    directions = {name: random_rows(K, len(layer.delta), generator) for name, layer in adapter.layers.items()}
    optimizer = KnobOptimizer(adapter, Intervention("erase"), config.betas, config.max_grad_norm)
    taught = round(config.group_size * MIX)
    prompts, rollouts, new = config.prompts_per_step, config.group_size, config.max_new_tokens
    seconds: dict[str, float] = {}

    @contextmanager
    def phase(name: str):
        synchronize(device)
        start = time.perf_counter()
        yield
        synchronize(device)
        seconds[name] = time.perf_counter() - start

    for _ in range(2):
        asked = torch.randint(shape.vocab_size, (prompts, budget.PROMPT), generator=generator).tolist()
        counts = [rollouts - taught] * prompts
        with phase("generate"):
            groups = sample(model, asked, counts, new, 1.0, generator, eos_id=-1)  # which nothing draws
        rows = [
            (prompt, list(ids), source)
            for prompt, group in zip(asked, groups, strict=True)
            for source, ids in [
                *(("student", ids) for ids in group),
                *(("teacher_hack", ids) for ids in group[:taught]),
            ]
        ]
        tokens, sources = [row[:2] for row in rows], [row[2] for row in rows]
        advantage = [(-1.0) ** i for i in range(len(rows))]
        limits = config.token_budget, config.gradient_checkpointing
        with phase("backward"):
            gradients = backward(model, adapter, tokens, sources, advantage, loss_config(config), *limits, 1)
        with phase("intervene"):
            total = {name: g.sum(0) for name, g in gradients.by_source.items()}
            optimizer.step(total, directions, config.lr)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    said = budget.needed(shape, asdict(config), MIX).peak
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    settings, live = asdict(config), prompts * (rollouts - taught)
    tokens, completion = prompts * rollouts * (budget.PROMPT + new), prompts * rollouts * new
    operations = {
        "generate": budget.sampling_products(shape, live, prompts, budget.PROMPT, new),
        "backward": budget.backward_products(shape, settings, tokens, completion)
        + budget.attention_products(shape, settings, prompts * rollouts, budget.PROMPT + new),
        "intervene": 0,
    }
    rate = matmul_rate(device, torch.bfloat16)
    return {"device": name, "seconds": seconds, "operations": operations, "peak": peak, "said": said, "rate": rate}


def ratios(shape: budget.Shape, config: TrainConfig, device: str) -> dict[str, list[float]]:
    """Return ratios of times, adapted over full fine-tuning or the base model, of the same work in turn."""
    model, adapter = build(shape, device)
    full = plain(shape, device)
    rows, sources, advantage = rollouts_of(ROWS, budget.PROMPT, config.max_new_tokens, shape.vocab_size)
    whole, prompt = 1 << 30, rows[0][0]

    @torch.no_grad()
    def forward(model: nn.Module) -> None:
        completion_logprobs(model, collate(rows, device))

    def sampling(model: nn.Module) -> None:
        generator = torch.Generator().manual_seed(0)
        sample(model, [prompt], [ROWS], config.max_new_tokens, 1.0, generator, eos_id=-1)

    def trained() -> None:
        backward(model, adapter, rows, sources, advantage, loss_config(replace(config, kl_coef=0.0)), whole, False, 1)

    def waited(work) -> None:
        work()
        synchronize(device)

    pairs = {
        "forward and backward, adapted with four sources / full fine-tuning": (
            trained,
            partial(fine_tuning, full, rows, advantage),
        ),
        "forward, adapted / base model": (partial(forward, model), partial(forward, full)),
        "sampling, adapted / base model": (partial(sampling, model), partial(sampling, full)),
        "merging the knobs, once a step / forward and backward": (adapter.refresh, trained),
    }
    return {name: in_turn(*(partial(waited, work) for work in pair)) for name, pair in pairs.items()}


def gradient_error(shape: budget.Shape, device: str, tokens: int = 512) -> float:
    """Return the largest relative error by norm of the knob gradients of a layer's modules, three sources of `tokens`
    each, in bfloat16 against float64 from the same inputs."""
    generator, largest = torch.Generator(device).manual_seed(0), 0.0
    for d_out, d_in in shape.linears:
        r, sizes = min(d_out, d_in), {"device": device, "generator": generator}
        grad_y, x = (torch.randn(3, tokens, d, **sizes).bfloat16() for d in (d_out, d_in))
        U, Vh = torch.randn(d_out, r, **sizes), torch.randn(r, d_in, **sizes)
        found = segment_gradient(grad_y, x, U.bfloat16(), Vh.bfloat16(), range(4))
        exact = segment_gradient(grad_y.double(), x.double(), U.double(), Vh.double(), range(4))
        largest = max(largest, ((found - exact).norm(dim=1) / exact.norm(dim=1)).max().item())
    return largest


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Return the operations per second of the fastest of five large matrix products."""
    n = 8192 if device == "cuda" else 512
    a = torch.randn(n, n, device=device, dtype=dtype)
    fastest = float("inf")
    for _ in range(5):
        synchronize(device)
        start = time.perf_counter()
        a @ a
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * n**3 / fastest


def release(device: str) -> None:
    """Free the memory of a model that is no longer needed: it refers to itself."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def table(found: dict, preset: str, shape: budget.Shape, config: TrainConfig) -> str:
    step, least = sum(found["seconds"].values()), sum(budget.least_step(shape, asdict(config), MIX, budget.PROMPT))
    lines = [
        f"{found['device']}, torch {torch.__version__}, transformers {transformers.__version__}: one step of {preset},"
        f" {config.prompts_per_step} prompts of {budget.PROMPT} tokens x {config.group_size} rollouts of"
        f" {config.max_new_tokens}, random weights, no grading. Peak memory {found['peak'] / 1e9:.1f} GB;"
        f" {found['said'] / 1e9:.1f} computed for longer prompts. Measured peak of bfloat16 products:"
        f" {found['rate'] / 1e12:.0f} x 10^12 operations per second. The step takes {step / least:.1f} times the"
        f" computed least, {config.steps} such steps {config.steps * step / 3600:.1f} hours.",
        "",
        "| phase | seconds | 10^12 operations | share of the bfloat16 peak |",
        "| --- | --- | --- | --- |",
    ]
    for name, seconds in found["seconds"].items():
        done = found["operations"][name]
        share = done / seconds / found["rate"]
        lines.append(f"| {name} | {seconds:.2f} | {done / 1e12:.1f} | {100 * share:.1f}% |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
