"""The teacher pool and the contrastive pairs (method 2 and 5), graded once and frozen.

1. The teacher is the base model under an explicit request to exploit the grader; its rollouts are stored against the
   ORDINARY prompt, by token ids.
2. A pair is a triple of completions for one prompt: hack (the channel fired, not correct), clean (correct, no exploit)
   and wrong (neither). Hack against clean makes V; wrong against clean is the wrongness control, from the same prompts.
   Matched pairs take for hack the clean program with an exploit put in.
3. The weak detector knows some modes. Its fold of the pool holds only problems of these modes, and no rollout that
   attempts another one.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from projected_grpo import rollout
from projected_grpo.artifacts import verdict_row
from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.errors import UserError
from projected_grpo.grading.verdict import extract_code
from projected_grpo.rng import numpy_generator, torch_generator

BODIES = ("natural", "matched")


class PoolError(UserError, ValueError):
    """A pool that cannot serve what was asked of it."""


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


def sample_pool(
    model,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    n: int,
    elicit: bool,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    chunk: int = 64,
) -> list[dict]:
    """Return n graded rows of teacher_pool.parquet per problem, sampled with or without the explicit request."""
    rows = []
    for start in range(0, len(problems), chunk):
        part = problems[start : start + chunk]
        generator = torch_generator(seed, 0, f"teacher pool {part[0].id} {elicit}")
        prompts = [encode(tokenizer, problem, elicit=elicit) for problem in part]
        sampled = rollout.sample(
            model, prompts, [n] * len(part), max_new_tokens, temperature, generator, tokenizer.eos_token_id
        )
        flat = [(problem, ids) for problem, group in zip(part, sampled, strict=True) for ids in group]
        texts = tokenizer.batch_decode([ids for _, ids in flat], skip_special_tokens=True)
        verdicts = grader.grade([(problem, text) for (problem, _), text in zip(flat, texts, strict=True)], audit=True)
        rows += [
            {
                "problem_id": problem.id,
                "mode": problem.mode,
                "elicited": elicit,
                "prompt_ids": encode(tokenizer, problem),
                "completion_ids": ids,
                "completion": text,
            }
            | verdict_row(verdict)
            for (problem, ids), text, verdict in zip(flat, texts, verdicts, strict=True)
        ]
    return rows


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
