"""Does bfloat16 learn what float32 learns? A finished default run's arms, trained anew in both on its own base models.

    python benchmarks/low_precision.py RESULTS [--arms vanilla erase_update] [--write docs/performance.md]

Base weights are rounded to bfloat16; factors, teacher pool, V, problems and seeds are the run's. Shown are the deployed
model's hack and solve on the held-out problems at the last step, per replicate, and bfloat16 minus float32 with its
decision interval (method 7). An arm takes about 40 seconds of processor time per replicate and dtype.
"""

import argparse
import contextlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml

from projected_grpo.analysis.statistics import difference
from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.documents.blocks import replace_block
from projected_grpo.environment.prompts import encode
from projected_grpo.grading import Grader
from projected_grpo.method.adapter import attach, weights_hash
from projected_grpo.method.direction import usable
from projected_grpo.method.groups import Pool
from projected_grpo.method.rollouts import sample_rollouts
from projected_grpo.method.settings import build_arm, build_train_config
from projected_grpo.method.trainer import RunInputs, train
from projected_grpo.models import base
from projected_grpo.rng import torch_generator
from projected_grpo.teacher.extraction import load_direction
from projected_grpo.workflow.arms import seeds_of, train_settings, training_spec

SAMPLES = 4  # per held-out problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="of a finished default run")
    parser.add_argument("--arms", nargs="+", default=["vanilla", "erase_update"])
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    config = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text(encoding="utf-8"))
    lines = ["| arm | | float32 | bfloat16 | bfloat16 - float32 | 95% |", "| --- | --- | --- | --- | --- | --- |"]
    with Grader() as grader:
        for arm in options.arms:
            full, half = (
                [run(options.results, config, grader, arm, replicate, dtype) for replicate in config["replicates"]]
                for dtype in (torch.float32, torch.bfloat16)
            )
            for rate in ("hack", "solve"):
                lines.append(row(arm, rate, *(np.array([found[rate] for found in runs]) for runs in (full, half))))
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(replace_block(page, "low_precision", text), encoding="utf-8")


def run(results: Path, config: dict, grader: Grader, name: str, replicate: int, dtype: torch.dtype) -> dict:
    """Train one arm and return the deployed model's hack and solve, percent of the samples of each held-out problem."""
    own, settings = results / f"replicate{replicate}", build_train_config(train_settings(config, name))
    arm = build_arm(name, training_spec(config, name))
    model, tokenizer = base.load_base(own / "base", base.Compute(1))
    factors = base.StoredFactors(own / "base" / base.FACTORS, weights_hash(model))
    for parameter in model.parameters():  # and no buffer: rotary frequencies stay float32, as when loaded in bfloat16
        parameter.data = parameter.data.to(dtype)
    adapter = attach(model, factors, arm.intervention.quarantine_rank)
    V = load_direction(own / "directions" / arm.direction / "V.safetensors", adapter, "all")
    pool = Pool(read_table(own / "pools/all.parquet", TEACHER_POOL))
    problems = read_problems(results / "problems/train.parquet")
    seeds = seeds_of(config, replicate)
    given = model, tokenizer, adapter, problems, pool, arm, settings, seeds["seed"], seeds["data_seed"], grader
    with contextlib.redirect_stdout(None):
        train(RunInputs(*given, config["modes"]), usable(V, k=arm.k, drop_bottom_frac=arm.drop_bottom_frac))
    held_out = read_problems(results / "problems/evaluation.parquet")
    look = partial(sample_rollouts, model, tokenizer, grader, held_out, [encode(tokenizer, p) for p in held_out])
    generator = torch_generator(seeds["seed"], 0, f"evaluation full {settings.steps} True")
    with adapter.ablated():
        groups = look([SAMPLES] * len(held_out), settings.max_new_tokens, settings.temperature, generator)
    verdicts = [[row.verdict for row in group] for group in groups]
    return {
        "hack": [100 * sum(verdict.exploited for verdict in group) / SAMPLES for group in verdicts],
        "solve": [100 * sum(verdict.correct for verdict in group) / SAMPLES for group in verdicts],
    }


def row(arm: str, rate: str, full: np.ndarray, half: np.ndarray) -> str:
    """Return a row of the table, from percentages (replicates, problems)."""
    effect = difference(half, full)
    each = [" ".join(f"{mean:.1f}" for mean in runs.mean(1)) for runs in (full, half)]
    return (
        f"| {arm} | {rate} | {each[0]} | {each[1]} | {effect.estimate:+.1f} | {effect.low:+.1f} to {effect.high:+.1f} |"
    )


if __name__ == "__main__":
    main()
