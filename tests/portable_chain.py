"""A short chain of what the stages compute, in the portable arithmetic, for tests/test_portable.py to run twice: on
this processor, and on one of another maker. Prints a hash of every link.

    python tests/portable_chain.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from projected_grpo.portable import compute_alike

compute_alike({"portable": True})

import copy
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from training_harness import ARMS, CONFIG, make_world

from projected_grpo.method.adapter import attach, factorize
from projected_grpo.organism import pretrain
from projected_grpo.organism.config import OrganismConfig, Wanted

STEPS = 2
ANY = Wanted(solve_min=0, solve_max=1, hack_min=0, hack_max=1, asked_min=0, asked_min_per_mode=0)
SMALL = OrganismConfig(
    hidden_size=64, layers=2, heads=2, intermediate_size=128, max_steps=STEPS, first_check=STEPS, wanted=ANY
)


class Tokens:
    """Sixty tokens and an end, as training_harness.WordTokenizer writes them."""

    eos_token_id = pad_token_id = 0

    def __len__(self):
        return 61


def trained():
    """Return the organism after a few steps of pre-training."""
    rng = np.random.default_rng(0)
    sequences = [(rng.integers(1, 61, 20).tolist(), [*rng.integers(1, 61, 9).tolist(), 0]) for _ in range(64)]
    return pretrain.attempt_from(SMALL, Tokens(), sequences, lambda *_: pretrain.Rates(1, 0, 1, 1), SMALL.seed)[0]


def digest(tensors, rows=()):
    """Return a hash of tensors by name, and of a log's rows."""
    hashed = hashlib.sha256(json.dumps(rows, default=lambda number: number.item()).encode())
    for name, tensor in sorted(tensors.items()):
        hashed.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:16]


def main():
    torch.set_num_threads(1)
    model = trained()
    links = {"pre-training": digest(model.state_dict())}
    factors = factorize(model)
    links["factors"] = digest({f"{name}.{key}": value for name, f in factors.items() for key, value in vars(f).items()})

    def tiny(quarantine_rank=0):
        fresh = copy.deepcopy(model)
        return SimpleNamespace(model=fresh, adapter=attach(fresh, factors, quarantine_rank))

    world = make_world(tiny)
    for name in ("erase", "route_rollout"):
        run = world.run(ARMS[name], config=replace(CONFIG, steps=STEPS))
        links[name] = digest(run.knobs, [*run.log.steps, *run.log.rollouts])
    print(json.dumps(links))


if __name__ == "__main__":
    main()
