"""For TRL's trainers: this project's grading as a reward function, and a saved V that acts on the parameters of a LoRA.

1. A row of the data set names its problem; expected answers stay in this process, and what the model wrote runs in the
   grader's sandbox only.
2. V is known in the SVD basis: row v of a module is the weight direction M = U diag(v) Vh, and the hack coefficient of
   a weight gradient G is <M, G> = v . diag(U^T G Vh^T) (method 1 and 2). A LoRA moves W by s B A, so in its parameters
   (A, B) the same direction is the gradient of <M, s B A>, that is (s B^T M, s M A^T).
3. These rows are made orthonormal symmetrically, each staying as near to itself as can be, because a one-sided gate
   asks for their signs. From there on all is as in method 3b, by the same functions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from transformers import TrainerCallback

from projected_grpo.artifacts.io import read_tensors, tensor_names
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import messages
from projected_grpo.errors import UserError
from projected_grpo.grading import Grader
from projected_grpo.method.adapter import Factors
from projected_grpo.method.intervention import mean_overlap, project, removed_part
from projected_grpo.method.settings import Intervention
from projected_grpo.models.base import FACTORS, StoredFactors

LOGGED = ("correct", "exploited", "attempted")
SAME_WEIGHTS = 1e-3  # relative distance of U diag(S) Vh from W: that of their own factors is some 1e-6
RANK = 1e-10  # eigenvalue of the rows' Gram matrix, relative to the largest, under which rows are dependent


class ProjectionError(UserError, ValueError):
    """A V, factors or an intervention that the model in training cannot be projected with."""


def dataset_rows(problems: Sequence[Problem], hint: bool = True) -> list[dict]:
    """Return the rows of a data set: `prompt`, chat messages, and `problem_id`, which the reward function reads."""
    return [{"prompt": messages(problem, hint), "problem_id": problem.id} for problem in problems]


def reward_function(problems: Sequence[Problem], grader: Grader) -> Callable[..., list[float]]:
    """Return a reward function for TRL: the verdict's reward on each completion, 0.25 format_ok + 1.0 passed.

    TRL then logs the shares of completions that are correct, exploited and attempted, and has them as columns in its
    table of completions. The function raises KeyError for a `problem_id` that no problem has, and what `grade` raises.
    """
    by_id = {problem.id: problem for problem in problems}

    def loophole_reward(completions, problem_id, log_metric, log_extra, **_) -> list[float]:
        texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
        verdicts = grader.grade([(by_id[own], text) for own, text in zip(problem_id, texts, strict=True)])
        for flag in LOGGED:
            values = [getattr(verdict, flag) for verdict in verdicts]
            log_metric(flag, sum(values) / len(values))
            log_extra(flag, values)
        return [verdict.reward for verdict in verdicts]

    return loophole_reward


class ProjectionCallback(TrainerCallback):
    """Projects the optimizer steps of a LoRA on a V: the gradient, the update, or both, as `how` says (method 3b).

    V      file of a direction (V.safetensors), extracted at the model in training
    base   directory of that model as the workflow made it, with its factors
    how    Intervention of kind erase that projects gradient, update or both
    Logs `overlap`, of the gradient as it came, and `overlap_update`, of the step taken in the end: means over modules
    of ||relu(c)|| / ||g||; callbacks that report stand behind this one to see them, in `callbacks` and not in
    `report_to`. The trainer clips the gradient before it is projected. A LoRA without a V in its module is left alone.
    Every process needs whole parameters and gradients, so neither FSDP nor ZeRO beyond its first stage.
    Raises ProjectionError for what does not fit: `how` at once, the rest when training begins.
    """

    def __init__(self, V: str | Path, base: str | Path, how: Intervention):
        if how.kind != "erase" or how.project == "purge" or how.action:
            raise ProjectionError(
                f"a LoRA cannot be trained with intervention {how.kind}, project {how.project}, action {how.action}:"
                " take erase, project gradient, update or both, and no action"
            )
        self.how = how
        self.V = {key.removesuffix(".V"): rows for key, rows in read_tensors(V)[0].items() if key.endswith(".V")}
        self.factors = _read_factors(Path(base) / FACTORS)
        self.loras: dict[str, _Lora] = {}
        self.rows: dict[str, torch.Tensor] = {}
        self.before: dict[str, torch.Tensor] = {}
        self.overlaps: dict[str, list[float]] = {}

    def on_train_begin(self, args, state, control, model=None, **_):
        base_model = model.get_base_model() if hasattr(model, "get_base_model") else model
        layers = {name: layer for name, layer in base_model.named_modules() if isinstance(layer, LoraLayer)}
        self.loras = {name: _Lora(name, layers[name], self.factors[name]) for name in self.V if name in layers}
        if not self.loras:
            raise ProjectionError(f"no LoRA in V's modules: V has {sorted(self.V)[:3]}, the LoRA {sorted(layers)[:3]}")

    @torch.no_grad()
    def on_pre_optimizer_step(self, args, state, control, **_):
        self.rows = {name: lora.directions(self.V[name]) for name, lora in self.loras.items()}
        gradients = {name: lora.gradient() for name, lora in self.loras.items()}
        self._note("overlap", gradients)
        if self.how.projects_gradient:
            for name, lora in self.loras.items():
                lora.write_gradient(project(self.rows[name], gradients[name], self.how)[0])
        self.before = {name: lora.values() for name, lora in self.loras.items()}

    @torch.no_grad()
    def on_optimizer_step(self, args, state, control, **_):
        moved = {name: self.before[name] - lora.values() for name, lora in self.loras.items()}  # like a gradient
        if self.how.projects_update:
            for name, lora in self.loras.items():
                moved[name] -= removed_part(self.rows[name], moved[name], self.how)
                lora.write_values(self.before[name] - moved[name])
        self._note("overlap_update", moved)

    def on_log(self, args, state, control, logs=None, **_):
        means = {name: sum(values) / len(values) for name, values in self.overlaps.items()}
        logs.update(means)
        state.log_history[-1].update(means)  # the trainer's own copy of the logs, made before it asked
        self.overlaps = {}

    def _note(self, name: str, vectors: dict[str, torch.Tensor]) -> None:
        self.overlaps.setdefault(name, []).append(mean_overlap(self.rows, vectors))


class _Lora:
    """The parameters of one module's LoRA, (A, B), as one vector (n,) in float32, n = rank (d_in + d_out)."""

    def __init__(self, name: str, layer: LoraLayer, factors: Factors):
        (adapter,) = layer.active_adapters
        self.A, self.B = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight  # (rank, d_in), (d_out, rank)
        self.scaling = layer.scaling[adapter]
        self.U, self.Vh = (factor.to(self.A.device) for factor in (factors.U, factors.Vh))
        weight, made = layer.get_base_layer().weight, (self.U * factors.S.to(self.A.device)) @ self.Vh
        if weight.shape != made.shape or (weight - made).norm() > SAME_WEIGHTS * made.norm():
            raise ProjectionError(f"{name}: the factors are of other weights than the model's")
        if layer.use_dora[adapter] or not (self.A.requires_grad and self.B.requires_grad):
            raise ProjectionError(f"{name}: not a plain LoRA with both its matrices in training")

    def directions(self, V: torch.Tensor) -> torch.Tensor:
        """Return the rows of V (k, r) as orthonormal rows (k, n) in the LoRA's parameters at their present values."""
        V, A, B = V.to(self.A.device), self.A.float(), self.B.float()
        of_A = torch.einsum("aj,kj,ji->kai", B.T @ self.U, V, self.Vh)  # B^T U diag(v) Vh
        of_B = torch.einsum("oj,kj,ja->koa", self.U, V, self.Vh @ A.T)  # U diag(v) Vh A^T
        return orthonormal(self.scaling * torch.cat([of_A.flatten(1), of_B.flatten(1)], dim=1))

    def values(self) -> torch.Tensor:
        return self._join(self.A.detach(), self.B.detach())

    def gradient(self) -> torch.Tensor:
        return self._join(self.A.grad, self.B.grad)

    def write_values(self, vector: torch.Tensor) -> None:
        self._split(vector, self.A, self.B)

    def write_gradient(self, vector: torch.Tensor) -> None:
        self._split(vector, self.A.grad, self.B.grad)

    def _join(self, of_A: torch.Tensor, of_B: torch.Tensor) -> torch.Tensor:
        return torch.cat([of_A.flatten(), of_B.flatten()]).float()

    def _split(self, vector: torch.Tensor, of_A: torch.Tensor, of_B: torch.Tensor) -> None:
        of_A.copy_(vector[: of_A.numel()].view_as(of_A))
        of_B.copy_(vector[of_A.numel() :].view_as(of_B))


def orthonormal(rows: torch.Tensor) -> torch.Tensor:
    """Return the orthonormal rows nearest to `rows` (k, n) once each has norm 1, N = (R R^T)^(-1/2) R (Loewdin 1950).

    Where rows are dependent the inverse is the pseudo-inverse: the span is kept, and N^T N still projects onto it.
    """
    unit = torch.nn.functional.normalize(rows.double(), dim=1)
    eigenvalues, vectors = torch.linalg.eigh(unit @ unit.T)
    kept = eigenvalues > RANK * eigenvalues[-1]
    vectors = vectors[:, kept] / eigenvalues[kept] ** 0.25
    return (vectors @ vectors.T @ unit).to(rows.dtype)


def _read_factors(directory: Path) -> StoredFactors:
    """Return the factors in a directory, all of the same weights; which these are is looked at in the model."""
    weights = [tensor_names(path)[1].get("weights", "") for path in sorted(directory.glob("*.safetensors"))[:1]]
    return StoredFactors(directory, *weights or [""])
