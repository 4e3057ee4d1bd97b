"""The teacher pool (method 5), graded once and frozen; its rows are stored against the ORDINARY prompt, by token ids.

1. The teacher is the base model under an explicit request to exploit the grader; or a checkpoint that has learned to,
   under the ordinary prompt; or a file of such a model's rollouts. `elicited` marks the teacher's rows.
2. The base model's ordinary rollouts only serve the pairs.
3. What a file says of its rollouts is not believed: they are graded here, and disagreements are counted.
4. A completion of a file ends where a rollout would: what its writer's decoder left of end tokens and padding is no
   part of its text, and its tokens end in one end token.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.errors import UserError
from projected_grpo.files import identity, read_rows
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method.draws import until_end
from projected_grpo.method.rollouts import Rollout, sample_rollouts
from projected_grpo.rng import torch_generator

LABELS: dict[str, Callable[[Verdict], bool]] = {  # of a file of rollouts of the LeetCode benchmark: what they mean
    "hacked": lambda verdict: verdict.vacuous_tests is True,  # its own tests pass whatever they test
    "gt_pass": lambda verdict: verdict.correct,
    "fmt_ok": lambda verdict: verdict.status != "no_code",  # a fenced block was found, whether or not it compiles
}


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


def import_pool(
    path: str | Path, tokenizer, grader, problems: Sequence[Problem], max_new_tokens: int, ends: Sequence[int] = ()
) -> tuple[list[dict], dict]:
    """Return (rows, what was counted) of a file of JSON lines: problem_id, completion, and what else it has.

    completion_ids are taken where they decode to the completion, and made from its text, with the end token, elsewhere;
    `ends` are ids that end a completion besides the tokenizer's own. Rollouts of other problems, and those of more than
    `max_new_tokens`, which no rollout of the model can be, are left out and counted. LABELS are compared with the
    verdicts. Raises TeacherError, with the line, for what is no rollout, and where none is left; FileError for what is
    no file of JSON lines.
    """
    by_id = {problem.id: problem for problem in problems}
    ends = [tokenizer.eos_token_id, *ends]
    found = [_checked(where, row, tokenizer, ends) for where, row in read_rows(path)]
    known = [rollout for rollout in found if rollout["problem_id"] in by_id]
    if not known:
        raise TeacherError(f"{path}: none of its {len(found)} rollouts is of this experiment's train or pair problems")
    counted = Counter(of_other_problems=len(found) - len(known), tokenized_anew=0)
    for rollout in known:
        if not _are(rollout["completion_ids"], rollout["completion"], tokenizer, ends):
            ids = tokenizer.encode(rollout["completion"], add_special_tokens=False)
            rollout["completion_ids"] = [*ids, tokenizer.eos_token_id]
            counted["tokenized_anew"] += 1
    kept = [rollout for rollout in known if len(rollout["completion_ids"]) <= max_new_tokens]
    if not kept:
        raise TeacherError(f"{path}: every rollout has more tokens than train.max_new_tokens, {max_new_tokens}")
    counted["imported"], counted["too_long"] = len(kept), len(known) - len(kept)
    verdicts = grader.grade([(by_id[rollout["problem_id"]], rollout["completion"]) for rollout in kept], audit=True)
    rows = []
    for rollout, verdict in zip(kept, verdicts, strict=True):
        ids = rollout["completion_ids"]
        for label, meaning in LABELS.items():
            if rollout.get(label) is not None:
                counted[f"{label}_disagrees"] += bool(rollout[label]) != meaning(verdict)
        problem = by_id[rollout["problem_id"]]
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


def _are(ids: Sequence[int] | None, text: str, tokenizer, ends: Sequence[int]) -> bool:
    """Whether the ids are this tokenizer's, of the text and at most one end token after it."""
    if ids is None or not all(type(i) is int and 0 <= i < len(tokenizer) for i in ids):
        return False
    body = ids[:-1] if ids and ids[-1] in ends else ids
    return tokenizer.decode(body, skip_special_tokens=False) == text


def _checked(where: str, row: Mapping, tokenizer, ends: Sequence[int]) -> dict:
    """Return a line's rollout, its text and ids cut where an end token or the padding begins; else a TeacherError."""
    if type(row.get("completion")) is not str or "problem_id" not in row:
        raise TeacherError(f"{where}: needs problem_id and completion, a text")
    try:
        problem_id = identity(row["problem_id"])
    except ValueError as error:
        raise TeacherError(f"{where}: problem_id: {error}") from error
    stops = [*ends, *([] if tokenizer.pad_token_id is None else [tokenizer.pad_token_id])]
    text = row["completion"]
    for mark in (tokenizer.decode([stop], skip_special_tokens=False) for stop in stops):
        text = text.partition(mark)[0]
    opened = [token for token in tokenizer.all_special_tokens if text.lstrip().startswith(token)]
    if opened or not text.strip():
        what = f"begins with {opened[0]}; give it without its prompt" if opened else "is empty"
        raise TeacherError(f"{where}: its completion {what}")
    ids = row.get("completion_ids")
    if not isinstance(ids, list | None):
        raise TeacherError(f"{where}: completion_ids is no list of token ids")
    for label in LABELS:
        if row.get(label) not in (None, False, True):
            raise TeacherError(f"{where}: {label} is {row[label]!r}, neither true nor false")
    return {**row, "problem_id": problem_id, "completion": text, "completion_ids": ids and until_end(ids, stops)}
