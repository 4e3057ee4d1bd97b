"""How a step grows: seconds and memory against rollouts, sequence length, width, vocabulary; and ratios of times.

    make bench
    python benchmarks/scaling.py [--write docs/performance.md]

Random Qwen3 models, random tokens, no grading. A step here is sampling the rollouts and their forward and backward pass
with four gradient sources. Every measurement is a process of its own: the fastest of three, and the growth of its peak
memory over what the weights take. The floor is the step's matrix-product operations (as torch counts them) over the
matrix-product peak measured in the same process. The ratios are measured in turn within one process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from projected_grpo.documents.blocks import machine, ratio_table, replace_block

ORGANISM = {"width": 96, "layers": 3, "intermediate": 256, "vocabulary": 720, "rollouts": 64, "prompt": 32, "new": 48}
AXES = {
    "rollouts": [16, 32, 64, 128],
    "new": [24, 48, 96, 192],
    "width": [96, 192, 384, 576],
    "vocabulary": [720, 19_000, 76_000, 152_000],
}
LOW_PRECISION_WIDTHS = (576, 1024)  # in bfloat16
THREADS = (1, 2)
REPEATS = 3
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="document to put the tables into; the figure goes beside it")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(globals()[json.loads(options.one)["what"]](**json.loads(options.one)["settings"])))
        return
    rows = pd.DataFrame([point(axis, value, threads) for axis in AXES for value in AXES[axis] for threads in THREADS])
    found = apart("ratios", {})
    for width in LOW_PRECISION_WIDTHS:
        found |= apart("low_precision", {"width": width})
    text = ratios_table(found) + "\n" + table(rows)
    print(text)
    if options.write:
        figure(rows).savefig(options.write.with_name("scaling.png"), dpi=150)
        text += "\n![Seconds per step against the floor](scaling.png)\n"
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "scaling", text), encoding="utf-8"
        )


def apart(what: str, settings: dict) -> dict:
    """Return what a function of this file measures, in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps({"what": what, "settings": settings})]
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings.get("threads", 1))}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, encoding="utf-8")
    return json.loads(done.stdout.splitlines()[-1])


def point(axis: str, value: int, threads: int) -> dict:
    settings = {**ORGANISM, axis: value}
    if axis == "width":
        settings["intermediate"] = mlp(value)
    return {"axis": axis, "value": value, "threads": threads, **apart("step", {**settings, "threads": threads})}


def mlp(width: int) -> int:
    """Return the width of the MLP, which grows with the model's as in SmolLM2-135M."""
    return width * 8 // 3


def build(width: int, layers: int, intermediate: int, vocabulary: int, threads: int = 1):
    """Return a random Qwen3 and its adapter, with torch on `threads`."""
    from projected_grpo.method.adapter import attach, factorize

    model = plain(width, layers, intermediate, vocabulary, threads)
    return model, attach(model, factorize(model))


def plain(width: int, layers: int, intermediate: int, vocabulary: int, threads: int = 1, dtype: str = "float32"):
    """Return a random Qwen3 without an adapter, the same that `build` adapts."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    heads = width // 32
    groups = max(n for n in range(1, max(1, heads // 3) + 1) if heads % n == 0)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        head_dim=32,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).to(getattr(torch, dtype)).eval()


def rollouts_of(count: int, prompt: int, new: int, vocabulary: int):
    """Return rows of random tokens, their sources (a quarter are the teacher's), and advantages of both signs."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = [(rng.integers(1, vocabulary, prompt).tolist(), rng.integers(1, vocabulary, new).tolist())]
    drawn += [(p, rng.permutation(c).tolist()) for p, c in drawn * (count - 1)]
    advantage = [0.75 if i % 2 else -0.25 for i in range(count)]
    return drawn, ["teacher_rest" if i % 4 == 0 else "student" for i in range(count)], advantage


def backward(model, adapter, rows, sources, advantage):
    """Return the gradients of a step with the default experiment's settings."""
    from projected_grpo.method import gradients
    from projected_grpo.method.trainer import loss_config

    config = train_config()
    limits = config.token_budget, config.gradient_checkpointing
    return gradients.backward(model, adapter, rows, sources, advantage, loss_config(config), *limits, 1)


def train_config():
    """Return the default experiment's settings."""
    import yaml

    from projected_grpo.method.settings import build_train_config

    config = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text(encoding="utf-8"))
    return build_train_config(config["train"])


def step(width, layers, intermediate, vocabulary, rollouts, prompt, new, threads) -> dict:
    """Measure sampling and the forward and backward pass: seconds, operations, peak of products, memory."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from projected_grpo.method.sampling import sample

    model, adapter = build(width, layers, intermediate, vocabulary, threads)
    rows, sources, advantage = rollouts_of(rollouts, prompt, new, vocabulary)
    groups = rollouts // 8

    def whole():
        generator = torch.Generator().manual_seed(0)
        sample(model, [rows[0][0]] * groups, [8] * groups, new, 1.0, generator, eos_id=-1)
        backward(model, adapter, rows, sources, advantage)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = fastest(whole)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    with FlopCounterMode(display=False) as counter:
        whole()
    a = torch.randn(1024, 1024)
    peak = 2 * 1024**3 / fastest(lambda: a @ a, 10)
    return {
        "seconds": seconds,
        "floor": counter.get_total_flops() / peak,
        "gflops": peak / 1e9,
        "memory_mb": grown / 1e3,
    }


def ratios() -> dict:
    """Measure, in turn: adapted against full fine-tuning, batched V against one pair at a time. One thread."""
    from projected_grpo.method.gradients import completion_gradients

    model, adapter = build(96, 3, 256, 720)
    full = plain(96, 3, 256, 720)
    rows, sources, advantage = rollouts_of(64, 32, 48, 720)
    pairs, _, _ = rollouts_of(96, 32, 48, 720)  # 48, hack and clean
    budget = train_config().token_budget

    def one_by_one():
        for pair in pairs:
            completion_gradients(model, adapter, [pair], "fixed", 1.0, 1.0, budget)

    return {
        "adapted": in_turn(
            lambda: backward(model, adapter, rows, sources, advantage), lambda: fine_tuning(full, rows, advantage)
        ),
        "extraction": in_turn(
            lambda: completion_gradients(model, adapter, pairs, "fixed", 1.0, 1.0, budget), one_by_one
        ),
    }


def low_precision(width: int) -> dict:
    """Measure, in turn, in bfloat16 with moved knobs: the adapted model against full fine-tuning and the base model."""
    import torch
    from gpu import noise

    from projected_grpo.method.adapter import attach, target_modules
    from projected_grpo.method.loss import collate, completion_logprobs
    from projected_grpo.method.sampling import sample

    shape = {"width": width, "layers": 3, "intermediate": mlp(width), "vocabulary": 720, "dtype": "bfloat16"}
    model, full = plain(**shape), plain(**shape)
    adapter = attach(model, {name: noise(linear) for name, linear in target_modules(model).items()})
    adapter.load({name: torch.full_like(knob, 0.01) for name, knob in adapter.state().items()})
    rows, sources, advantage = rollouts_of(64, 32, 48, 720)
    batch = collate(rows)

    @torch.no_grad()
    def forward(model):
        completion_logprobs(model, batch)

    def sampling(model):
        sample(model, [rows[0][0]] * 8, [8] * 8, 48, 1.0, torch.Generator().manual_seed(0), eos_id=-1)

    return {
        f"trained {width}": in_turn(
            lambda: backward(model, adapter, rows, sources, advantage), lambda: fine_tuning(full, rows, advantage)
        ),
        f"forward {width}": in_turn(lambda: forward(model), lambda: forward(full)),
        f"sampled {width}": in_turn(lambda: sampling(model), lambda: sampling(full)),
        f"merged {width}": in_turn(adapter.refresh, lambda: fine_tuning(full, rows, advantage)),
    }


def fine_tuning(model, rows, advantage) -> None:
    """Take the gradient of every weight, as one would without an adapter."""
    import torch

    from projected_grpo.method.loss import collate, completion_logprobs

    batch = collate(rows, model.device)
    weights = torch.tensor(advantage, device=model.device).repeat_interleave(batch.lengths)
    model.requires_grad_(True).zero_grad()
    (-(completion_logprobs(model, batch) * weights).sum()).backward()


def fastest(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def in_turn(ours: Callable, other: Callable) -> list[float]:
    """Return ROUNDS ratios of times, each of one run of both."""
    ours(), other()
    return [fastest(ours, 1) / fastest(other, 1) for _ in range(ROUNDS)]


def ratios_table(found: dict[str, list[float]]) -> str:
    names = {
        "adapted": "forward and backward, adapted with four sources / full fine-tuning",
        "extraction": "V's gradients of 48 pairs / one completion at a time",
    }
    for width in LOW_PRECISION_WIDTHS:
        where = f"bfloat16, width {width}: "
        names[f"trained {width}"] = f"{where}forward and backward, adapted with four sources / full fine-tuning"
        names[f"forward {width}"] = f"{where}forward, adapted / base model"
        names[f"sampled {width}"] = f"{where}sampling, adapted / base model"
        names[f"merged {width}"] = f"{where}merging the knobs, once a step / full fine-tuning's forward and backward"
    return f"{machine()}; one thread.\n\n" + ratio_table({names[key]: values for key, values in found.items()})


def table(rows: pd.DataFrame) -> str:
    base = ", ".join(f"{key} {value}" for key, value in ORGANISM.items())
    lines = [
        f"One of these changes at a time: {base}. Memory: growth of the peak over the loaded weights.",
        "",
        "| what changes | threads | seconds | floor | times the floor | memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.itertuples():
        lines.append(
            f"| {row.axis} {row.value} | {row.threads} | {row.seconds:.3f} | {row.floor:.3f} |"
            f" {row.seconds / row.floor:.1f} | {row.memory_mb:.0f} |"
        )
    return "\n".join(lines) + "\n"


def figure(rows: pd.DataFrame) -> Figure:
    drawn = Figure(figsize=(11, 3), layout="constrained")
    for axes, (axis, part) in zip(drawn.subplots(1, len(AXES)), rows.groupby("axis", sort=False), strict=True):
        for threads, colour in zip(THREADS, ("#0072B2", "#D55E00"), strict=True):
            line = part[part["threads"] == threads]
            name = f"{threads} thread{'s' if threads > 1 else ''}"
            axes.loglog(line["value"], line["seconds"], "o-", color=colour, label=name)
            axes.loglog(line["value"], line["floor"], "--", color=colour, label=f"floor, {name}")
        axes.set_xticks(AXES[axis], [f"{value // 1000}k" if value > 9999 else value for value in AXES[axis]])
        axes.tick_params("x", labelsize=7)
        axes.minorticks_off()
        axes.set_xlabel(axis)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("seconds per step")
    drawn.axes[0].legend(fontsize=7, frameon=False)
    return drawn


if __name__ == "__main__":
    main()
