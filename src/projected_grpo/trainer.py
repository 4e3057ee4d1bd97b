"""The loop (method 6): sample prompts, roll out, grade, take advantages, backward, intervene, step, log one row.

1. Of a live rollout's verdict only the reward reaches the optimizer; the rest goes into the log.
2. A batch is sorted by source, so that one backward pass yields the knob gradient of each. For the log's overlaps the
   teacher's rows are three sources: exploiting and other rows with positive advantage, and the rest.
3. Every random choice has a generator of its own: an arm differs from vanilla by the intervention alone.
"""

import math
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pandas as pd
import torch

from projected_grpo import rollout
from projected_grpo.adapter import Adapter
from projected_grpo.artifacts import verdict_row
from projected_grpo.direction import basis_overlap
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import encode
from projected_grpo.experiment import Arm, TrainConfig
from projected_grpo.intervention import KnobOptimizer, mean_overlap, null_overlap
from projected_grpo.loss import advantages, collate, completion_logprobs, k3, micro_batches, per_token, policy_loss
from projected_grpo.rng import numpy_generator, torch_generator

SOURCES = ("student", "teacher_hack", "teacher_clean", "teacher_rest")
NAN = float("nan")


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step and why."""


@dataclass(frozen=True)
class Rollout:
    """One completion in a group, graded; `teacher` marks rows of the frozen pool."""

    problem: Problem
    prompt_ids: list[int]
    completion_ids: list[int]
    completion: str
    verdict: object
    teacher: bool
    clipped: bool = False


@dataclass
class Record:
    """What a run leaves behind: rows of steps, rollouts and timing, and the knobs every N steps."""

    steps: list[dict] = field(default_factory=list)
    rollouts: list[dict] = field(default_factory=list)
    timing: list[dict] = field(default_factory=list)
    checkpoints: dict[str, torch.Tensor] = field(default_factory=dict)

    @contextmanager
    def phase(self, step: int, name: str):
        start = time.perf_counter()
        yield
        self.timing.append({"step": step, "phase": name, "seconds": time.perf_counter() - start})


class Pool:
    """The elicited rollouts of the frozen pool by problem; the pool's ordinary rows only serve pairs."""

    def __init__(self, rows: pd.DataFrame):
        self.rows = {
            problem_id: list(group.itertuples()) for problem_id, group in rows[rows["elicited"]].groupby("problem_id")
        }

    def draw(self, problem: Problem, n: int, rng) -> list[Rollout]:
        """Return n rollouts of the problem, with replacement; none where the pool has no row of it."""
        rows = self.rows.get(problem.id, [])
        drawn = [rows[i] for i in rng.integers(len(rows), size=n)] if rows and n else []
        return [
            Rollout(problem, list(r.prompt_ids), list(r.completion_ids), r.completion, r, teacher=True) for r in drawn
        ]


def learning_rate(step: int, config: TrainConfig, scale: float = 1.0) -> float:
    """Return the rate of step 1..steps: linear warm-up over `warmup` of the steps, then a cosine to zero."""
    warm = max(1, round(config.steps * config.warmup))
    if step <= warm:
        return scale * config.lr * step / warm
    return scale * config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (config.steps - warm + 1)))


def gather(
    model,
    tokenizer,
    grader,
    problems: Sequence[Problem],
    pool: Pool,
    arm: Arm,
    config: TrainConfig,
    seed: int,
    step: int,
    record: Record,
) -> list[list[Rollout]]:
    """Return the step's groups: live rollouts of all prompts in one batch, and the teacher's draws."""
    order = numpy_generator(seed, step, "prompts").choice(len(problems), config.prompts_per_step, replace=False)
    chosen = [problems[i] for i in order]
    rng = numpy_generator(seed, step, "teacher")
    taught = [pool.draw(problem, round(config.group_size * arm.mix), rng) for problem in chosen]
    prompts = [encode(tokenizer, problem) for problem in chosen]
    with record.phase(step, "generate"):
        live_counts = [config.group_size - len(rows) for rows in taught]
        sampled = rollout.sample(
            model,
            prompts,
            live_counts,
            config.max_new_tokens,
            config.temperature,
            torch_generator(seed, step, "rollouts"),
            tokenizer.eos_token_id,
        )
    live = [(i, ids) for i, group in enumerate(sampled) for ids in group]
    texts = tokenizer.batch_decode([ids for _, ids in live], skip_special_tokens=True)
    with record.phase(step, "grade"):
        verdicts = grader.grade([(chosen[i], text) for (i, _), text in zip(live, texts, strict=True)])
    groups: list[list[Rollout]] = [[] for _ in chosen]
    for (i, ids), text, verdict in zip(live, texts, verdicts, strict=True):
        clipped = ids[-1] != tokenizer.eos_token_id
        groups[i].append(Rollout(chosen[i], prompts[i], ids, text, verdict, teacher=False, clipped=clipped))
    return [group + rows for group, rows in zip(groups, taught, strict=True)]


def source(row: Rollout, advantage: float) -> str:
    """Return the row's gradient source; what the student's verdict says beyond its reward is not looked at."""
    if not row.teacher:
        return "student"
    if advantage <= 0:
        return "teacher_rest"
    return "teacher_hack" if row.verdict.exploited else "teacher_clean"


def backward(
    model, adapter: Adapter, rows: list[Rollout], advantage: list[float], config: TrainConfig, step: int
) -> tuple[dict[str, torch.Tensor], float, float]:
    """Return ({module: gradients (sources, r)}, loss, mean KL per live token); the KL term is of live rows alone."""
    totals = {name: layer.delta.new_zeros(len(SOURCES), len(layer.delta)) for name, layer in adapter.layers.items()}
    used = [i for i, row in enumerate(rows) if advantage[i] != 0 or (config.kl_coef > 0 and not row.teacher)]
    used.sort(key=lambda i: SOURCES.index(source(rows[i], advantage[i])))
    constant = config.group_size * config.prompts_per_step
    constant *= config.max_new_tokens if config.loss_type == "dr_grpo" else 1
    loss_sum, kl_sum, tokens = 0.0, 0.0, 0
    lengths = [len(rows[i].prompt_ids) + len(rows[i].completion_ids) for i in used]
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


def _rate(rows: Sequence[Rollout], name: str) -> float:
    return sum(getattr(row.verdict, name) for row in rows) / len(rows) if rows else NAN


def behaviour(groups: list[list[Rollout]], modes: Sequence[str]) -> dict[str, float]:
    """Return the step's rates of student and teacher, per mode too, and the lengths; for the log only."""
    student = [row for group in groups for row in group if not row.teacher]
    teacher = [row for group in groups for row in group if row.teacher]
    rewards = [torch.tensor([row.verdict.reward for row in group], dtype=torch.float64) for group in groups]
    names = {"hack": "exploited", "solve": "correct", "pass": "passed"}
    numbers = {
        f"{name}_{who}": _rate(rows, attribute)
        for name, attribute in names.items()
        for who, rows in (("student", student), ("teacher", teacher))
    }
    for mode in modes:
        of_mode = [row for row in student if row.problem.mode == mode]
        numbers |= {f"{name}_student/{mode}": _rate(of_mode, names[name]) for name in ("hack", "solve")}
    return numbers | {
        "reward": _rate(student, "reward"),
        "reward_std": sum(r.std().item() for r in rewards) / len(rewards),
        "frac_reward_zero_std": sum(bool((r == r[0]).all()) for r in rewards) / len(rewards),
        "attempted_student": _rate(student, "attempted"),
        "completions/mean_length": sum(len(row.completion_ids) for row in student) / len(student),
        "completions/clipped_ratio": sum(row.clipped for row in student) / len(student),
    }


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


def train(
    model,
    tokenizer,
    adapter: Adapter,
    problems: Sequence[Problem],
    pool: Pool,
    directions: dict[str, torch.Tensor],
    arm: Arm,
    config: TrainConfig,
    seed: int,
    grader,
    modes: Sequence[str],
    refresh=None,
) -> Record:
    """Train the knobs of one arm and seed, and return its record; `adapter` ends with the trained knobs.

    directions is V (k, r) by module, empty for an arm without one; refresh returns them anew at the current model.
    Raises TrainingError for numbers that are not finite, and for a pool without any row of these problems if mix > 0.
    """
    if not arm.loopholes:
        problems = [replace(problem, mode="none") for problem in problems]
    if arm.mix > 0 and not any(problem.id in pool.rows for problem in problems):
        raise TrainingError(
            f"arm {arm.name}: mix is {arm.mix}, but the teacher pool has no elicited row of its problems"
        )
    record = Record()
    optimizer = KnobOptimizer(adapter, arm.intervention, config.lr, config.betas, config.max_grad_norm)
    for step in range(1, config.steps + 1):
        basis = NAN
        if arm.refresh_every and step > 1 and (step - 1) % arm.refresh_every == 0:
            knobs = {name: layer.delta.detach().clone() for name, layer in adapter.layers.items()}
            with record.phase(step, "refresh"), adapter.at(knobs):  # the quarantine is ablated
                fresh = refresh()
            basis = basis_overlap(fresh, directions)
            if basis < 0.2:
                print(f"warning: step {step}: basis overlap {basis:.2f} < 0.2, the refreshed V has rotated", flush=True)
            directions = fresh
        groups = gather(model, tokenizer, grader, problems, pool, arm, config, seed, step, record)
        rewards = torch.tensor([[row.verdict.reward for row in group] for group in groups], dtype=torch.float64)
        A = advantages(rewards, config.loss_type).flatten().tolist()
        rows = [row for group in groups for row in group]
        with record.phase(step, "backward"):
            by_source, loss, kl = backward(model, adapter, rows, A, config, step)
        lr = learning_rate(step, config, arm.lr_scale)
        with record.phase(step, "intervene"):
            logged = overlaps(by_source, directions)
            logged |= optimizer.step({name: g.sum(0) for name, g in by_source.items()}, directions, lr)
        logged |= behaviour(groups, modes)
        logged |= {"step": step, "loss": loss, "kl": kl, "lr": lr, "basis_overlap": basis}
        logged |= {"delta_norm": joint_norm(adapter, "delta"), "quarantine_norm": joint_norm(adapter, "quarantine")}
        broken = [name for name in ("grad_norm", "delta_norm", "quarantine_norm") if not math.isfinite(logged[name])]
        if broken:
            raise TrainingError(f"step {step}: {broken[0]} is {logged[broken[0]]}; lower the learning rate")
        record.steps.append(logged)
        record.rollouts += [rollout_row(step, row, a) for row, a in zip(rows, A, strict=True)]
        if step % config.checkpoint_every == 0 or step == config.steps:
            record.checkpoints |= {f"step{step}.{name}": value for name, value in adapter.state().items()}
    return record


def rollout_row(step: int, row: Rollout, advantage: float) -> dict:
    return {
        "step": step,
        "source": "teacher" if row.teacher else "student",
        "problem_id": row.problem.id,
        "mode": row.problem.mode,
        "advantage": advantage,
        "length": len(row.completion_ids),
        "clipped": row.clipped,
        "completion": row.completion,
    } | verdict_row(row.verdict)
