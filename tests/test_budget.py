"""The memory table: what the backward pass keeps is what autograd saves; the presets fit their GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import budget
import gpu
import pytest
import torch
import transformers
from budget import GPU_BYTES, QWEN3_4B, Shape, needed
from torch.utils.flop_counter import FlopCounterMode

from projected_grpo.method.adapter import attach, factorize
from projected_grpo.method.gradients import backward
from projected_grpo.method.loss import LossConfig, collate, completion_logprobs, recompute
from projected_grpo.method.sampling import sample
from projected_grpo.method.settings import build_train_config

ROOT = Path(__file__).parents[1]
ROWS, TOKENS = 3, 40


def build(family, dtype, layers, hidden, intermediate):
    sizes = {"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers, "vocab_size": 97}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "tie_word_embeddings": True}
    config = getattr(transformers, f"{family}Config")(**sizes, **heads)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config).to(dtype).eval()
    qk_norm = family == "Qwen3"
    return model, Shape(hidden, intermediate, layers, 4, 2, 12, 97, True, qk_norm, dtype.itemsize)


def saved(model, checkpointing) -> int:
    """Return the bytes that autograd keeps of a micro-batch, weights and factors aside."""
    adapter = attach(model, factorize(model))
    fixed = [*model.parameters(), *model.buffers()]
    fixed += [layer.merged for layer in adapter.layers.values()]
    known = {tensor.untyped_storage().data_ptr() for tensor in fixed}
    seen = {}

    def pack(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.train()
    batch = collate([([1] * (TOKENS // 2), [2] * (TOKENS // 2 + 1))] * ROWS)
    with adapter.segments([0, ROWS]), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        completion_logprobs(model, batch).sum()
    return sum(tensor.untyped_storage().nbytes() for address, tensor in seen.items() if address not in known)


@pytest.mark.parametrize("family", ["Qwen3", "Llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("hidden", "intermediate"), [(64, 160), (96, 96)])
def test_a_layer_keeps_what_autograd_saves(family, dtype, hidden, intermediate):
    (three, shape), (two, _) = (build(family, dtype, layers, hidden, intermediate) for layers in (3, 2))
    assert saved(three, False) - saved(two, False) == budget.layer_kept(shape, ROWS * TOKENS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpointed_layer_keeps_its_input(dtype):
    (six, shape), (two, _) = (build("Qwen3", dtype, layers, 64, 160) for layers in (6, 2))
    grown = saved(six, True) - saved(two, True)
    per_layer = ROWS * TOKENS * shape.hidden_size * shape.itemsize
    assert grown == pytest.approx(4 * per_layer, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_and_factors_are_counted(dtype):
    model, shape = build("Llama", dtype, 2, 64, 160)
    linear = sum(p.nbytes for name, p in model.named_parameters() if "norm" not in name)
    assert budget.weights(shape) == linear
    layers = attach(model, factorize(model)).layers.values()
    assert budget.factors(shape) == sum(layer.U.nbytes + layer.Vh.nbytes for layer in layers)
    assert budget.merged(shape) == sum(layer.merged.nbytes for layer in layers)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
def test_the_backward_pass_takes_the_products_that_are_said(kl_coef, checkpointing, monkeypatch):
    monkeypatch.setattr("projected_grpo.method.head.LOGITS_AT_A_TIME", 10 * 97)  # so that logits come in chunks
    model, shape = build("Qwen3", torch.bfloat16, 3, 64, 160)
    rows = [([1] * 20, [2] * 31)] * 4  # 50 of 51 tokens go through the model: the last has nothing to predict
    sources, advantage = ["student", "student", "teacher_hack", "teacher_rest"], [1.0, -1.0, 1.0, -1.0]
    config = LossConfig("dr_grpo", 1.0, 1.0, kl_coef)
    adapter = attach(model, factorize(model))
    adapter.load({name: torch.ones_like(knob) for name, knob in adapter.state().items()})
    with FlopCounterMode(display=False) as counter:
        backward(model, adapter, rows, sources, advantage, config, 150, checkpointing, 1)
    train = {"gradient_checkpointing": checkpointing, "kl_coef": kl_coef}
    # On a processor torch counts no products of attention.
    assert counter.get_total_flops() == budget.backward_products(shape, train, 4 * 50, 4 * 31)


def test_sampling_takes_the_products_that_are_said(monkeypatch):
    model, shape = build("Qwen3", torch.bfloat16, 3, 64, 160)
    attach(model, factorize(model))
    monkeypatch.setattr("projected_grpo.method.sampling.keeps_rows", lambda model: True)
    with FlopCounterMode(display=False) as counter:
        sample(model, [[1] * 20] * 2, [3, 3], 9, 1.0, torch.Generator().manual_seed(0), eos_id=-1)
    assert counter.get_total_flops() == budget.sampling_products(shape, 6, 2, 20, 9)


def test_the_presets_fit_80_gb_with_room_and_the_document_says_so():
    presets = budget.read(ROOT)
    for name, train in presets.items():
        if train["gradient_checkpointing"]:
            assert needed(QWEN3_4B, train, 0.125).peak < 0.8 * GPU_BYTES, name
    checkpointed = {name: train for name, train in presets.items() if train["gradient_checkpointing"]}
    written = (ROOT / "docs/cluster.md").read_text()
    for table in (budget.table(presets), budget.time_table(checkpointed), budget.disk_table()):
        assert table in written


def test_the_least_time_grows_with_what_a_step_does():
    train = budget.read(ROOT)["qwen3-4b"]
    sampling, backward = budget.least_step(QWEN3_4B, train, 0.125, 600)
    longer = budget.least_step(QWEN3_4B, train | {"max_new_tokens": 1024}, 0.125, 600)
    assert longer[0] > 2 * sampling and longer[1] > backward  # every further token reads a longer cache
    assert budget.least_step(QWEN3_4B, train | {"kl_coef": 0.1}, 0.125, 600)[1] > backward
    assert all(
        a > b for a, b in zip(budget.least_step(QWEN3_4B, train, 0.125, 1536), (sampling, backward), strict=True)
    )


def backward_pass(model, adapter, rows, tokens, checkpointing, device="cpu"):
    batch = collate([([1] * (tokens // 2), [2] * (tokens // 2 + 1))] * rows, device)
    with adapter.segments([0, rows]), recompute(model, checkpointing):
        completion_logprobs(model, batch).sum().backward()


def measure(dtype: str, checkpointing: bool) -> None:
    """Print the growth of this process's memory over a backward pass, and what was said of it."""
    torch.set_num_threads(1)
    model, shape = build("Qwen3", getattr(torch, dtype), 6, 256, 768)
    adapter = attach(model, factorize(model))
    backward_pass(model, adapter, 2, 16, checkpointing)
    held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    backward_pass(model, adapter, 16, 512, checkpointing)
    # Not ru_maxrss, which a process inherits from the one that started it.
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
    said = budget.kept(shape, 16 * 512, checkpointing) + budget.moment(shape, 16 * 512)
    print(json.dumps({"measured": peak - held, "said": said}))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_backward_pass_holds_no_more_than_is_said_and_not_much_less(dtype, checkpointing):
    """What the process holds, not what malloc keeps for later: every tensor is given back as soon as it is freed."""
    command = f"import test_budget; test_budget.measure({dtype!r}, {checkpointing})"
    path = os.pathsep.join(str(ROOT / name) for name in ("src", "tests", "benchmarks"))
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (0.35 if checkpointing else 0.6) < found["measured"] / found["said"] < 1


def test_the_benchmark_of_a_gpu_runs_where_there_is_none():
    train = budget.train_section([ROOT / "config.yaml", ROOT / "presets/qwen3-4b.yaml"])
    config = build_train_config(train | {"prompts_per_step": 2, "max_new_tokens": 8, "token_budget": 2048})
    found = gpu.measure(gpu.TINY, config, "cpu")
    assert set(found["seconds"]) == set(found["operations"]) == {"generate", "backward", "intervene"}
    assert len(gpu.ratios(gpu.TINY, config, "cpu")) == 4
    assert 0 < gpu.gradient_error(gpu.TINY, "cpu") < 0.01
    assert gpu.table(found, "qwen3-4b", gpu.TINY, config).count("\n| ") == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here to measure a peak on")
def test_the_peak_on_a_gpu_is_about_as_said():
    model, shape = build("Qwen3", torch.bfloat16, 8, 512, 1536)
    model = model.cuda()
    adapter = attach(model, factorize(model))
    torch.cuda.reset_peak_memory_stats()
    backward_pass(model, adapter, 8, 1000, False, "cuda")
    said = budget.weights(shape) + budget.merged(shape) + budget.factors(shape)
    said += budget.kept(shape, 8000, False) + budget.moment(shape, 8000)
    assert 0.7 < torch.cuda.max_memory_allocated() / said < 1.2
