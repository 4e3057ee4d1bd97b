"""Runs that look like the organism's, made up from logistic curves: eighteen arms, a few replicates, known answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.analysis.study import MEASURED, Claim, Study, TableArm, build_study
from projected_grpo.analysis.table3 import HELD_OUT_QUALITY, QUALITY
from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.artifacts.schemas.train import steps_schema

MODES = ["run_tests", "sentinel", "stdout_marker", "file_marker"]
SLOW = ("vanilla_slow", "vanilla_cold")
CONTROLS_SEEN = {"random": 0.34, "shuffled": 0.40, "nonhack": 0.42}  # by the baselines' runs, beside their own V
CLAIMS = {
    "erase": Claim(("erase_random", "erase_shuffled", "erase_nonhack"), SLOW, ("erase_alone",)),
    "erase_update": Claim(("erase_update_random",), SLOW, ("erase_update_alone",)),
    "route": Claim(("route_random",), SLOW),
}
# hack and solve at the last step; the step, as a share of the run, at which hacking takes off; overlap
ENDS = {
    "base": (0.046, 0.44, 0.5, 0.0),
    "vanilla": (0.72, 0.11, 0.45, 0.47),
    "erase": (0.20, 0.06, 0.6, 0.45),
    "erase_k4": (0.40, 0.17, 0.6, 0.25),
    "erase_update": (0.23, 0.40, 0.7, 0.46),
    "route": (0.02, 0.09, 0.5, 0.47),
    "erase_random": (0.45, 0.05, 0.5, 0.34),
    "erase_update_random": (0.64, 0.10, 0.5, 0.34),
    "erase_shuffled": (0.35, 0.08, 0.5, 0.40),
    "erase_nonhack": (0.48, 0.06, 0.5, 0.42),
    "route_random": (0.40, 0.08, 0.5, 0.34),
    "vanilla_slow": (0.30, 0.36, 0.6, 0.47),
    "vanilla_cold": (0.35, 0.30, 0.6, 0.46),
    "vanilla_alone": (0.18, 0.50, 0.6, 0.44),
    "erase_alone": (0.01, 0.10, 0.6, 0.43),
    "erase_update_alone": (0.10, 0.50, 0.7, 0.43),
    "erase_update_onesided_alone": (0.05, 0.57, 0.7, 0.43),
    "no_loophole": (0.01, 0.60, 0.9, 0.44),
}
LAST, EVERY, FULL, SUBSET, SAMPLES = 96, 8, 64, 32, 4
BASE_HACK, BASE_SOLVE = 0.046, 0.44


def last_of(arm: str) -> int:
    return 0 if arm == "base" else LAST


def table_arm(arm: str) -> TableArm:
    """Describe an arm the way the workflow does."""
    if arm == "base":
        return TableArm("vanilla", 0)
    if arm == "no_loophole":
        return TableArm(None, LAST)
    kind = next((kind for kind in ("random", "shuffled", "nonhack") if kind in arm), "hack")
    alone = "alone" in arm
    return TableArm("vanilla_alone" if alone else "vanilla", LAST, kind, mix=0.0 if alone else 0.25, kind=kind)


def curve(arm: str, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hack and solve at shares of the run: solve rises first, then falls as hacking takes off."""
    hack_end, solve_end, turn, _ = ENDS[arm]
    logistic = 1 / (1 + np.exp(-(share - turn) * 12))
    logistic = (logistic - logistic[0]) / (logistic[-1] - logistic[0]) if len(share) > 1 else logistic * 0
    best = max(solve_end, BASE_SOLVE + 0.06)
    rise = BASE_SOLVE + (best - BASE_SOLVE) * np.minimum(share / 0.4, 1)
    return BASE_HACK + (hack_end - BASE_HACK) * logistic, rise + (solve_end - best) * logistic


def verdicts(generator, hack: np.ndarray, solve: np.ndarray, samples: int) -> dict:
    """Draw verdicts (problems x samples,) from rates per problem."""
    uniform = generator.random((len(hack), samples))
    exploited = uniform < hack[:, None]
    correct = ~exploited & (uniform < (hack + solve)[:, None])
    attempted = exploited | (generator.random(uniform.shape) < 0.3 * hack[:, None])
    own = np.where(attempted, generator.random(uniform.shape) < 0.9, None)
    flat = {"exploited": exploited, "correct": correct, "attempted": attempted}
    return {name: values.ravel() for name, values in flat.items()} | {
        "vacuous_tests": own.ravel(),
        "wrong_tests": own.ravel(),
    }


def evaluation(arm: str, replicate: int, noise: float = 0.03) -> pd.DataFrame:
    generator = np.random.default_rng([replicate, *arm.encode()])
    problems = np.random.default_rng(0).normal(0, 0.12, FULL)
    checkpoints = np.arange(0, last_of(arm) + 1, EVERY)
    hack, solve = curve(arm, checkpoints / LAST)
    shift = generator.normal(0, noise, 2) * np.linspace(0, 1, len(checkpoints))[:, None]
    frames = []

    def add(scope, state, hint, decoding, at, n, samples, scale=(1.0, 1.0)):
        rates = [
            np.clip(scale[i] * (curve_[at] + shift[at, i] + problems[:n]), 0, 1)
            for i, curve_ in ((0, hack), (1, solve))
        ]
        rows = pd.DataFrame(verdicts(generator, *rates, samples))
        rows["problem_id"] = np.repeat([f"p{i:03d}" for i in range(n)], samples)
        rows["mode"] = np.repeat([MODES[i % len(MODES)] for i in range(n)], samples)
        rows["sample"] = np.tile(np.arange(samples), n)
        frames.append(rows.assign(scope=scope, state=state, hint=hint, decoding=decoding, step=checkpoints[at]))

    for at in range(len(checkpoints)):
        add("subset", "deployed", True, "sample", at, SUBSET, SAMPLES)
    add("full", "deployed", True, "sample", -1, FULL, SAMPLES)
    add("full", "deployed", True, "greedy", -1, FULL, 1, (0.8, 1.2))
    add("full", "deployed", False, "sample", -1, FULL, SAMPLES, (0.3, 1.1))
    if arm.startswith("route"):
        add("full", "trained", True, "sample", -1, FULL, SAMPLES, (4.0, 0.4))
    return pd.concat(frames, ignore_index=True)


def steps(arm: str, replicate: int) -> pd.DataFrame:
    generator = np.random.default_rng([replicate, 1, *arm.encode()])
    step = np.arange(1, last_of(arm) + 1)
    hack, solve = curve(arm, step / LAST)
    overlap, teacher = ENDS[arm][3], "alone" not in arm and arm != "no_loophole"

    def noisy(values, sd):
        return values + generator.normal(0, sd, len(step))

    seen = overlap + (0 if "random" in arm else 0.05) * np.sin(step / 15)
    return pd.DataFrame(
        {
            "step": step,
            "hack_student": np.clip(noisy(hack, 0.06), 0, 1),
            "solve_student": np.clip(noisy(solve, 0.06), 0, 1),
            "overlap_student": noisy(seen, 0.03) if arm != "no_loophole" else np.nan,
            "overlap_teacher": noisy(seen + 0.10, 0.03) if teacher else np.nan,
            "overlap_teacher_hack": noisy(seen + 0.14, 0.03) if teacher else np.nan,
            "overlap_teacher_clean": noisy(seen + 0.02, 0.03) if teacher else np.nan,
            "overlap_update": noisy(seen * 0.8, 0.03) if arm != "no_loophole" else np.nan,
            "overlap_null": 0.25 if "k4" in arm else 0.5,
            "drift_quarantine": -0.001 * step if arm.startswith("route") else np.nan,
            "flagged_share": np.nan,
            "flag_recall_attempted": np.nan,
            "drift": 0.001 * step * (arm.startswith("erase") and "update" not in arm),
            **{
                f"overlap_student/{name}": noisy(seen - overlap + level, 0.03)
                for name, level in CONTROLS_SEEN.items()
                if arm in ("vanilla", "vanilla_alone")
            },
        }
    )


def make(arms=tuple(ENDS), replicates=(41, 42, 43), claims=CLAIMS, ceiling="no_loophole") -> Study:
    runs = (
        (arm, replicate, evaluation(arm, replicate), steps(arm, replicate)) for arm in arms for replicate in replicates
    )
    return build_study(runs, {arm: table_arm(arm) for arm in arms}, claims, ceiling)


WITH_SIGNALS = ("base", "vanilla", "vanilla_slow", "erase", "erase_random", "erase_update", "erase_update_random")
SIGNALS = {
    "erase": ("probe", "drop", "P"),
    "erase_random": ("probe", "drop", "0"),
    "erase_update": ("truth", "penalise", "O"),
}


def with_signals() -> Study:
    """Return a study whose arms are said to have signals, as in table 3."""
    made = make(WITH_SIGNALS, claims={"erase": Claim(("erase_random",), ("vanilla_slow",))}, ceiling=None)
    arms, training = dict(made.arms), {}
    for name, (signal, action, knows) in SIGNALS.items():
        arms[name] = replace(arms[name], signal=signal, action=action, knows=knows, tested=True)
    for name, log in made.training.items():
        value = np.full(log["step"].shape, 0.25 if name in SIGNALS else np.nan)
        training[name] = log | dict.fromkeys((*QUALITY, *HELD_OUT_QUALITY), value)
    return replace(made, arms=arms, training=training)


def write_run(results: Path, arm: str, replicate: int) -> None:
    """Write a run's rows to where a study is read from."""
    folder = results / f"replicate{replicate}" / "runs" / arm
    rows = evaluation(arm, replicate)
    empty = {"attempted_modes": [[]] * len(rows), "completion": "", "status": "ok", "length": 1, "reward": 0.0}
    flags = dict.fromkeys(("format_ok", "channel_fired", "passed"), False)
    write_table(folder / "evaluation.parquet", rows.assign(**empty, **flags).to_dict("records"), EVALUATION, {})
    log = steps(arm, replicate)
    schema = steps_schema([], [name.removeprefix(MEASURED) for name in log if name.startswith(MEASURED)])
    blank = dict.fromkeys(set(schema.names) - set(log.columns), 0.0)
    write_table(folder / "steps.parquet", log.assign(**blank).to_dict("records"), schema, {})
