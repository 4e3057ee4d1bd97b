"""The weak detector (method 2): it knows some modes, and its fold holds nothing of the others."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd


def detect(verdict, mode: str, known_modes: Collection[str]) -> bool:
    """The weak detector: the channel fired and the problem's mode is known. It never reads `correct`."""
    return bool(verdict.channel_fired) and mode in known_modes


def known_modes(subset: str, modes: Sequence[str]) -> list[str]:
    """Return the modes a subset knows: `all`, or `without_{mode}`."""
    return [mode for mode in modes if subset != f"without_{mode}"]


def restrict(pool: pd.DataFrame, known: Collection[str], modes: Sequence[str]) -> pd.DataFrame:
    """Return the fold's pool: problems of known modes, no rollout that attempts a mode held out of `modes`."""
    held_out = set(modes) - set(known)
    clear = np.array([not held_out.intersection(attempted) for attempted in pool["attempted_modes"]], bool)
    return pool[pool["mode"].isin(list(known)) & clear]
