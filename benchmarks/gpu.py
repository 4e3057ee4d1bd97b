"""A step at Qwen3-4B's shape on a GPU: seconds by phase, peak memory, share of the measured matrix-product peak.

    python benchmarks/gpu.py presets/qwen3-4b.yaml [presets/qwen3-4b-long.yaml] [--write docs/cluster.md]

Random weights, factors and tokens, so nothing is downloaded or factorized and every completion has its full length; no
grading. The settings are config.yaml's and the preset's.
"""

import argparse
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import budget
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3ForCausalLM

from projected_grpo.documents.blocks import replace_block
from projected_grpo.method.adapter import Factors, attach, target_modules
from projected_grpo.method.gradients import backward
from projected_grpo.method.intervention import KnobOptimizer
from projected_grpo.method.sampling import sample
from projected_grpo.method.settings import Intervention, TrainConfig, build_train_config
from projected_grpo.method.trainer import loss_config
from projected_grpo.rng import random_rows

PROMPT, MIX, K = 600, 0.125, 16
TINY = budget.Shape(64, 96, 2, 4, 2, 16, 500, True, True, 2)  # to try this file where there is no GPU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "presets", type=Path, nargs="+", help="as for --configfile: later ones replace what earlier say"
    )
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on the CPU: only shows that this runs")
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    config = build_train_config(budget.train_section([Path("config.yaml"), *options.presets]))
    found = measure(TINY, config, "cpu") if options.tiny else measure(budget.QWEN3_4B, config, "cuda")
    text = table(found, options.presets[-1].stem, config)
    print(text)
    if options.write:
        options.write.write_text(replace_block(options.write.read_text(), "gpu", text))


def build(shape: budget.Shape, device: str):
    """Return (model, adapter) with random weights in bfloat16 and factors of the right shapes."""
    sizes = {key: value for key, value in asdict(shape).items() if key not in ("qk_norm", "itemsize")}
    with torch.device(device):
        model = Qwen3ForCausalLM(Qwen3Config(**sizes)).to(torch.bfloat16).eval()
    factors = {name: noise(linear) for name, linear in target_modules(model).items()}
    return model, attach(model, factors)


def noise(linear: nn.Linear) -> Factors:
    d_out, d_in = linear.weight.shape
    r, device = min(d_out, d_in), linear.weight.device
    U, Vh = torch.randn(d_out, r, device=device), torch.randn(r, d_in, device=device)
    return Factors(U / d_out**0.5, torch.ones(r), Vh / d_in**0.5)


def measure(shape: budget.Shape, config: TrainConfig, device: str) -> dict:
    """Return operations by phase of a first step, seconds of a second, the memory's peak, and the device's rates."""
    model, adapter = build(shape, device)
    generator = torch.Generator().manual_seed(0)
    directions = {name: random_rows(K, len(layer.delta), generator) for name, layer in adapter.layers.items()}
    optimizer = KnobOptimizer(adapter, Intervention("erase"), config.betas, config.max_grad_norm)
    taught = round(config.group_size * MIX)
    seconds: dict[str, float] = {}
    operations: dict[str, int] = {}

    @contextmanager
    def phase(name: str):
        synchronize(device)
        start = time.perf_counter()
        with nullcontext() if name in operations else FlopCounterMode(display=False) as counter:  # which is slow
            yield
        synchronize(device)
        seconds[name] = time.perf_counter() - start
        operations.setdefault(name, counter.get_total_flops() if counter else 0)

    for _ in range(2):
        prompts = torch.randint(shape.vocab_size, (config.prompts_per_step, PROMPT), generator=generator).tolist()
        counts = [config.group_size - taught] * len(prompts)
        with phase("generate"):
            groups = sample(model, prompts, counts, config.max_new_tokens, 1.0, generator, eos_id=-1 % shape.vocab_size)
        rows = [
            (prompt, list(ids), source)
            for prompt, group in zip(prompts, groups, strict=True)
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
    rates = {dtype: matmul_rate(device, dtype) for dtype in (torch.bfloat16, torch.float32)}
    return {"device": name, "seconds": seconds, "operations": operations, "peak": peak, "said": said, "rates": rates}


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


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def table(found: dict, preset: str, config: TrainConfig) -> str:
    rates = ", ".join(f"{str(t).removeprefix('torch.')} {rate / 1e12:.0f}" for t, rate in found["rates"].items())
    lines = [
        f"{found['device']}, torch {torch.__version__}: one step of {preset}, {config.prompts_per_step} prompts of"
        f" {PROMPT} tokens x {config.group_size} rollouts of {config.max_new_tokens}, random weights, no grading. Peak"
        f" memory {found['peak'] / 1e9:.1f} GB; {found['said'] / 1e9:.1f} computed for longer prompts. Measured peak of"
        f" matrix products, 10^12 per second: {rates}.",
        "",
        "| phase | seconds | 10^12 operations | share of the bfloat16 peak |",
        "| --- | --- | --- | --- |",
    ]
    for name, seconds in found["seconds"].items():
        done = found["operations"][name]
        share = done / seconds / found["rates"][torch.bfloat16]
        lines.append(f"| {name} | {seconds:.2f} | {done / 1e12:.1f} | {100 * share:.1f}% |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
