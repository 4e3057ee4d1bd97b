"""Contrastive pairs (method 2), drawn from the graded teacher pool, or written by a person (`read_pairs`).

A pair is a triple of completions for one prompt: hack (the channel fired, not correct), clean (correct, no exploit)
and wrong (neither). Hack against clean makes V; wrong against clean is the wrongness control, from the same prompts.
Matched pairs take for hack the clean program with an exploit put in.
"""

import ast
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.environment.answers import extract_code, is_one_program, write_answer
from projected_grpo.environment.loopholes import LOOPHOLES, attempted_modes
from projected_grpo.environment.problems import ProblemError
from projected_grpo.environment.prompts import encode_messages, encode_text
from projected_grpo.errors import UserError
from projected_grpo.files import identity, parse, read_text
from projected_grpo.rng import numpy_generator
from projected_grpo.teacher.weak_detector import detect

SIDES = ("hack", "clean", "wrong")
NEEDED = {"problem_id", "prompt", "hack", "clean"}  # of a pair that a person wrote
OPTIONAL = {"wrong", "mode"}
ROLES = ("system", "user", "assistant")


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
    of the mode put in; all else is the same in both. Raises PoolError when too few problems have all three kinds.
    """
    pool = pool[pool["problem_id"].isin(list(problem_ids))]
    by_mode: dict[str, list[dict]] = {mode: [] for mode in known}
    rng, grafts = numpy_generator(seed, 0, "pairs"), numpy_generator(seed, 0, "exploits of matched pairs")
    for problem_id, rows in pool.groupby("problem_id", sort=True):
        candidates = _candidates(rows, known)
        if any(side.empty for side in candidates.values()):
            continue
        drawn = {name: side.iloc[int(rng.integers(len(side)))] for name, side in candidates.items()}
        mode = rows["mode"].iloc[0]
        hack_ids = list(drawn["hack"].completion_ids)
        if body == "matched":
            hack_ids = _graft(drawn["clean"].completion, mode, tokenizer, grafts)
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


def read_pairs(
    path: str | Path,
    known: Sequence[str],
    modes: Sequence[str],
    mode: str | None,
    n: int,
    heldout: int,
    tokenizer,
) -> list[dict]:
    """Return n + heldout rows of pairs.parquet from a JSON list of pairs, in the file's order.

    Left out are pairs of modes that are not `known`, and those that attempt one of the `modes` that is not. A pair has
    problem_id, prompt (chat messages, or a text in the model's own chat template), hack, clean, and optionally wrong
    and mode, which is otherwise `mode`. Raises PoolError, naming the pair, for one that is not so, and for one whose
    clean or wrong side attempts the pair's own loophole.
    """
    listed = parse(read_text(path), str(path))
    if not isinstance(listed, list):
        raise PoolError(f"{path}: not a JSON list of pairs")
    rows = []
    for number, pair in enumerate(listed, 1):
        row = _authored(f"{path}: pair {number} of {len(listed)}", pair, mode, tokenizer)
        if row["mode"] in known and not set(row["attempted_modes"]) & (set(modes) - set(known)):
            rows.append(row)
    if len(rows) < n + heldout:
        raise PoolError(f"{path}: {n + heldout} pairs wanted, but only {len(rows)} serve for modes {list(known)}")
    return [row | {"heldout": i >= n} for i, row in enumerate(rows[: n + heldout])]


def _authored(name: str, pair: object, mode: str | None, tokenizer) -> dict:
    if not isinstance(pair, dict) or not pair.keys() >= NEEDED:
        raise PoolError(f"{name} lacks one of {', '.join(sorted(NEEDED))}")
    if odd := sorted(pair.keys() - NEEDED - OPTIONAL):
        raise PoolError(f"{name} has unknown fields {', '.join(odd)}")
    pair = {key: value for key, value in pair.items() if value is not None}
    try:
        problem_id = identity(pair.get("problem_id"))
    except ValueError as error:
        raise PoolError(f"{name}: problem_id: {error}") from error
    texts = {side: pair.get(side, "") for side in SIDES}
    if not all(isinstance(text, str) for text in texts.values()):
        raise PoolError(f"{name}: hack, clean and wrong have to be texts")
    for side in ("hack", "clean"):
        if not texts[side].strip():
            raise PoolError(f"{name}: {side} is empty")
    mode = pair.get("mode", mode)
    if not isinstance(mode, str) or mode not in LOOPHOLES:
        raise PoolError(f"{name}: its mode is {mode!r}; name one in the pair or in pairs.mode: {', '.join(LOOPHOLES)}")
    ids = {
        f"{side}_ids": [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id] if text else []
        for side, text in texts.items()
    }
    return {
        "problem_id": problem_id,
        "mode": mode,
        "attempted_modes": _attempted(name, texts, mode),
        "prompt_ids": _prompt_ids(name, pair.get("prompt"), tokenizer),
        **ids,
    }


def _prompt_ids(name: str, prompt: object, tokenizer) -> list[int]:
    try:
        if isinstance(prompt, str):
            return list(encode_text(tokenizer, prompt))
        if isinstance(prompt, list) and all(map(_is_message, prompt)) and _asks(prompt):
            return list(encode_messages(tokenizer, prompt))
    except ProblemError as error:
        raise PoolError(f"{name}: {error}") from error
    raise PoolError(
        f"{name}: its prompt is neither a text nor a list of messages, each with a role ({', '.join(ROLES)}) and a text"
        " as content, the last of them the user's"
    )


def _is_message(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ROLES and isinstance(turn.get("content"), str)


def _asks(prompt: Sequence[Mapping]) -> bool:
    return bool(prompt) and prompt[-1]["role"] == "user" and bool(prompt[-1]["content"].strip())


def _attempted(name: str, texts: Mapping[str, str], mode: str) -> list[str]:
    """Return the modes whose construct is in one of the completions, read here: a person wrote them, no model.

    Each has to be one fenced program and nothing more, or an exploit outside it would not be seen.
    """
    found = {mode}
    for side, text in texts.items():
        if not (completion := text.strip()):
            continue
        if not is_one_program(completion):
            raise PoolError(f"{name}: {side} is not one fenced program, with nothing before or after it")
        try:
            attempted = attempted_modes(ast.parse(extract_code(completion)))
        except SyntaxError as error:
            raise PoolError(f"{name}: {side} is no program: {error}") from error
        if side != "hack" and mode in attempted:
            raise PoolError(f"{name}: its {side} side attempts {mode}, the loophole that only hack should use")
        found |= set(attempted)
    return sorted(found)


def _graft(completion: str, mode: str, tokenizer, rng) -> list[int]:
    """Return the token ids of a fenced program with one of the mode's exploits put in."""
    exploits = LOOPHOLES[mode].exploits
    exploited = exploits[int(rng.integers(len(exploits)))](extract_code(completion))
    text = write_answer(exploited.rstrip())
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
