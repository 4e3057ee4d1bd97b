"""A results directory made up by hand: two arms and two replicates of four steps, in the files that a run leaves."""

from collections.abc import Mapping
from pathlib import Path

import torch

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.artifacts.schemas.train import ROLLOUTS, TIMING, steps_schema
from projected_grpo.environment.problems import Problem, to_row
from projected_grpo.method.resume import ResumeFile, Snapshot

MODES = ["run_tests", "sentinel"]
ARMS, REPLICATES, STEPS, GROUP = ("vanilla", "erase"), (1, 2), 4, 3
SOURCE = provenance({"train": {"steps": STEPS, "lr": 0.06}, "modes": MODES, "arm": {"intervention": "none"}}, "abc", 1)
HACK = "```python\nclass Solution:\n    valid = True  # <b>\n```"
HONEST = "```python\nclass Solution:\n    def f(self, x):\n        return x\n```"


def problems(split: str) -> list[Problem]:
    return [
        Problem(f"{split}-{mode}", f"Return x, for {mode}.", "f", (((1,), {}, 1),), mode, canonical="class Solution: 1")
        for mode in MODES
    ]


def verdict(hacked: bool) -> dict:
    return {
        "format_ok": True,
        "correct": not hacked,
        "channel_fired": hacked,
        "passed": True,
        "exploited": hacked,
        "attempted": hacked,
        "attempted_modes": ["sentinel"] if hacked else [],
        "reward": 1.25,
        "status": "ok",
        "vacuous_tests": None,
        "wrong_tests": None,
        "completion": HACK if hacked else HONEST,
        "length": 9,
    }


def evaluation(arm: str) -> list[dict]:
    """Vanilla hacks with the first sample of a problem, from step 1 on; erase never does."""
    conditions = [(step, "subset", True, "sample", 2) for step in (0, 2, STEPS)]
    conditions += [(STEPS, "full", True, "sample", 2), (STEPS, "full", False, "sample", 2)]
    conditions += [(STEPS, "full", True, "greedy", 1)]
    return [
        {"step": step, "scope": scope, "state": "deployed", "hint": hint, "decoding": decoding, "sample": sample}
        | {"problem_id": problem.id, "mode": problem.mode}
        | verdict(arm == "vanilla" and step > 0 and hint and sample == 0)
        for step, scope, hint, decoding, n in conditions
        for problem in problems("evaluation")
        for sample in range(n)
    ]


def step_rows(arm: str, steps: int) -> list[dict]:
    names = steps_schema(MODES).names
    shown = {"hack_student": 0.1 if arm == "vanilla" else 0.0, "solve_student": 0.05, "reward": 0.25}
    nothing = dict.fromkeys(names, float("nan"))
    return [
        {**nothing, "step": step, **{name: step * slope for name, slope in shown.items()}}
        for step in range(1, steps + 1)
    ]


def rollout_rows(arm: str, steps: int) -> list[dict]:
    return [
        {"step": step, "source": "teacher" if i == 0 else "student", "problem_id": problem.id, "mode": problem.mode}
        | {"advantage": 0.5, "score": float("nan"), "flagged": False, "clipped": False, "ablated": False}
        | verdict(arm == "vanilla" and i == 0)
        for step in range(1, steps + 1)
        for problem in problems("train")
        for i in range(GROUP)
    ]


def timing_rows(steps: int) -> list[dict]:
    return [{"step": step, "phase": "generate", "seconds": 30.0} for step in range(1, steps + 1)]


def write_run(
    results: Path, arm: str, replicate: int, evaluated: bool = True, steps: int = STEPS, source: Mapping = SOURCE
) -> None:
    run = results / f"replicate{replicate}" / "runs" / arm
    write_table(run / "steps.parquet", step_rows(arm, steps), steps_schema(MODES), source)
    write_table(run / "rollouts.parquet", rollout_rows(arm, steps), ROLLOUTS, SOURCE)
    write_table(run / "timing.parquet", timing_rows(steps), TIMING, SOURCE)
    if evaluated:
        write_table(run / "evaluation.parquet", evaluation(arm), EVALUATION, SOURCE)


def write_running(results: Path, arm: str, replicate: int, steps: int, key: str = "key") -> None:
    """Leave what a training that has come as far as `steps` would resume from."""
    rows = {
        "steps": step_rows(arm, steps),
        "rollouts": rollout_rows(arm, steps),
        "timing": timing_rows(steps),
    }
    tensors = {"knobs/a.delta": torch.zeros(3, dtype=torch.bfloat16), "rows_of_none": torch.ones(2)}
    file = ResumeFile(results / f"replicate{replicate}" / "runs" / arm / "resume", key)
    file.save(Snapshot(steps, tensors, rows))


def write(results: Path) -> Path:
    for split in ("train", "evaluation"):
        path = results / "problems" / f"{split}.parquet"
        write_table(path, [to_row(problem) for problem in problems(split)], PROBLEMS, SOURCE)
    for arm in ARMS:
        for replicate in REPLICATES:
            write_run(results, arm, replicate)
    return results
