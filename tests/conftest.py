"""Shared fixtures: tiny random models, their adapters, and gradients worked out by autograd."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if "TEST_SLURM" not in os.environ:
    # With a SLURM client and no controller, every start of Snakemake waits nine seconds for one (docs/questions.md).
    os.environ["SLURM_CONF"] = "/dev/null"

from types import SimpleNamespace

import pytest
from workflow_harness import copy_of_the_repository, smoke


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """The smoke preset, run whole with -j4: (its copy of the repository, the finished process)."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("smoke") / "repository")
    return folder, smoke(folder, "-j4")


@pytest.fixture
def tiny():
    """A factory of tiny random Qwen3 models with an adapter: tiny(dtype) -> (model, adapter, config)."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from projected_grpo.method.adapter import attach, factorize

    torch.set_num_threads(1)

    def make(dtype=torch.float32, seed=0, layers=2, quarantine_rank=0, device="cpu"):
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=61,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=12,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
        model = Qwen3ForCausalLM(config).to(device, dtype).eval()
        return SimpleNamespace(model=model, adapter=attach(model, factorize(model), quarantine_rank), config=config)

    return make


@pytest.fixture
def rows():
    """Six (prompt ids, completion ids) rows of different lengths."""
    import numpy as np

    rng = np.random.default_rng(3)
    lengths = [(5, 7), (3, 2), (6, 9), (4, 4), (5, 1), (2, 8)]
    return [(rng.integers(0, 61, p).tolist(), rng.integers(0, 61, c).tolist()) for p, c in lengths]


@pytest.fixture
def world(tiny):
    """Problems, a pool, V, and a function that trains an arm from scratch."""
    from training_harness import make_world

    return make_world(tiny)
