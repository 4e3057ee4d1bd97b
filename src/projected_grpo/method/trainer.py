"""The loop (method 6): sample prompts, roll out, grade, take advantages, backward, intervene, step, log one row.

1. Of a live rollout's verdict only the reward reaches the optimizer; the rest goes into the log. An arm whose signal is
   told one bit more (`told`) is the exception, and is labelled so.
2. Every random choice has a generator of its own: an arm differs from vanilla by the intervention alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from projected_grpo.environment.problems import Problem
from projected_grpo.grading import Grader
from projected_grpo.method.actions import act
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.direction import basis_overlap
from projected_grpo.method.gradients import Gradients, TrainingError, backward
from projected_grpo.method.groups import Pool, collect_groups, source
from projected_grpo.method.intervention import KnobOptimizer, measured_overlaps, source_overlaps
from projected_grpo.method.log import NAN, RunLog, behaviour, flag_quality, rollout_row
from projected_grpo.method.loss import LossConfig, advantages, loss_constant
from projected_grpo.method.resume import ResumeFile, Snapshot
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.schedule import warmup_cosine
from projected_grpo.method.settings import ROTATED, Arm, TrainConfig
from projected_grpo.method.signals import Followed, Signal
from projected_grpo.method.suspicion import Suspicion, suspect, suspects
from projected_grpo.method.without_flags import regularised, warm_start
from projected_grpo.rng import torch_generator


@dataclass(frozen=True)
class RunInputs:
    """What one run is given and never changes.

    `data_seed` draws the order of prompts, `seed` everything else; `refresh` re-extracts V at the current model;
    `measured` is every further V whose overlap is logged. `signal` is the arm's, and `told` the bit that one of kind
    detector or truth is told of a rollout; `partner` what a twin follows of its arm in each of STRATA at every step,
    from step 1. `known` are the modes that the arm may know, for the log.
    """

    model: torch.nn.Module
    tokenizer: object
    adapter: Adapter
    problems: Sequence[Problem]
    pool: Pool
    arm: Arm
    config: TrainConfig
    seed: int
    data_seed: int
    grader: Grader
    modes: Sequence[str]
    refresh: Callable[[], dict[str, torch.Tensor]] | None = None
    measured: Mapping[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    signal: Signal | None = None
    told: Callable[[Rollout], bool] | None = None
    partner: Sequence[Mapping[str, Followed]] = ()
    known: Sequence[str] = ()


@dataclass
class Run:
    """A run in progress: all that its next steps depend on, and its log so far."""

    adapter: Adapter
    optimizer: KnobOptimizer
    directions: dict[str, torch.Tensor]
    log: RunLog = field(default_factory=RunLog)
    step: int = 0

    def snapshot(self) -> Snapshot:
        parts = {
            "knobs": self.adapter.state(),
            "optimizer": self.optimizer.state(),
            "directions": self.directions,
            "checkpoints": self.log.checkpoints,
        }
        tensors = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
        rows = {name: list(getattr(self.log, name)) for name in ("steps", "rollouts", "timing")}
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
        self.log = RunLog(**snapshot.rows, checkpoints=parts["checkpoints"])
        self.step = snapshot.step


def train(inputs: RunInputs, directions: dict[str, torch.Tensor], file: ResumeFile | None = None) -> RunLog:
    """Train the knobs of one arm and seed, and return its log; the adapter ends with the trained knobs.

    directions is V (k, r) by module, empty for an arm without one. With a `file`, the run resumes from it, saves itself
    there every `checkpoint_every` steps, and also when it is interrupted (KeyboardInterrupt, SystemExit).
    Raises TrainingError for numbers that are not finite, and for a pool without any row of these problems if mix > 0.
    """
    arm, config = inputs.arm, inputs.config
    if not arm.loopholes:
        inputs = replace(inputs, problems=[replace(problem, mode="none") for problem in inputs.problems])
    if arm.mix > 0 and not any(problem.id in inputs.pool.rows for problem in inputs.problems):
        raise TrainingError(
            f"arm {arm.name}: mix is {arm.mix}, but the teacher pool has no elicited row of its problems"
        )
    optimizer = KnobOptimizer(inputs.adapter, arm.intervention, config.betas, config.max_grad_norm)
    run = Run(inputs.adapter, optimizer, directions)
    if file and (found := file.load()):
        run.restore(found)
    elif arm.warmstart:
        honest = inputs.pool.honest[not arm.twin_of]
        warm_start(inputs.model, inputs.adapter, honest, arm, config, loss_config(config), inputs.seed)
    latest = run.snapshot()
    try:
        while run.step < config.steps:
            train_step(run, inputs)
            latest = run.snapshot()
            print_step(run, config.steps)  # only now: a step that was printed is a step that an interruption keeps
            if file and run.step % config.checkpoint_every == 0:
                file.save(latest)
    except (KeyboardInterrupt, SystemExit):
        if file:
            file.save(latest)
            print(f"told to end: saved after step {latest.step}", flush=True)
        raise
    return run.log


def train_step(run: Run, inputs: RunInputs) -> None:
    """Take one step: roll out, advantages, backward, intervene, log."""
    arm, config = inputs.arm, inputs.config
    step, basis = run.step + 1, NAN
    if arm.refresh_every and step > 1 and (step - 1) % arm.refresh_every == 0:
        basis = refresh(run, inputs, step)
    groups = collect_groups(
        inputs.model,
        run.adapter,
        inputs.tokenizer,
        inputs.grader,
        inputs.problems,
        inputs.pool,
        arm,
        config,
        inputs.seed,
        inputs.data_seed,
        step,
        partial(run.log.phase, step),
    )
    rewards = torch.tensor([[row.verdict.reward for row in group] for group in groups], dtype=torch.float64)
    rows = [row for group in groups for row in group]
    A, found = advantages(rewards, config.loss_type), None
    if inputs.signal:
        with run.log.phase(step, "signal"):
            partner = inputs.partner[step - 1] if inputs.signal.twin else {}
            noise = torch_generator(inputs.seed, step, "signal")
            found = suspect(inputs.model, run.adapter, config, inputs.signal, rows, A, partner, inputs.told, noise)
        A = act(suspects(rewards, rows, found, config.loss_type), arm.intervention)
    A = A.flatten().tolist()
    lr = learning_rate(step, config, arm.lr_scale)
    routed = found.flags if found and arm.intervention.routes_rollouts else None
    with run.log.phase(step, "backward"):
        gradients = _gradients(run, inputs, rows, A, step, routed)
        delta = {name: g.sum(0) for name, g in gradients.kept.items()}
        if arm.gradreg:
            delta = regularised(
                delta, partial(_gradient_at, run, inputs, rows, A, step), run.adapter, arm, inputs.seed, step
            )
    with run.log.phase(step, "intervene"):
        logged = source_overlaps(gradients.by_source, run.directions)
        logged |= measured_overlaps(gradients.by_source, inputs.measured)
        logged |= run.optimizer.step(delta, run.directions, lr, gradients.quarantine, gradients.ablated)
    logged |= behaviour(groups, inputs.modes)
    logged |= flag_quality(rows, found, inputs.known)
    logged |= {"step": step, "loss": gradients.loss, "kl": gradients.kl, "lr": lr, "basis_overlap": basis}
    log_step(run, config, logged, rows, A, found)


def loss_config(config: TrainConfig) -> LossConfig:
    """Return what the loss depends on."""
    constant = loss_constant(config.group_size, config.prompts_per_step, config.max_new_tokens, config.loss_type)
    return LossConfig(config.loss_type, constant, config.temperature, config.kl_coef)


def _gradients(
    run: Run, inputs: RunInputs, rows: Sequence[Rollout], A: Sequence[float], step: int, routed: Sequence[bool] | None
) -> Gradients:
    config = inputs.config
    return backward(
        inputs.model,
        run.adapter,
        [(row.prompt_ids, row.completion_ids) for row in rows],
        [source(row, a) for row, a in zip(rows, A, strict=True)],
        A,
        loss_config(config),
        config.token_budget,
        config.gradient_checkpointing,
        step,
        routed,
        ablated=[row.ablated for row in rows],
    )


def _gradient_at(
    run: Run, inputs: RunInputs, rows: Sequence[Rollout], A: Sequence[float], step: int, delta: Mapping
) -> dict[str, torch.Tensor]:
    """Return the gradient (r,) of the step's loss by module at another `delta`, without a quarantine."""
    with run.adapter.at(delta):
        return {name: g.sum(0) for name, g in _gradients(run, inputs, rows, A, step, None).by_source.items()}


def log_step(
    run: Run,
    config: TrainConfig,
    logged: dict,
    rows: Sequence[Rollout],
    A: Sequence[float],
    found: Suspicion | None,
) -> None:
    """Write the step's rows and checkpoint, and count the step; a norm that is not finite is a TrainingError."""
    step = logged["step"]
    logged |= {f"{knob}_norm": joint_norm(run.adapter, knob) for knob in ("delta", "quarantine")}
    broken = [name for name in ("grad_norm", "delta_norm", "quarantine_norm") if not math.isfinite(logged[name])]
    if broken:
        raise TrainingError(f"step {step}: {broken[0]} is {logged[broken[0]]}; lower the learning rate")
    run.log.steps.append(logged)
    suspicion = zip(found.scores, found.flags, strict=True) if found else [()] * len(rows)
    run.log.rollouts += [rollout_row(step, row, a, *own) for row, a, own in zip(rows, A, suspicion, strict=True)]
    if step % config.checkpoint_every == 0 or step == config.steps:
        run.log.checkpoints |= {f"step{step}.{name}": value for name, value in run.adapter.state().items()}
    run.step = step


def learning_rate(step: int, config: TrainConfig, scale: float = 1.0) -> float:
    """Return the rate of step 1..steps: linear warm-up over `warmup` of the steps, then a cosine that would reach zero
    one step after the last."""
    warmup = max(1, round(config.steps * config.warmup))
    return scale * config.lr * warmup_cosine(step, warmup, config.steps + 1)


def joint_norm(adapter: Adapter, knob: str) -> float:
    return torch.cat([getattr(layer, knob).detach() for layer in adapter.layers.values()]).norm().item()


def print_step(run: Run, steps: int) -> None:
    logged = run.log.steps[-1]
    shown = ("reward", "hack_student", "solve_student", "overlap_student")
    print(f"step {run.step}/{steps}", *(f"{name} {logged[name]:.3f}" for name in shown), flush=True)


def refresh(run: Run, inputs: RunInputs, step: int) -> float:
    """Re-extract V at the current model with the quarantine ablated; return the overlap of the new and old basis."""
    with run.log.phase(step, "refresh"), inputs.adapter.ablated():
        fresh = inputs.refresh()
    basis = basis_overlap(fresh, run.directions)
    if basis < ROTATED:
        print(f"warning: step {step}: basis overlap {basis:.2f} < {ROTATED}, the refreshed V has rotated", flush=True)
    run.directions = fresh
    return basis
