"""The weak detector (method 2): it knows some modes, and its fold holds nothing of the others.

`restrict` makes a fold; `check_fold` and `check_subset` are asked before anything of a fold is used, and refuse a leak.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from projected_grpo.errors import UserError


class LeakError(UserError, ValueError):
    """Something of a held-out mode in what a fold may know; the message names it."""


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


def check_fold(rows: pd.DataFrame, known: Collection[str], modes: Sequence[str], path: object) -> None:
    """Raise a LeakError for the first row, of a pool or of pairs, that is or attempts a mode held out of `modes`."""
    held_out = set(modes) - set(known)
    for row in rows.itertuples():
        if row.mode not in known:
            raise LeakError(f"{path}: problem {row.problem_id} is of mode {row.mode!r}, which this fold holds out")
        attempted = sorted(held_out.intersection(row.attempted_modes))
        if attempted:
            raise LeakError(
                f"{path}: a completion of problem {row.problem_id} attempts {attempted[0]!r}, which this fold holds out"
            )


def check_subset(source: Mapping, subset: str, path: object, stage: str = "direction") -> None:
    """Raise a LeakError unless the provenance of a direction, or of a signal, says that it knows this subset."""
    known = source.get("config", {}).get(stage, {}).get("subset")
    if known != subset:
        made = {"direction": "V"}.get(stage, stage)
        raise LeakError(f"{path}: this {made} knows {known!r}, but the arm may know {subset!r}")
