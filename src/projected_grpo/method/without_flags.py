"""What precedes and what surrounds the loop's gradient without any flag: a warm start, and gradient regularisation.

1. A warm start takes a few steps on the log-likelihood of the base model's own correct programs without an exploit,
   with an optimizer of its own; its twin takes wrong ones. The labels are verified, like those of the pairs.
2. Gradient regularisation (arXiv:2602.18037) adds weight * ||g|| * (g(delta + EPS g / ||g||) - g) / EPS to the
   gradient: the gradient of weight / 2 * ||g||^2. Its twin looks in a random direction.
"""

from collections.abc import Callable, Sequence

import torch

from projected_grpo.method.adapter import Adapter
from projected_grpo.method.gradients import Tokens, TrainingError, backward
from projected_grpo.method.intervention import KnobOptimizer
from projected_grpo.method.loss import LossConfig
from projected_grpo.method.settings import Arm, Intervention, TrainConfig
from projected_grpo.rng import numpy_generator, torch_generator

Tensors = dict[str, torch.Tensor]
EPS = 1e-3


def warm_start(
    model, adapter: Adapter, honest: Sequence[Tokens], arm: Arm, config: TrainConfig, loss: LossConfig, seed: int
) -> None:
    """Take `arm.warmstart` steps on as many completions each as a step of the loop has, at its peak learning rate."""
    if not honest:
        raise TrainingError(f"arm {arm.name}: warmstart, but the teacher pool has no ordinary row to start from")
    optimizer = KnobOptimizer(adapter, Intervention(), config.betas, config.max_grad_norm)
    n = config.prompts_per_step * config.group_size
    for step in range(1, arm.warmstart + 1):
        drawn = numpy_generator(seed, step, "warm start").integers(len(honest), size=n)
        rows = [honest[i] for i in drawn]
        sources, limits = ["teacher_clean"] * n, (config.token_budget, config.gradient_checkpointing)
        found = backward(model, adapter, rows, sources, [1.0] * n, loss, *limits, step)
        total = {name: g.sum(0) for name, g in found.by_source.items()}
        optimizer.step(total, {}, arm.lr_scale * config.lr)


def regularised(
    gradient: Tensors, elsewhere: Callable[[Tensors], Tensors], adapter: Adapter, arm: Arm, seed: int, step: int
) -> Tensors:
    """Return the gradient (r,) by module with the penalty on its norm; `elsewhere` gives it at another delta."""
    norm = _norm(gradient)
    if not norm:
        return gradient
    towards, length = gradient, norm
    if arm.twin_of:
        generator = torch_generator(seed, step, "gradient regularisation")
        towards = {name: torch.randn(g.shape, generator=generator) for name, g in gradient.items()}
        length = _norm(towards)
    moved = elsewhere({name: adapter.layers[name].delta.detach() + EPS / length * g for name, g in towards.items()})
    return {name: g + arm.gradreg * norm * (moved[name] - g) / EPS for name, g in gradient.items()}


def _norm(gradient: Tensors) -> float:
    return torch.cat(list(gradient.values())).norm().item()
