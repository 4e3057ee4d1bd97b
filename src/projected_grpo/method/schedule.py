"""The learning rate's schedule: linear warm-up, then a cosine to zero; of pre-training and of the knobs alike."""

import math


def warmup_cosine(step: int, warmup: int, end: int) -> float:
    """Return the factor on the peak rate at step 1, 2, ...: step / warmup at first, 1 at `warmup`, 0 at `end`."""
    rest = max(0, step - warmup) / (end - warmup)
    return min(1.0, step / warmup) * 0.5 * (1 + math.cos(math.pi * rest))
