"""Training steps of the smoke preset in either arithmetic: seconds per phase, and a hash of the knobs after each.

python benchmarks/contestants/portable_steps.py RESULTS portable|native STEPS      (started by benchmarks/portable.py)
"""

import sys

from projected_grpo.portable import compute_alike

compute_alike({"portable": sys.argv[2] == "portable"})

import contextlib
import hashlib
import time
from pathlib import Path

import torch
import yaml
from common import CONFIG, MIX, serve

from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.grading import Grader
from projected_grpo.method import trainer
from projected_grpo.method.direction import usable
from projected_grpo.method.intervention import KnobOptimizer
from projected_grpo.method.rollouts import Pool
from projected_grpo.method.settings import Arm, Intervention, build_train_config
from projected_grpo.models import base
from projected_grpo.teacher.extraction import load_direction

PRESET = yaml.safe_load((Path(__file__).resolve().parents[2] / "presets/smoke.yaml").read_text(encoding="utf-8"))
ARM = Arm("erase", Intervention("erase"), direction="hack", mix=MIX)


def main(results: Path, steps: int) -> None:
    torch.set_num_threads(1)
    settings = build_train_config({**CONFIG["train"], **PRESET["train"], "steps": steps})
    model, tokenizer, adapter = base.load_adapted(results / "replicate0/base", base.Compute(1))
    problems = read_problems(results / "problems/train.parquet")
    pool = Pool(read_table(results / "replicate0/teacher_pool.parquet", TEACHER_POOL))
    V = load_direction(results / "replicate0/directions/hack/V.safetensors", adapter, "all")
    optimizer = KnobOptimizer(adapter, ARM.intervention, settings.betas, settings.max_grad_norm)
    run = trainer.Run(adapter, optimizer, usable(V))
    with Grader() as grader:
        modes = PRESET["modes"]
        inputs = trainer.RunInputs(model, tokenizer, adapter, problems, pool, ARM, settings, 0, grader, modes)

        def step(_: int) -> dict:
            started, before = time.perf_counter(), len(run.log.timing)
            with contextlib.redirect_stdout(None):
                trainer.train_step(run, inputs)
            seconds = time.perf_counter() - started
            phases = {row["phase"]: row["seconds"] for row in run.log.timing[before:]}
            return {**phases, "step": seconds, "knobs": digest(adapter.state())}

        serve(step)


def digest(knobs: dict[str, torch.Tensor]) -> str:
    hashed = hashlib.sha256()
    for value in knobs.values():
        hashed.update(value.numpy().tobytes())
    return hashed.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]))
