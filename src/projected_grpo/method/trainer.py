"""The loop (method 6): sample prompts, roll out, grade, take advantages, backward, intervene, step, log one row.

1. Of a live rollout's verdict only the reward reaches the optimizer; the rest goes into the log.
2. Every random choice has a generator of its own: an arm differs from vanilla by the intervention alone.
"""

import math
from dataclasses import dataclass, field, replace

import torch

from projected_grpo.method.adapter import Adapter
from projected_grpo.method.direction import basis_overlap
from projected_grpo.method.gradients import Gradients, TrainingError, backward
from projected_grpo.method.intervention import KnobOptimizer, Routed, mean_overlap, null_overlap, rollout_overlaps
from projected_grpo.method.log import NAN, Record, behaviour, gate_quality, rollout_row
from projected_grpo.method.loss import advantages
from projected_grpo.method.resume import ResumeFile, Snapshot
from projected_grpo.method.rollouts import Setting, gather
from projected_grpo.method.settings import TrainConfig


def learning_rate(step: int, config: TrainConfig, scale: float = 1.0) -> float:
    """Return the rate of step 1..steps: linear warm-up over `warmup` of the steps, then a cosine to zero."""
    warm = max(1, round(config.steps * config.warmup))
    if step <= warm:
        return scale * config.lr * step / warm
    return scale * config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (config.steps - warm + 1)))


def overlaps(gradients: dict[str, torch.Tensor], directions: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the overlap columns of the sources' gradients (sources, r) and of their sum."""
    picks = {
        "overlap_student": [0],
        "overlap_teacher": [1, 2, 3],
        "overlap_teacher_hack": [1],
        "overlap_teacher_clean": [2],
        "overlap_before": [0, 1, 2, 3],
    }
    return {
        name: mean_overlap(directions, {m: gradients[m][index].sum(0) for m in directions})
        for name, index in picks.items()
    } | {"overlap_null": null_overlap(directions)}


def route_rollouts(
    gradients: Gradients, directions: dict[str, torch.Tensor], threshold: float
) -> tuple[Routed | None, list[bool] | None]:
    """Return what route_rollout writes, and for each rollout whether it is routed; None without per-rollout gradients.

    A rollout whose own overlap exceeds the threshold has no part in delta's gradient; the quarantine learns from all.
    """
    if not gradients.per_rollout:
        return None, None
    routed = rollout_overlaps(directions, gradients.per_rollout) > threshold
    delta = {name: g[~routed].sum(0) for name, g in gradients.per_rollout.items()}
    return Routed(delta, gradients.quarantine), routed.tolist()


def joint_norm(adapter: Adapter, knob: str) -> float:
    return torch.cat([getattr(layer, knob).detach() for layer in adapter.layers.values()]).norm().item()


@dataclass
class Run:
    """A run in progress: all that its next steps depend on, and its record so far."""

    adapter: Adapter
    optimizer: KnobOptimizer
    directions: dict[str, torch.Tensor]
    record: Record = field(default_factory=Record)
    step: int = 0

    def snapshot(self) -> Snapshot:
        parts = {
            "knobs": self.adapter.state(),
            "optimizer": self.optimizer.state(),
            "directions": self.directions,
            "checkpoints": self.record.checkpoints,
        }
        tensors = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
        rows = {name: list(getattr(self.record, name)) for name in ("steps", "rollouts", "timing")}
        return Snapshot(self.step, tensors, rows)

    def restore(self, snapshot: Snapshot) -> None:
        parts: dict[str, dict] = {"knobs": {}, "optimizer": {}, "directions": {}, "checkpoints": {}}
        for key, value in snapshot.tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = value
        self.adapter.load(parts["knobs"])
        self.optimizer.load(parts["optimizer"])
        known = parts["directions"]  # in the model's order, which sums over modules follow
        self.directions = {name: known[name] for name in self.adapter.layers if name in known}
        self.record = Record(**snapshot.rows, checkpoints=parts["checkpoints"])
        self.step = snapshot.step


def train(setting: Setting, directions: dict[str, torch.Tensor], file: ResumeFile | None = None) -> Record:
    """Train the knobs of one arm and seed, and return its record; the adapter ends with the trained knobs.

    directions is V (k, r) by module, empty for an arm without one. With a `file`, the run goes on from it, saves itself
    there every `checkpoint_every` steps, and also when it is interrupted (KeyboardInterrupt, SystemExit).
    Raises TrainingError for numbers that are not finite, and for a pool without any row of these problems if mix > 0.
    """
    arm, config = setting.arm, setting.config
    if not arm.loopholes:
        setting = replace(setting, problems=[replace(problem, mode="none") for problem in setting.problems])
    if arm.mix > 0 and not any(problem.id in setting.pool.rows for problem in setting.problems):
        raise TrainingError(
            f"arm {arm.name}: mix is {arm.mix}, but the teacher pool has no elicited row of its problems"
        )
    optimizer = KnobOptimizer(setting.adapter, arm.intervention, config.lr, config.betas, config.max_grad_norm)
    run = Run(setting.adapter, optimizer, directions)
    if file and (found := file.load()):
        run.restore(found)
    latest = run.snapshot()
    try:
        while run.step < config.steps:
            advance(run, setting)
            latest = run.snapshot()
            say(run, config.steps)  # only now: a step that was said is a step that an interruption keeps
            if file and run.step % config.checkpoint_every == 0:
                file.save(latest)
    except (KeyboardInterrupt, SystemExit):
        if file:
            file.save(latest)
            print(f"told to end: saved after step {latest.step}", flush=True)
        raise
    return run.record


def advance(run: Run, setting: Setting) -> None:
    """Take one step: gather, advantages, backward, intervene, log."""
    arm, config, adapter, record = setting.arm, setting.config, setting.adapter, run.record
    step, basis = run.step + 1, NAN
    if arm.refresh_every and step > 1 and (step - 1) % arm.refresh_every == 0:
        basis = refresh(run, setting, step)
    groups = gather(setting, step, record)
    rewards = torch.tensor([[row.verdict.reward for row in group] for group in groups], dtype=torch.float64)
    A = advantages(rewards, config.loss_type).flatten().tolist()
    rows = [row for group in groups for row in group]
    how, lr = arm.intervention, learning_rate(step, config, arm.lr_scale)
    with record.phase(step, "backward"):
        gradients = backward(setting.model, adapter, rows, A, config, step, how.kind == "route_rollout")
    with record.phase(step, "intervene"):
        logged = overlaps(gradients.by_source, run.directions)
        routed, gated = route_rollouts(gradients, run.directions, how.threshold)
        total = {name: g.sum(0) for name, g in gradients.by_source.items()}
        logged |= run.optimizer.step(total, run.directions, lr, routed)
    used = ([values[i] for i in gradients.rows] for values in (rows, A))
    logged |= behaviour(groups, setting.modes) | gate_quality(*used, gated)
    logged |= {"step": step, "loss": gradients.loss, "kl": gradients.kl, "lr": lr, "basis_overlap": basis}
    logged |= {"delta_norm": joint_norm(adapter, "delta"), "quarantine_norm": joint_norm(adapter, "quarantine")}
    broken = [name for name in ("grad_norm", "delta_norm", "quarantine_norm") if not math.isfinite(logged[name])]
    if broken:
        raise TrainingError(f"step {step}: {broken[0]} is {logged[broken[0]]}; lower the learning rate")
    record.steps.append(logged)
    record.rollouts += [rollout_row(step, row, a) for row, a in zip(rows, A, strict=True)]
    if step % config.checkpoint_every == 0 or step == config.steps:
        record.checkpoints |= {f"step{step}.{name}": value for name, value in adapter.state().items()}
    run.step = step


def say(run: Run, steps: int) -> None:
    logged = run.record.steps[-1]
    shown = ("reward", "hack_student", "solve_student", "overlap_student")
    print(f"step {run.step}/{steps}", *(f"{name} {logged[name]:.3f}" for name in shown), flush=True)


def refresh(run: Run, setting: Setting, step: int) -> float:
    """Re-extract V at the current model with the quarantine ablated; return the overlap of the new and old basis."""
    knobs = {name: layer.delta.detach().clone() for name, layer in setting.adapter.layers.items()}
    with run.record.phase(step, "refresh"), setting.adapter.at(knobs):
        fresh = setting.refresh()
    basis = basis_overlap(fresh, run.directions)
    if basis < 0.2:
        print(f"warning: step {step}: basis overlap {basis:.2f} < 0.2, the refreshed V has rotated", flush=True)
    run.directions = fresh
    return basis
