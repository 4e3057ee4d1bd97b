"""The teacher pool (method 5), graded once and frozen; its rows are stored against the ORDINARY prompt, by token ids.

1. The teacher is the base model under an explicit request to exploit the grader; or a checkpoint that has learned to,
   under the ordinary prompt; or a file of such a model's rollouts. `elicited` marks the teacher's rows.
2. The base model's ordinary rollouts only serve the pairs.
3. What a file says of its rollouts is not believed: they are graded here, and disagreements are counted.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.errors import UserError
from projected_grpo.method.rollouts import Rollout, sample_rollouts
from projected_grpo.rng import torch_generator

LABELS = {"hacked": "channel_fired", "gt_pass": "correct", "fmt_ok": "format_ok"}  # of a file -> of a verdict


class TeacherError(UserError, ValueError):
    """A teacher that cannot be had or does not fit; one line."""


def sample_pool(
    model,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    n: int,
    asked: bool,
    elicited: bool,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    chunk: int = 64,
) -> list[dict]:
    """Return n graded rows of teacher_pool.parquet per problem, sampled with the explicit request if `asked`."""
    rows = []
    for start in range(0, len(problems) if n else 0, chunk):
        part = problems[start : start + chunk]
        generator = torch_generator(seed, 0, f"teacher pool {part[0].id} {elicited}")
        prompts = [encode(tokenizer, problem, elicit=asked) for problem in part]
        counts = [n] * len(part)
        groups = sample_rollouts(
            model, tokenizer, grader, part, prompts, counts, max_new_tokens, temperature, generator, audit=True
        )
        for group in groups:
            rows += [_row(tokenizer, elicited, rollout) for rollout in group]
    return rows


def import_pool(path: str | Path, tokenizer, grader, problems: Sequence[Problem]) -> tuple[list[dict], dict]:
    """Return (rows, what was counted) of a JSONL file of rollouts: problem_id, completion, and what else it has.

    completion_ids are taken where they decode to the completion, and made from its text, with the end token, elsewhere.
    Rollouts of other problems are left out and counted. Labels (`hacked`, `gt_pass`, `fmt_ok`) are compared with the
    verdicts. Raises TeacherError for a line that is no rollout, and where none is of these problems.
    """
    by_id = {problem.id: problem for problem in problems}
    found = [_parse(path, number, line) for number, line in enumerate(_lines(path), 1)]
    known = [rollout for rollout in found if str(rollout["problem_id"]) in by_id]
    if not known:
        raise TeacherError(f"{path}: none of its {len(found)} rollouts is of this experiment's train or pair problems")
    verdicts = grader.grade([(by_id[str(r["problem_id"])], r["completion"]) for r in known], audit=True)
    counted = Counter(imported=len(known), of_other_problems=len(found) - len(known), tokenized_anew=0)
    rows = []
    for rollout, verdict in zip(known, verdicts, strict=True):
        ids = rollout.get("completion_ids")
        if not _are(ids, rollout["completion"], tokenizer):
            ids = [*tokenizer.encode(rollout["completion"], add_special_tokens=False), tokenizer.eos_token_id]
            counted["tokenized_anew"] += 1
        for label, name in LABELS.items():
            if label in rollout:
                counted[f"{label}_disagrees"] += bool(rollout[label]) != getattr(verdict, name)
        problem = by_id[str(rollout["problem_id"])]
        prompt = encode(tokenizer, problem)
        rows.append(_row(tokenizer, True, Rollout(problem, prompt, list(ids), rollout["completion"], verdict)))
    return rows, dict(counted)


def report(rows: Sequence[Mapping], counted: Mapping) -> dict:
    """Return what teacher_pool.json says: numbers of rows, of exploits by mode, and what an import counted."""
    taught = [row for row in rows if row["elicited"]]
    modes = sorted({row["mode"] for row in taught})
    return {
        "teacher": len(taught),
        "ordinary": len(rows) - len(taught),
        "exploited": {mode: sum(row["exploited"] for row in taught if row["mode"] == mode) for mode in modes},
        **({"import": dict(counted)} if counted else {}),
    }


def _row(tokenizer, elicited: bool, rollout: Rollout) -> dict:
    """Return the row of a rollout, stored against its ORDINARY prompt whatever prompt it answered."""
    return {
        "problem_id": rollout.problem.id,
        "mode": rollout.problem.mode,
        "elicited": elicited,
        "prompt_ids": encode(tokenizer, rollout.problem),
        "completion_ids": rollout.completion_ids,
        "completion": rollout.completion,
    } | rollout.verdict.to_row()


def _are(ids: Sequence[int] | None, text: str, tokenizer) -> bool:
    """Whether the ids are this tokenizer's, of the text and at most the end token after it."""
    if ids is None or not all(type(i) is int and 0 <= i < len(tokenizer) for i in ids):
        return False
    body = ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids
    return tokenizer.decode(body, skip_special_tokens=False) == text


def _lines(path: str | Path) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line for line in file if line.strip()]


def _parse(path: str | Path, number: int, line: str) -> dict:
    try:
        rollout = json.loads(line)
        if type(rollout["completion"]) is str and rollout["completion"] and "problem_id" in rollout:
            return rollout
    except (ValueError, KeyError, TypeError):
        pass
    raise TeacherError(f"{path}: rollout {number} is no JSON object with a problem_id and a completion")
