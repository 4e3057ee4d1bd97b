"""The adapter (method 1): every target Linear becomes W + U diag(delta + quarantine) Vh, and only two vectors train.

1. W is never rebuilt from its factors, so zero knobs give the base model's logits bit for bit.
2. Between optimizer steps the knobs are constant: the model runs on the merged weight, one matrix product per Linear.
   In bfloat16 a plain sum would fall back onto W's own grid, so there it is rounded stochastically. The noise is the
   module's own and always the same, so that equal knobs are the same policy in every stage, on one type of device.
3. The backward pass returns the knob gradient of every SEGMENT of the batch (a segment is a run of rows: a source,
   or a single rollout) as the gradient of a `probe` of shape (segments, r). One backward, any number of segments.
4. The quarantine lives in the basis of `delta` (U, Vh), or in a fixed random one of its own (P, Q) and any rank.
5. Knobs stay on the CPU wherever the model is: they are small, and all that is done to them is the same everywhere.

Gradients here are gradients of the LOSS: descending them lowers it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from projected_grpo.errors import UserError
from projected_grpo.rng import random_rows, torch_generator

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_DELTA_NET = ("in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj")
_MLP = ("up_proj", "gate_proj", "down_proj")
TARGETS = frozenset({*_ATTENTION, *_DELTA_NET, *_MLP})
DTYPES = (torch.bfloat16, torch.float32, torch.float64)


class AdapterError(UserError, ValueError):
    """The model and the factors or knobs do not belong together."""


@dataclass(frozen=True)
class Factors:
    """Reduced SVD of one weight, float32: U (d_out, r), S (r,), Vh (r, d_in)."""

    U: torch.Tensor
    S: torch.Tensor
    Vh: torch.Tensor


def target_modules(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the Linears to adapt by their full names; a model without any is an AdapterError that lists its leaves."""
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    targets = {name: module for name, module in linears.items() if name.rsplit(".", 1)[-1] in TARGETS}
    if not targets:
        leaves = sorted({name.rsplit(".", 1)[-1] for name in linears})
        raise AdapterError(f"no Linear to adapt: the model's leaves are {leaves}, known targets are {sorted(TARGETS)}")
    return targets


def weights_hash(model: nn.Module) -> str:
    """Return a SHA-256 over the target weights: the name of the model a factor file belongs to."""
    digest = hashlib.sha256()
    for name, module in sorted(target_modules(model).items()):
        digest.update(name.encode())
        digest.update(module.weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def factorize(model: nn.Module) -> dict[str, Factors]:
    """Return the factors of every target weight, in the model's order."""
    return {name: factor(module.weight) for name, module in target_modules(model).items()}


def factor(weight: torch.Tensor) -> Factors:
    """Return the reduced SVD of a weight, computed where it lies, in float32 (float64 weights: float64)."""
    U, S, Vh = torch.linalg.svd(weight.detach().to(_knob_dtype(weight.dtype)), full_matrices=False)
    return Factors(U.contiguous(), S, Vh.contiguous())


def _knob_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def stochastic_round(exact: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return float32 numbers in bfloat16, each rounded to the neighbour above with the probability that keeps it in
    expectation; numbers on bfloat16's grid stay what they are.

    bfloat16 is the upper half of a float32: 16 random bits are added to the lower half, which is then cut off.
    """
    draws = torch.empty(-(-exact.numel() // 4), dtype=torch.int64, device=exact.device)
    bits = draws.random_(torch.iinfo(torch.int64).min, None, generator=generator).view(torch.int16)
    noise = bits[: exact.numel()].view_as(exact).to(torch.int32) & 0xFFFF
    return ((exact.view(torch.int32) + noise) >> 16).to(torch.int16).view(torch.bfloat16)


def segment_gradient(
    grad_y: torch.Tensor, x: torch.Tensor, U: torch.Tensor, Vh: torch.Tensor, bounds: Sequence[int], form: str = "auto"
) -> torch.Tensor:
    """Return d loss / d knob of every segment, (segments, r), from grad_y (B, T, d_out) and x (B, T, d_in).

    Segment s is rows bounds[s] to bounds[s + 1]. Form "module" is diag(U^T M Vh^T) with M = grad_y^T x; form "token"
    is ((grad_y U) * (x Vh^T)) summed over tokens; "auto" takes the cheaper one (method 1). Products are in the factors'
    dtype. Sums over tokens are in float32 at least, so that bfloat16 takes the token form.
    """
    segments, rank = len(bounds) - 1, U.shape[1]
    sums = _knob_dtype(U.dtype)
    if form == "auto":
        form = "module" if sums == U.dtype and x.shape[0] * x.shape[1] > segments * rank else "token"
    if form == "token":
        per_row = ((grad_y @ U) * (x @ Vh.T)).sum(1, dtype=sums)  # (B, r)
        rows = [per_row[low:high].sum(0) for low, high in pairwise(bounds)]
    else:
        rows = []
        for low, high in pairwise(bounds):
            M = grad_y[low:high].flatten(0, 1).T @ x[low:high].flatten(0, 1)  # (d_out, d_in)
            rows.append(((U.T @ M) * Vh).sum(1))
    return torch.stack(rows)


class _KnobLinear(torch.autograd.Function):
    """y = (W + U diag(delta) Vh + P diag(quarantine) Q) x; `probe` (segments, r) receives delta's gradient per segment,
    and `quarantine_probe` (1, q), if there is one, the quarantine's in its own basis."""

    @staticmethod
    def forward(ctx, x, probe, quarantine_probe, layer, bounds):
        ctx.save_for_backward(x)
        ctx.layer, ctx.bounds = layer, bounds
        return F.linear(x, layer.merged, layer.base.bias)

    @staticmethod
    def backward(ctx, grad_y):
        (x,) = ctx.saved_tensors
        layer = ctx.layer
        grad_x = grad_y @ layer.merged if ctx.needs_input_grad[0] else None
        delta = segment_gradient(grad_y, x, layer.U, layer.Vh, ctx.bounds)
        quarantine = segment_gradient(grad_y, x, layer.P, layer.Q, [0, len(x)]) if ctx.needs_input_grad[2] else None
        return grad_x, delta, quarantine, None, None


class AdaptedLinear(nn.Module):
    """A frozen Linear with the two trainable vectors `delta` (r,) and `quarantine`: (r,) in the same basis, or (q,) in
    `own_basis`, (P (d_out, q), Q (q, d_in)). Its `name` in the model seeds the rounding of a bfloat16 weight."""

    def __init__(
        self, name: str, base: nn.Linear, factors: Factors, own_basis: tuple[torch.Tensor, torch.Tensor] | None = None
    ):
        super().__init__()
        self.name, self.base = name, base.requires_grad_(False)
        dtype = _knob_dtype(base.weight.dtype)
        self.distinct = own_basis is not None
        for key, matrix in zip(["U", "Vh", "P", "Q"], (factors.U, factors.Vh, *(own_basis or ())), strict=False):
            self.register_buffer(key, matrix.to(base.weight.device, base.weight.dtype), persistent=False)
        rank = factors.S.shape[0]
        quarantine_rank = len(self.Q) if self.distinct else rank
        self.delta = nn.Parameter(torch.zeros(rank, dtype=dtype))
        self.quarantine = nn.Parameter(torch.zeros(quarantine_rank, dtype=dtype))
        self.probe: torch.Tensor | None = None
        self.quarantine_probe: torch.Tensor | None = None
        self.bounds: Sequence[int] = ()
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Merge the current knobs into `merged` (d_out, d_in); call it after every change of them."""
        terms = (
            [(self.U, self.delta, self.Vh), (self.P, self.quarantine, self.Q)]
            if self.distinct
            else [(self.U, self.delta + self.quarantine, self.Vh)]
        )
        weight = self.base.weight
        if not any(knob.any() for _, knob, _ in terms):
            self.merged = weight.clone()
            return
        knob_term = sum((U * knob.to(weight)) @ Vh for U, knob, Vh in terms)
        # Always from the frozen W: merging onto the previous merge would accumulate rounding.
        exact = weight.to(self.delta.dtype) + knob_term
        if weight.dtype == torch.bfloat16:
            exact = stochastic_round(exact, torch_generator(0, 0, f"rounding {self.name}", weight.device))
        self.merged = exact

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.probe is None or not torch.is_grad_enabled():
            return F.linear(x, self.merged, self.base.bias)
        if x.dim() != 3:
            raise AdapterError(
                f"a target Linear got an input of shape {tuple(x.shape)}, not (rows, tokens, features), as experts do:"
                " its gradient cannot be told apart by rollout"
            )
        return _KnobLinear.apply(x, self.probe, self.quarantine_probe, self, self.bounds)


def _probe(layer: AdaptedLinear, segments: int, knob: torch.Tensor) -> torch.Tensor:
    """Return a leaf (segments, len(knob)) whose gradient is zero until the batch reaches its module."""
    probe = torch.zeros(segments, len(knob), dtype=knob.dtype, device=layer.U.device, requires_grad=True)
    probe.grad = torch.zeros_like(probe)
    return probe


class Adapter:
    """The adapted Linears of one model by name, in the model's order."""

    def __init__(self, layers: dict[str, AdaptedLinear]):
        self.layers = layers

    def refresh(self) -> None:
        for layer in self.layers.values():
            layer.refresh()

    @contextmanager
    def segments(self, bounds: Sequence[int]) -> Iterator[dict[str, torch.Tensor]]:
        """Collect knob gradients per segment of the batches run inside, rows split at `bounds`.

        Yields probes by module name; after the backward passes `probe.grad` is (segments, r), summed over them.
        """
        probes = {}
        for name, layer in self.layers.items():
            probes[name] = _probe(layer, len(bounds) - 1, layer.delta)
            layer.probe, layer.bounds = probes[name], bounds
        try:
            yield probes
        finally:
            for layer in self.layers.values():
                layer.probe, layer.bounds = None, ()

    @contextmanager
    def own_basis(self) -> Iterator[dict[str, torch.Tensor]]:
        """Inside `segments`, also collect the quarantine's gradient in its own basis, over whole batches.

        Yields probes by module name, (1, q) each; none where the quarantine shares the basis of `delta`.
        """
        probes = {}
        for name, layer in self.layers.items():
            if layer.distinct:
                probes[name] = _probe(layer, 1, layer.quarantine)
                layer.quarantine_probe = probes[name]
        try:
            yield probes
        finally:
            for layer in self.layers.values():
                layer.quarantine_probe = None

    @contextmanager
    def at(self, knobs: dict[str, torch.Tensor]) -> Iterator[None]:
        """Run the body with `delta` set to `knobs` (missing modules: zero) and the quarantine ablated."""
        saved = self.state(), [layer.merged for layer in self.layers.values()]
        try:
            self.load({f"{name}.delta": value for name, value in knobs.items()}, partial=True)
            yield
        finally:
            self._write(saved[0])
            for layer, merged in zip(self.layers.values(), saved[1], strict=True):  # which costs as much as many tokens
                layer.merged = merged

    def ablated(self) -> AbstractContextManager[None]:
        """Run the body at the current `delta` with the quarantine ablated: on the deployed model."""
        return self.at({name: layer.delta.detach().clone() for name, layer in self.layers.items()})

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of all knobs: `{module}.delta` (r,) and `{module}.quarantine`, (r,) or (q,)."""
        return {
            f"{name}.{knob}": getattr(layer, knob).detach().clone()
            for name, layer in self.layers.items()
            for knob in ("delta", "quarantine")
        }

    def load(self, state: dict[str, torch.Tensor], partial: bool = False) -> None:
        """Set all knobs from `state`; with `partial` the missing ones become zero. Names or shapes that do not fit
        the model are an AdapterError."""
        own = self.state()
        missing = set() if partial else own.keys() - state.keys()
        odd = (
            (state.keys() - own.keys())
            | missing
            | {k for k in own.keys() & state.keys() if own[k].shape != state[k].shape}
        )
        if odd:
            raise AdapterError(f"knobs do not fit the model at {sorted(odd)[:3]} ({len(odd)} in all)")
        self._write(state)
        self.refresh()

    @torch.no_grad()
    def _write(self, state: dict[str, torch.Tensor]) -> None:
        for name, layer in self.layers.items():
            for knob in ("delta", "quarantine"):
                value = state.get(f"{name}.{knob}")
                parameter = getattr(layer, knob)
                parameter.zero_() if value is None else parameter.copy_(value)


def quarantine_basis(name: str, d_out: int, d_in: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the fixed random orthonormal factors P (d_out, rank) and Q (rank, d_in) of a module's quarantine."""
    if rank > min(d_out, d_in):
        raise AdapterError(f"quarantine_rank {rank} is larger than {name} allows: at most {min(d_out, d_in)}")
    generator = torch_generator(0, 0, f"quarantine basis {name}")
    return random_rows(rank, d_out, generator).T.contiguous(), random_rows(rank, d_in, generator)


def attach(model: nn.Module, factors: dict[str, Factors], quarantine_rank: int = 0) -> Adapter:
    """Replace the model's target Linears in place and freeze everything else.

    A `quarantine_rank` above 0 gives every quarantine a random basis of that rank, instead of delta's. Factors of
    another model, a rank that is too large, and weights of a dtype that is not in DTYPES are an AdapterError.
    """
    targets = target_modules(model)
    if targets.keys() != factors.keys():
        raise AdapterError(f"factors do not fit the model at {sorted(targets.keys() ^ factors.keys())[:3]}")
    model.requires_grad_(False)
    layers = {}
    for name, linear in targets.items():
        basis = quarantine_basis(name, *linear.weight.shape, quarantine_rank) if quarantine_rank else None
        if linear.weight.dtype not in DTYPES:
            raise AdapterError(f"{name} is in {linear.weight.dtype}; known are {', '.join(map(str, DTYPES))}")
        layers[name] = AdaptedLinear(name, linear, factors[name], basis)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layers[name])
    return Adapter(layers)
