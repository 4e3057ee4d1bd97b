"""Training steps of the smoke preset in either arithmetic: seconds per phase, and a hash of the knobs after each.

python benchmarks/contestants/portable_steps.py REPLICATE portable|native STEPS      (started by benchmarks/portable.py)
"""

import sys

from projected_grpo.portable import compute_alike

compute_alike({"portable": sys.argv[2] == "portable"})

import hashlib
from pathlib import Path

import torch
import yaml
from common import CONFIG, serve
from ours import ARM, prepare, timed_step

from projected_grpo.grading import Grader
from projected_grpo.method.settings import build_train_config

PRESET = yaml.safe_load((Path(__file__).resolve().parents[2] / "presets/smoke.yaml").read_text(encoding="utf-8"))


def main(replicate: Path, steps: int) -> None:
    torch.set_num_threads(1)
    settings = build_train_config({**CONFIG["train"], **PRESET["train"], "steps": steps})
    with Grader() as grader:
        run, inputs = prepare(replicate, grader, ARM, settings)
        serve(lambda _: {**timed_step(run, inputs), "knobs": digest(inputs.adapter.state())})


def digest(knobs: dict[str, torch.Tensor]) -> str:
    hashed = hashlib.sha256()
    for value in knobs.values():
        hashed.update(value.numpy().tobytes())
    return hashed.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]))
