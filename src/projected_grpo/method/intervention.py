"""The intervention (method 3): once per optimizer step, per module, between the gradient and the knobs.

Sign convention: V is oriented hack-ward in GRADIENT space. `c = V g > 0` means that descending g makes hacks more
likely, and stepping `delta` along -V raises log p(hack). The gate keeps the hack-ward coefficients, `removed` is their
part of the gradient, and g' = g - removed.

`trusted` is the other way round: V is of clean completions, and what lies outside its span is removed.

Where an action routes rollouts (method 3a), the quarantine lives in a basis of its own and learns from all of them,
`delta` from those that are not flagged. Rollouts that were sampled with the quarantine ablated are trained there too,
and their gradient reaches delta alone.

The optimizer is part of the intervention: AdamW steps on m / sqrt(v), so what is projected (the gradient, the update,
both, or the gradient and the first moment) is a setting.
"""

import math
from collections.abc import Mapping

import torch
from torch.optim.adamw import adamw

from projected_grpo.method.adapter import Adapter
from projected_grpo.method.settings import Intervention

Tensors = dict[str, torch.Tensor]


def gate(c: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the gated hack coefficients; `reverse` reflects hack-ward motion only, and leaves c < 0 alone."""
    if kind == "one_sided":
        return c.relu()
    if kind == "no_gate":
        return c
    if kind == "reverse":
        return 2 * c.relu()
    raise ValueError(f"unknown gate {kind!r}: one_sided, no_gate or reverse")


def removed_part(V: torch.Tensor, g: torch.Tensor, how: Intervention) -> torch.Tensor:
    """Return what is taken out of g (r,), V being (k, r): overshoot * gate(V g) V, or for `trusted` what lies outside
    V's span."""
    if how.kind == "trusted":
        return g - (V @ g) @ V
    return how.overshoot * gate(V @ g, how.gate) @ V


def project(V: torch.Tensor, g: torch.Tensor, how: Intervention) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (g', removed), both (r,), with g' rescaled to the norm of g if the intervention says so."""
    removed = removed_part(V, g, how)
    kept = g - removed
    if how.preserve_magnitude and kept.norm() > 0:
        kept = kept * (g.norm() / kept.norm())
    return kept, removed


def overlap(V: torch.Tensor, g: torch.Tensor) -> float:
    """Return ||relu(V g)|| / ||g|| in [0, 1], relu before aggregating; nan for a zero gradient."""
    return (torch.linalg.vector_norm((V @ g).relu()) / torch.linalg.vector_norm(g)).item() if g.any() else math.nan


def mean_overlap(directions: Tensors, gradients: Tensors) -> float:
    """Return the mean over modules with a V of the per-module overlap; nan where no module has a gradient."""
    return _mean([overlap(V, gradients[name]) for name, V in directions.items()])


def null_overlap(directions: Tensors) -> float:
    """Return the mean over modules of sqrt(k / 2r): an upper bound of the overlap that a random V has by chance."""
    return _mean([(V.shape[0] / (2 * V.shape[1])) ** 0.5 for V in directions.values()])


def source_overlaps(by_source: Tensors, directions: Tensors) -> dict[str, float]:
    """Return the overlap columns of the sources' gradients (sources, r), rows as in SOURCES, and of their sum."""
    rows = {
        "overlap_student": [0],
        "overlap_teacher": [1, 2, 3],
        "overlap_teacher_hack": [1],
        "overlap_teacher_clean": [2],
        "overlap_before": [0, 1, 2, 3],
    }
    overlaps = {
        column: mean_overlap(directions, {name: by_source[name][chosen].sum(0) for name in directions})
        for column, chosen in rows.items()
    }
    return overlaps | {"overlap_null": null_overlap(directions)}


def measured_overlaps(by_source: Tensors, measured: Mapping[str, Tensors]) -> dict[str, float]:
    """Return the overlap of the live rollouts' gradient with every V of `measured`, by column name."""
    live = {name: g[0] for name, g in by_source.items()}
    return {f"overlap_student/{name}": mean_overlap(V, live) for name, V in measured.items()}


class _AdamW:
    """torch's AdamW as a function: its class would import torch's compiler, a second of a job that takes a minute.

    No weight decay: on the quarantine it would leak capability back into delta. Fused: the other forms take MKL's
    square root, whose last digit depends on the processor's maker even in the portable arithmetic.
    """

    def __init__(self, parameters: list[torch.Tensor], betas: tuple[float, float]):
        self.parameters, self.betas = parameters, betas
        self.exp_avg, self.exp_avg_sq = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        self.steps = [torch.tensor(0.0) for _ in parameters]

    def step(self, lr: float) -> None:
        gradients = [parameter.grad for parameter in self.parameters]
        moments = self.exp_avg, self.exp_avg_sq, []
        beta1, beta2 = self.betas
        how = {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": 0.0, "eps": 1e-8}
        adamw(self.parameters, gradients, *moments, self.steps, fused=True, amsgrad=False, maximize=False, **how)

    def state(self) -> Tensors:
        """Return all that the next step depends on besides the parameters, by name; copies."""
        named = {"step": self.steps, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}
        return {f"{i}.{name}": value.clone() for name, values in named.items() for i, value in enumerate(values)}

    def load(self, state: Tensors) -> None:
        """Resume from what `state` returned."""
        self.steps, self.exp_avg, self.exp_avg_sq = (
            [state[f"{i}.{name}"].clone() for i in range(len(self.parameters))]
            for name in ("step", "exp_avg", "exp_avg_sq")
        )


class KnobOptimizer:
    """AdamW on the knobs with the intervention around its step; one call of `step` per optimizer step."""

    def __init__(
        self,
        adapter: Adapter,
        how: Intervention,
        betas: tuple[float, float],
        max_grad_norm: float,
    ):
        self.adapter, self.how, self.max_grad_norm = adapter, how, max_grad_norm
        self.deltas = {name: layer.delta for name, layer in adapter.layers.items()}
        self.quarantines = {name: layer.quarantine for name, layer in adapter.layers.items()}
        trained = [*self.deltas.values(), *(self.quarantines.values() if how.has_quarantine else ())]
        self.adamw = _AdamW(trained, betas)

    @torch.no_grad()
    def step(
        self,
        gradients: Tensors,
        directions: Tensors,
        lr: float,
        quarantine: Tensors | None = None,
        ablated: Tensors | None = None,
    ) -> dict[str, float]:
        """Apply one optimizer step at learning rate `lr` for delta's gradients (r,) per module.

        Modules without an entry in `directions` (k, r) are left unprojected. `quarantine` is its gradient (q,) where it
        has a basis of its own, `ablated` the part of delta's that comes from rollouts without it. Returns
        grad_norm, the overlaps of what was written and of what the optimizer did, `fired` and the drifts.
        """
        written = self._write(gradients, directions, quarantine or {}, ablated or {})
        grad_norm = self._clip()
        if self.how.projects_gradient and self.how.project == "purge":
            self._purge(directions)
        before = {name: delta.clone() for name, delta in self.deltas.items()}
        self.adamw.step(lr)
        if self.how.projects_update:
            self._project_update(before, directions)
        self.adapter.refresh()
        moved = {name: before[name] - delta for name, delta in self.deltas.items()}  # like a gradient: -(new - old)
        return {
            "grad_norm": grad_norm,
            "overlap_after": mean_overlap(directions, written),
            "overlap_update": mean_overlap(directions, moved),
            "fired": _mean([_positive_share(V, gradients[name]) for name, V in directions.items()]),
            "drift": _drift(directions, self.deltas),
            "drift_quarantine": _drift(directions, self.quarantines if self.how.kind == "route" else {}),
        }

    def state(self) -> Tensors:
        """Return all that the next step depends on besides the knobs, by name; copies."""
        return self.adamw.state()

    def load(self, state: Tensors) -> None:
        """Resume from what `state` returned."""
        self.adamw.load(state)

    def _write(self, gradients: Tensors, directions: Tensors, quarantine: Tensors, ablated: Tensors) -> Tensors:
        """Set the gradients the optimizer will see (method 3) and return delta's.

        The quarantine gets what was removed of the rows that it took part in: not of those where it was ablated.
        """
        written, learned = dict(gradients), dict(quarantine)
        if self.how.projects_gradient:
            for name, V in directions.items():
                written[name], removed = project(V, gradients[name], self.how)
                if self.how.kind == "route":
                    own = removed_part(V, gradients[name] - ablated[name], self.how) if name in ablated else removed
                    learned[name] = own
        for name, delta in self.deltas.items():
            delta.grad = written[name].clone()
            if self.how.has_quarantine:
                part = learned.get(name)
                self.quarantines[name].grad = torch.zeros_like(self.quarantines[name]) if part is None else part
        return written

    def _clip(self) -> float:
        """Clip by the joint norm of what was written; return that norm."""
        return torch.nn.utils.clip_grad_norm_(self.adamw.parameters, self.max_grad_norm).item()

    def _purge(self, directions: Tensors) -> None:
        """Take the hack-ward part out of the first moment, which was banked before V or the gate said so."""
        for name, exp_avg in zip(self.deltas, self.adamw.exp_avg, strict=False):  # deltas are trained first
            if name in directions:
                exp_avg -= removed_part(directions[name], exp_avg, self.how)

    def _project_update(self, before: Tensors, directions: Tensors) -> None:
        for name, V in directions.items():
            delta = self.deltas[name]
            delta += removed_part(V, before[name] - delta, self.how)


def _drift(directions: Tensors, knobs: Tensors) -> float:
    """Return the mean over modules and rows of -(V knob); nan without a knob in the basis of V."""
    return _mean([-(V @ knobs[name]).mean().item() for name, V in directions.items() if name in knobs])


def _positive_share(V: torch.Tensor, g: torch.Tensor) -> float:
    return ((V @ g) > 0).double().mean().item() if g.any() else math.nan


def _mean(values: list[float]) -> float:
    """Return the mean of the numbers that are not nan; nan where there is none."""
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan
