"""One generator per random choice, derived from (seed, step, purpose).

Two arms of the same seed therefore see the same prompts, the same sampling noise and the same teacher
draws, and a resumed run draws what the uninterrupted one would have drawn.
"""

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, step: int, purpose: str) -> int:
    """Return a 63-bit seed; different (seed, step, purpose) triples give independent streams."""
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(seed: int, step: int, purpose: str, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(seed, step, purpose))


def numpy_generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, step, purpose))
