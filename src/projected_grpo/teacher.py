"""The teacher pool (method 5), sampled and graded once and frozen.

The teacher is the base model under an explicit request to exploit the grader; its rollouts are stored against the
ORDINARY prompt, by token ids. Its ordinary rollouts only serve the pairs.
"""

from collections.abc import Sequence

from projected_grpo.artifacts import verdict_row
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.rng import torch_generator
from projected_grpo.rollout import sample_graded


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
        counts = [n] * len(part)
        groups = sample_graded(
            model, tokenizer, grader, part, prompts, counts, max_new_tokens, temperature, generator, audit=True
        )
        rows += [
            {
                "problem_id": problem.id,
                "mode": problem.mode,
                "elicited": elicit,
                "prompt_ids": encode(tokenizer, problem),
                "completion_ids": row.ids,
                "completion": row.text,
            }
            | verdict_row(row.verdict)
            for problem, group in zip(part, groups, strict=True)
            for row in group
        ]
    return rows
