"""V as a detector (method 9): the overlap of single live rollouts' own gradients with V, beside their true verdicts.

A rollout of step s + 1 was sampled at the knobs saved after step s, and is looked at there. Its gradient is that of its
plain negative log-likelihood, at the temperature it was sampled at: positive advantage, whatever its reward was. Never
used in training.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.evaluation.held_out import knobs_at
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.method.signals import rollout_overlaps


def detect_rollouts(
    model,
    tokenizer,
    adapter: Adapter,
    problems: Sequence[Problem],
    rollouts: pd.DataFrame,
    checkpoints: Mapping[str, torch.Tensor],
    directions: Mapping[str, Mapping[str, torch.Tensor]],
    temperature: float,
    token_budget: int,
    checkpointing: bool = False,
) -> list[dict]:
    """Return the rows of detection.parquet for one run: rollouts.parquet and checkpoints as training left them."""
    by_id = {problem.id: problem for problem in problems}
    saved = sorted({int(key.split(".")[0].removeprefix("step")) for key in checkpoints})
    rows = []
    for step in [0, *saved[:-1]]:
        live = rollouts[(rollouts["source"] == "student") & (rollouts["step"] == step + 1)]
        adapter.load(knobs_at(checkpoints, step, "deployed"), partial=True)
        texts = []
        for row in live.itertuples():
            ids = tokenizer.encode(row.completion, add_special_tokens=False)
            end = [] if row.clipped else [tokenizer.eos_token_id]
            texts.append((encode(tokenizer, by_id[row.problem_id]), [*ids, *end]))
        gradients = completion_gradients(model, adapter, texts, "fixed", 1.0, temperature, token_budget, checkpointing)
        for name, V in directions.items():
            overlaps = rollout_overlaps(V, gradients).tolist()
            rows += [
                {
                    "direction": name,
                    "step": step + 1,
                    "problem_id": row.problem_id,
                    "mode": row.mode,
                    "kind": _kind(row),
                    "overlap": value,
                }
                for row, value in zip(live.itertuples(), overlaps, strict=True)
            ]
    return rows


def _kind(row) -> str:
    if row.exploited:
        return "hack"
    if row.correct:
        return "correct"
    return "other" if row.attempted else "wrong"
