"""One generator per random choice, derived from (seed, step, purpose).

Two arms of the same seed therefore see the same prompts, the same sampling noise and the same teacher draws.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, step: int, purpose: str) -> int:
    """Return a 63-bit seed; different (seed, step, purpose) triples give independent streams."""
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(seed: int, step: int, purpose: str, device: str = "cpu") -> torch.Generator:
    import torch  # here, because tables and figures draw numpy generators only

    return torch.Generator(device).manual_seed(derive_seed(seed, step, purpose))


def numpy_generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, step, purpose))


def random_rows(k: int, r: int, generator: torch.Generator) -> torch.Tensor:
    """Return k Haar-random orthonormal rows in R^r."""
    import torch

    Q, R = torch.linalg.qr(torch.randn(r, k, generator=generator))
    return (Q * R.diagonal().sign()).T.contiguous()  # the sign makes the distribution Haar
