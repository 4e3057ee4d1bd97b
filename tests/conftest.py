"""Shared fixtures: tiny random models, their adapters, and gradients worked out by autograd."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if "TEST_SLURM" not in os.environ:
    # With a SLURM client and no controller, every start of Snakemake waits nine seconds for one (docs/questions.md).
    os.environ["SLURM_CONF"] = "/dev/null"

import json
import shutil
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
from filelock import FileLock
from workflow_harness import copy_of_the_repository, smoke

LONGEST = ("test_workflow", "test_whole", "test_invalidation", "test_interrupted")  # minutes each


def pytest_collection_modifyitems(items):
    """Begin with the longest files, so that no worker waits for another at the end."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory, worker_id):
    """The smoke preset, run whole with -j4, once for all workers: (its copy of the repository, the process)."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "smoke"
    finished = shared / "process.json"
    with FileLock(shared.with_suffix(".lock")):
        if not finished.exists():
            done = smoke(copy_of_the_repository(shared / "repository"), "-j4")
            finished.write_text(json.dumps(vars(done)))
    return shared / "repository", CompletedProcess(**json.loads(finished.read_text()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The copies of a synthetic run with every table, as in docs/run."""
    from synthetic_run import write_copies

    return write_copies(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(whole, tmp_path):
    """Such copies to change."""
    return shutil.copytree(whole, tmp_path / "run")


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
