"""Signals as detectors (method 9): what every V and every fitted signal says of single live rollouts, beside their true
verdicts. Never used in training.

A rollout of step s + 1 was sampled at the knobs saved after step s, and is looked at there. A V's score is its overlap
with the rollout's own gradient, which is that of its plain negative log-likelihood, at the temperature it was sampled
at: positive advantage, whatever its reward was. A group is what is live of one: no teacher's rollouts are looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd
import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.evaluation.held_out import knobs_at
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.method.signals import Seen, Signal, flag_above, mean_states, score
from projected_grpo.rng import torch_generator


@dataclass(frozen=True)
class Detector:
    """A signal as it is tried: `subset` of the loopholes that it knows; `control`: it has no information about hacking;
    `flags`: it has a threshold of its own."""

    signal: Signal
    subset: str
    control: bool
    flags: bool


def bare(V: Mapping[str, torch.Tensor], subset: str, control: bool) -> Detector:
    """Return V (k, r) by module as a detector: the signal `overlap` without a threshold."""
    return Detector(Signal("overlap", {f"{name}.V": rows for name, rows in V.items()}), subset, control, False)


def detect_rollouts(
    model,
    tokenizer,
    adapter: Adapter,
    problems: Sequence[Problem],
    rollouts: pd.DataFrame,
    checkpoints: Mapping[str, torch.Tensor],
    detectors: Mapping[str, Detector],
    temperature: float,
    token_budget: int,
    seed: int,
    checkpointing: bool = False,
) -> list[dict]:
    """Return the rows of detection.parquet for one run: rollouts.parquet and checkpoints as training left them."""
    by_id = {problem.id: problem for problem in problems}
    saved = sorted({int(key.split(".")[0].removeprefix("step")) for key in checkpoints})
    rows = []
    for step in [0, *saved[:-1]]:
        live = rollouts[(rollouts["source"] == "student") & (rollouts["step"] == step + 1)]
        adapter.load(knobs_at(checkpoints, step, "deployed"), partial=True)
        how = temperature, token_budget, torch_generator(seed, step, "detectors"), checkpointing
        seen = _seen(model, tokenizer, adapter, by_id, live, *how)
        for name, detector in detectors.items():
            scores = score(detector.signal, seen)
            flags = flag_above(scores, detector.signal.threshold).tolist() if detector.flags else [None] * len(live)
            rows += [
                {
                    "detector": name,
                    "subset": detector.subset,
                    "control": detector.control,
                    "step": step + 1,
                    "problem_id": row.problem_id,
                    "mode": row.mode,
                    "kind": _kind(row),
                    "score": value,
                    "flagged": flag,
                }
                for row, value, flag in zip(live.itertuples(), scores.tolist(), flags, strict=True)
            ]
    return rows


def _seen(
    model,
    tokenizer,
    adapter: Adapter,
    by_id: Mapping[str, Problem],
    live: pd.DataFrame,
    temperature: float,
    token_budget: int,
    generator: torch.Generator,
    checkpointing: bool,
) -> Seen:
    """Return a step's live rollouts as signals see them; what the model makes of them is computed once for all."""
    tokens = []
    for row in live.itertuples():
        ids = tokenizer.encode(row.completion, add_special_tokens=False)
        end = [] if row.clipped else [tokenizer.eos_token_id]
        tokens.append((encode(tokenizer, by_id[row.problem_id]), [*ids, *end]))
    depth = model.config.num_hidden_layers
    states = cache(lambda: mean_states(model, tokens, range(depth), token_budget))
    how = "fixed", 1.0, temperature, token_budget, checkpointing
    return Seen(
        tokens,
        live["completion"].tolist(),
        torch.as_tensor(pd.factorize(live["problem_id"])[0]),
        depth,
        lambda layers: states()[:, list(layers)],
        cache(lambda: completion_gradients(model, adapter, tokens, *how)),
        generator,
    )


def _kind(row) -> str:
    if row.exploited:
        return "hack"
    if row.correct:
        return "correct"
    return "other" if row.attempted else "wrong"
