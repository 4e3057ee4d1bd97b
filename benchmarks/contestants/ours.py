"""One step of this project's trainer: sandboxed grading, an erase intervention, one thread.

python benchmarks/contestants/ours.py REPLICATE [SIGNAL|vanilla]      (started by benchmarks/step.py and signals.py)

With the name of a fitted signal it drops what that flags, instead of the intervention; vanilla does neither.
"""

import contextlib
import sys
import time
from pathlib import Path

import torch
from common import MIX, TRAIN, serve

from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.grading import Grader
from projected_grpo.method import trainer
from projected_grpo.method.direction import usable
from projected_grpo.method.groups import Pool
from projected_grpo.method.intervention import KnobOptimizer
from projected_grpo.method.settings import Arm, Intervention, TrainConfig, build_train_config
from projected_grpo.method.signals import Signal
from projected_grpo.models import base
from projected_grpo.teacher.extraction import load_direction
from projected_grpo.teacher.signals import in_use

# The policy stays what it is (lr 0), so that every step is the same work.
SETTINGS = build_train_config({**TRAIN, "steps": 1000, "lr": 0.0, "checkpoint_every": 1000})
ARM = Arm("erase", Intervention("erase"), direction="hack", mix=MIX)
DROPS = Arm("drop", Intervention(action="drop"), direction="hack", mix=MIX)
VANILLA = Arm("vanilla", direction="hack", mix=MIX)


def main(replicate: Path, name: str | None = None) -> None:
    torch.set_num_threads(1)
    arm, signal = ARM if name is None else VANILLA, None
    if name not in (None, "vanilla"):
        file = replicate / f"signals/{name}/weights.safetensors"
        arm, (signal, _) = DROPS, in_use({"kind": name, "subset": "all"}, file, False, ())
    with Grader() as grader:
        run, inputs = prepare(replicate, grader, arm, SETTINGS, signal)
        serve(lambda _: timed_step(run, inputs))


def prepare(replicate: Path, grader: Grader, arm: Arm, settings: TrainConfig, signal: Signal | None = None):
    """Return the run before its first step, and what it is given, from a replicate's base model, pool and V."""
    model, tokenizer, adapter = base.load_adapted(replicate / "base", base.Compute(1))
    problems = read_problems(replicate.parent / "problems/train.parquet")
    pool = Pool(read_table(replicate / "teacher_pool.parquet", TEACHER_POOL))
    V = load_direction(replicate / "directions/hack/V.safetensors", adapter, "all")
    modes = sorted({problem.mode for problem in problems})
    own = model, tokenizer, adapter, problems, pool, arm, settings, 0, 0, grader, modes
    inputs = trainer.RunInputs(*own, signal=signal, known=modes)
    optimizer = KnobOptimizer(adapter, arm.intervention, settings.betas, settings.max_grad_norm)
    return trainer.Run(adapter, optimizer, usable(V)), inputs


def timed_step(run: trainer.Run, inputs: trainer.RunInputs) -> dict[str, float]:
    """Take a training step; return its seconds, by phase and as a whole."""
    started, before = time.perf_counter(), len(run.log.timing)
    with contextlib.redirect_stdout(None):
        trainer.train_step(run, inputs)
    phases = {row["phase"]: row["seconds"] for row in run.log.timing[before:]}
    return {**phases, "step": time.perf_counter() - started}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
