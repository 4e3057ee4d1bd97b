"""The loop (method 6): sample prompts, roll out, grade, take advantages, backward, intervene, step, log one row.

1. Of a live rollout's verdict only the reward reaches the optimizer; the rest goes into the log.
2. A batch is sorted by source, so that one backward pass yields the knob gradient of each. For the log's overlaps the
   teacher's rows are three sources: exploiting and other rows with positive advantage, and the rest.
3. Every random choice has a generator of its own: an arm differs from vanilla by the intervention alone.
"""

import math
from dataclasses import dataclass, field, replace

import torch

from projected_grpo.adapter import Adapter
from projected_grpo.direction import basis_overlap
from projected_grpo.errors import UserError
from projected_grpo.experiment import TrainConfig
from projected_grpo.groups import Setting, gather
from projected_grpo.intervention import KnobOptimizer, mean_overlap, null_overlap
from projected_grpo.loss import advantages, collate, completion_logprobs, k3, micro_batches, per_token, policy_loss
from projected_grpo.record import NAN, Record, Rollout, behaviour, rollout_row
from projected_grpo.resume import ResumeFile, Snapshot

SOURCES = ("student", "teacher_hack", "teacher_clean", "teacher_rest")


class TrainingError(UserError, RuntimeError):
    """Training cannot go on; the message says at which step and why."""


def learning_rate(step: int, config: TrainConfig, scale: float = 1.0) -> float:
    """Return the rate of step 1..steps: linear warm-up over `warmup` of the steps, then a cosine to zero."""
    warm = max(1, round(config.steps * config.warmup))
    if step <= warm:
        return scale * config.lr * step / warm
    return scale * config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (config.steps - warm + 1)))


def source(row: Rollout, advantage: float) -> str:
    """Return the row's gradient source; what the student's verdict says beyond its reward is not looked at."""
    if not row.teacher:
        return "student"
    if advantage <= 0:
        return "teacher_rest"
    return "teacher_hack" if row.verdict.exploited else "teacher_clean"


def length(row: Rollout) -> int:
    return len(row.prompt_ids) + len(row.completion_ids)


def backward(
    model, adapter: Adapter, rows: list[Rollout], advantage: list[float], config: TrainConfig, step: int
) -> tuple[dict[str, torch.Tensor], float, float]:
    """Return ({module: gradients (sources, r)}, loss, mean KL per live token); the KL term is of live rows alone."""
    totals = {name: layer.delta.new_zeros(len(SOURCES), len(layer.delta)) for name, layer in adapter.layers.items()}
    used = [i for i, row in enumerate(rows) if advantage[i] != 0 or (config.kl_coef > 0 and not row.teacher)]
    used.sort(key=lambda i: (SOURCES.index(source(rows[i], advantage[i])), length(rows[i])))
    constant = config.group_size * config.prompts_per_step
    constant *= config.max_new_tokens if config.loss_type == "dr_grpo" else 1
    loss_sum, kl_sum, tokens = 0.0, 0.0, 0
    lengths = [length(rows[i]) for i in used]
    for positions in micro_batches(lengths, config.token_budget):
        part = [used[p] for p in positions]
        batch = collate([(rows[i].prompt_ids, rows[i].completion_ids) for i in part], model.device)
        present = [SOURCES.index(source(rows[i], advantage[i])) for i in part]
        bounds = [sum(s < limit for s in present) for limit in range(len(SOURCES) + 1)]
        reference = reference_logprobs(model, adapter, batch, config) if config.kl_coef > 0 else None
        live = per_token(torch.tensor([float(not rows[i].teacher) for i in part], device=model.device), batch.lengths)
        with adapter.segments(bounds) as probes:
            logp = completion_logprobs(model, batch, config.temperature)
            kl = None if reference is None else live * k3(logp, reference)
            A = torch.tensor([advantage[i] for i in part], dtype=logp.dtype, device=logp.device)
            loss = policy_loss(logp, A, batch.lengths, constant, config.loss_type, kl, config.kl_coef)
            if not torch.isfinite(loss):
                raise TrainingError(f"step {step}: the loss is {loss.item()}; lower the learning rate")
            loss.backward()
        for name, probe in probes.items():
            totals[name] += probe.grad
        loss_sum += loss.item()
        tokens += int(live.sum())
        kl_sum += 0.0 if kl is None else kl.sum().item()
    return totals, loss_sum, kl_sum / tokens if config.kl_coef > 0 and tokens else NAN


@torch.no_grad()
def reference_logprobs(model, adapter: Adapter, batch, config: TrainConfig) -> torch.Tensor:
    """Return the base model's log-probabilities: a forward at zero knobs, no second model in memory."""
    with adapter.at({}):
        return completion_logprobs(model, batch, config.temperature)


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
    with record.phase(step, "backward"):
        by_source, loss, kl = backward(setting.model, adapter, rows, A, config, step)
    lr = learning_rate(step, config, arm.lr_scale)
    with record.phase(step, "intervene"):
        logged = overlaps(by_source, run.directions)
        logged |= run.optimizer.step({name: g.sum(0) for name, g in by_source.items()}, run.directions, lr)
    logged |= behaviour(groups, setting.modes)
    logged |= {"step": step, "loss": loss, "kl": kl, "lr": lr, "basis_overlap": basis}
    logged |= {"delta_norm": joint_norm(adapter, "delta"), "quarantine_norm": joint_norm(adapter, "quarantine")}
    broken = [name for name in ("grad_norm", "delta_norm", "quarantine_norm") if not math.isfinite(logged[name])]
    if broken:
        raise TrainingError(f"step {step}: {broken[0]} is {logged[broken[0]]}; lower the learning rate")
    record.steps.append(logged)
    record.rollouts += [rollout_row(step, row, a) for row, a in zip(rows, A, strict=True)]
    if step % config.checkpoint_every == 0 or step == config.steps:
        record.checkpoints |= {f"step{step}.{name}": value for name, value in adapter.state().items()}
    run.step = step
    shown = ("reward", "hack_student", "solve_student", "overlap_student")
    print(f"step {step}/{config.steps}", *(f"{name} {logged[name]:.3f}" for name in shown), flush=True)


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
