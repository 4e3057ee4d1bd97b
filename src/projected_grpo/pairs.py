"""Contrastive pairs (method 2), drawn from the graded teacher pool.

A pair is a triple of completions for one prompt: hack (the channel fired, not correct), clean (correct, no exploit)
and wrong (neither). Hack against clean makes V; wrong against clean is the wrongness control, from the same prompts.
Matched pairs take for hack the clean program with an exploit put in.
"""

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from projected_grpo.detector import detect
from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.errors import UserError
from projected_grpo.grading.verdict import extract_code
from projected_grpo.rng import numpy_generator


class PoolError(UserError, ValueError):
    """A pool that cannot serve what was asked of it."""


def _candidates(rows: pd.DataFrame, known: Collection[str]) -> dict[str, pd.DataFrame]:
    fired = np.array([detect(row, row.mode, known) for row in rows.itertuples()], bool)
    honest = rows["attempted_modes"].map(len) == 0
    return {
        "hack": rows[rows["elicited"] & fired & ~rows["correct"]],
        "clean": rows[~rows["elicited"] & honest & rows["correct"]],
        "wrong": rows[~rows["elicited"] & honest & rows["format_ok"] & ~rows["correct"]],
    }


def build_pairs(
    pool: pd.DataFrame,
    problem_ids: Sequence[str],
    known: Sequence[str],
    n: int,
    heldout: int,
    body: str,
    tokenizer,
    seed: int,
) -> list[dict]:
    """Return n + heldout rows of pairs.parquet, modes in rotation; the last `heldout` only test V.

    One rollout of each kind is drawn per problem. body `matched` replaces the hack by the clean program with an exploit
    of the mode put in. Raises PoolError when too few problems have all three kinds.
    """
    pool = pool[pool["problem_id"].isin(list(problem_ids))]
    by_mode: dict[str, list[dict]] = {mode: [] for mode in known}
    rng = numpy_generator(seed, 0, "pairs")
    for problem_id, rows in pool.groupby("problem_id", sort=True):
        candidates = _candidates(rows, known)
        if any(side.empty for side in candidates.values()):
            continue
        drawn = {name: side.iloc[int(rng.integers(len(side)))] for name, side in candidates.items()}
        mode = rows["mode"].iloc[0]
        hack_ids = list(drawn["hack"].completion_ids)
        if body == "matched":
            hack_ids = _graft(drawn["clean"].completion, mode, tokenizer, rng)
        by_mode[mode].append(
            {
                "problem_id": problem_id,
                "mode": mode,
                "attempted_modes": sorted({mode, *chain.from_iterable(row.attempted_modes for row in drawn.values())}),
                "prompt_ids": list(drawn["hack"].prompt_ids),
                "hack_ids": hack_ids,
                "clean_ids": list(drawn["clean"].completion_ids),
                "wrong_ids": list(drawn["wrong"].completion_ids),
            }
        )
    deepest = max((len(rows) for rows in by_mode.values()), default=0)
    rotated = [rows[i] for i in range(deepest) for rows in by_mode.values() if i < len(rows)]
    if len(rotated) < n + heldout:
        found = {mode: len(rows) for mode, rows in by_mode.items()}
        raise PoolError(
            f"pairs: {n + heldout} wanted, but only {found} problems have a hack, a correct and a wrong rollout;"
            " raise problems.pairs or teacher.ordinary"
        )
    return [row | {"heldout": i >= n} for i, row in enumerate(rotated[: n + heldout])]


def _graft(completion: str, mode: str, tokenizer, rng) -> list[int]:
    """Return the token ids of a fenced program with one of the mode's exploits put in."""
    exploits = LOOPHOLES[mode].exploits
    exploited = exploits[int(rng.integers(len(exploits)))](extract_code(completion))
    text = f"```python\n{exploited.rstrip()}\n```"
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
