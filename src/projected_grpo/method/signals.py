"""Signals (method 2b): which rollouts of a step are suspect.

1. A signal gives every rollout a score, and flags it if the score exceeds a threshold that was fixed before training.
2. It looks at completions and at what the model makes of them (`Seen`), never at a verdict; `detector` and `truth` are
   told one bit of it, and are labelled so wherever they appear.
3. What the model makes of a completion is read, never differentiated: its mean hidden state, or the gradient of its
   plain negative log-likelihood. So no signal sees the advantage, whose sign a gradient of the loss would have.
4. A twin has the same machinery and no information: weights from shuffled labels, a random V, or permuted scores. Its
   scores have another scale, so it has no threshold: at every step it flags the shares that its partner flagged, and
   an action that weighs by the score weighs its flagged rows as it weighed the partner's, on average.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import torch

from projected_grpo.errors import UserError
from projected_grpo.method import own
from projected_grpo.method.gradients import Tokens
from projected_grpo.method.loss import collate, micro_batches
from projected_grpo.rng import torch_generator

Tensors = dict[str, torch.Tensor]
SKETCH = 1024  # width of a fingerprint (GRIFT, arXiv:2604.16242)
SPREAD_FLOOR = 0.1  # of the z-score's deviation, in units of the pairs' own (arXiv:2604.01476)
DEPTHS = 0.6, 0.75  # of the layers that `activation` reads, as shares of the depth (the same)


class SignalError(UserError, ValueError):
    """A signal that cannot be fitted or does not fit the run; one line."""


@dataclass(frozen=True)
class Signal:
    """A signal as a run uses it: its kind, `module:function` for one's own, what was fitted, and its threshold.

    accuracy  detector, truth: each bit is flipped with probability 1 - accuracy
    share     detector, truth: of the completions that are looked at at all
    twin      it is the twin
    """

    kind: str
    weights: Tensors = field(default_factory=dict)
    threshold: float = 0.5
    accuracy: float = 1.0
    share: float = 1.0
    twin: bool = False


@dataclass(frozen=True)
class Seen:
    """Completions that a signal is asked about, and all that it may look at.

    tokens     (prompt ids, completion ids) of each
    texts      each completion as text
    groups     (n,) number of the group that each is in
    layers     number of the model's decoder layers
    states     layers -> (n, layers, hidden), float32: each one's mean hidden state after those decoder layers
    gradients  -> {module: (n, r)}: of each one's negative log-likelihood, at the model's current knobs
    told       (n,) bool: of detector and truth, the one bit that they are told; None for all others
    generator  for what is drawn: derived from (seed, step)
    """

    tokens: Sequence[Tokens]
    texts: Sequence[str]
    groups: torch.Tensor
    layers: int
    states: Callable[[Sequence[int]], torch.Tensor]
    gradients: Callable[[], Tensors]
    generator: torch.Generator
    told: torch.Tensor | None = None


def told(seen: Seen, signal: Signal) -> torch.Tensor:
    """detector, truth: 1 where it is told so, of the share that it looks at; flipped at the rate 1 - accuracy."""
    flipped = torch.rand(len(seen.told), generator=seen.generator) >= signal.accuracy
    looked_at = torch.rand(len(seen.told), generator=seen.generator) < signal.share
    return ((seen.told ^ flipped) & looked_at).double()


def overlap(seen: Seen, signal: Signal) -> torch.Tensor:
    """The mean over modules of ||relu(V g)|| / ||g||: the hack-ward share of the completion's own gradient."""
    V = {name.removesuffix(".V"): rows for name, rows in signal.weights.items()}
    return rollout_overlaps(V, seen.gradients())


def probe(seen: Seen, signal: Signal) -> torch.Tensor:
    """The log-odds of a logistic regression on the mean hidden state of one layer."""
    w = signal.weights
    return (seen.states(layers_of(w))[:, 0] @ w["w"][0] + w["bias"]).double()


def activation(seen: Seen, signal: Signal) -> torch.Tensor:
    """z-score in the group of the mean over layers of h . d, d the mean of h(hack) - h(clean) (Wu and Tang,
    arXiv:2604.01476, whose h is that of the last token); the deviation is floored."""
    w = signal.weights
    raw = projections(seen, w)
    found = torch.zeros(len(raw), dtype=torch.float64)
    for group in seen.groups.unique():
        rows = seen.groups == group
        spread = raw[rows].std(correction=0).clamp(min=SPREAD_FLOOR * w["spread"].item())
        found[rows] = (raw[rows] - raw[rows].mean()) / spread
    return found


def projections(seen: Seen, weights: Tensors) -> torch.Tensor:
    """Return the mean over layers of h . d, (n,)."""
    return torch.einsum("nlh,lh->n", seen.states(layers_of(weights)), weights["w"]).double() / len(weights["w"])


def fingerprint(seen: Seen, signal: Signal) -> torch.Tensor:
    """Distance of the completion's fingerprint to the centroid of the clean ones minus that to the hacks' (after GRIFT,
    arXiv:2604.16242, which clusters and lets a language model name the clusters)."""
    found = sketch(seen.gradients())
    to_clean, to_hack = ((found - signal.weights[side]).norm(dim=1) for side in ("clean", "hack"))
    return (to_clean - to_hack).double()


KINDS: Mapping[str, Callable[[Seen, Signal], torch.Tensor]] = {
    "detector": told,
    "truth": told,
    "overlap": overlap,
    "probe": probe,
    "activation": activation,
    "fingerprint": fingerprint,
}


def score(signal: Signal, seen: Seen) -> torch.Tensor:
    """Return the score of every completion, (n,); SignalError unless these are n finite numbers.

    A twin without weights of its own has its scores permuted.
    """
    scores = KINDS[signal.kind](seen, signal) if signal.kind in KINDS else own.function(signal.kind)(seen, signal)
    if not isinstance(scores, torch.Tensor) or scores.shape != (len(seen.tokens),) or not scores.isfinite().all():
        raise SignalError(f"signal {signal.kind}: it has to give one finite score per completion, as a tensor")
    scores = scores.double()
    if signal.twin and not signal.weights:
        return scores[torch.randperm(len(scores), generator=seen.generator)]
    return scores


def flag_above(scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return which completions are flagged, (n,) bool: those whose score exceeds the threshold."""
    return scores > threshold


@dataclass(frozen=True)
class Followed:
    """What a twin follows of its arm in a stratum of a step: the share of rows that are flagged, and the mean of
    sigmoid(score) over these."""

    share: float
    weight: float


def as_heavy(
    scores: torch.Tensor, flags: torch.Tensor, strata: Sequence[str], partner: Mapping[str, Followed]
) -> torch.Tensor:
    """Return a twin's scores (n,) as an action gets them: of its flagged rows those whose sigmoid is the mean of the
    arm's in the stratum, so that an action that weighs a row by its score weighs as much without information."""
    heavy = scores.clone()
    for name, followed in partner.items():
        rows = flags & torch.tensor([own == name for own in strata])
        heavy[rows] = torch.tensor(followed.weight, dtype=scores.dtype).logit()
    return heavy


def flag_shares(scores: torch.Tensor, strata: Sequence[str], shares: Mapping[str, float]) -> torch.Tensor:
    """Return which completions are flagged, (n,) bool: of every stratum its share, those with the largest score, of
    equal ones the first.

    A share that is nan flags none: the arm that is followed had no such row.
    """
    flags = torch.zeros(len(scores), dtype=torch.bool)
    for name, share in shares.items():
        rows = torch.tensor([i for i, own in enumerate(strata) if own == name], dtype=torch.long)
        count = 0 if math.isnan(share) else round(share * len(rows))
        flags[rows[scores[rows].argsort(descending=True, stable=True)[:count]]] = True
    return flags


def rollout_overlaps(directions: Tensors, gradients: Tensors) -> torch.Tensor:
    """Return each rollout's mean over modules of ||relu(V g)|| / ||g||, (n,), from its gradients (n, r) by module.

    Modules in which a rollout's gradient is zero are left out of its mean; 0 where none is left.
    """
    ratios = []
    for name, V in directions.items():
        g = gradients[name]
        ratios.append((g @ V.T).relu().norm(dim=1) / g.norm(dim=1))
    return torch.stack(ratios).nanmean(0).nan_to_num(0.0)


def sketch(gradients: Tensors, width: int = SKETCH) -> torch.Tensor:
    """Return the fingerprints (n, width) of gradients (n, r) by module: a random projection of all modules' together to
    `width` numbers, scaled to norm 1.

    The projection is a count sketch: every number goes to one place, with a random sign; no matrix is needed.
    """
    found = torch.zeros(len(next(iter(gradients.values()))), width)
    for name, g in gradients.items():
        generator = torch_generator(0, 0, f"fingerprint {name}")
        place = torch.randint(width, (g.shape[1],), generator=generator)
        sign = 2 * torch.randint(2, (g.shape[1],), generator=generator) - 1
        found.index_add_(1, place, (g * sign).float())
    return found / found.norm(dim=1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)


def layers_of(weights: Tensors) -> list[int]:
    """Return the decoder layers that fitted weights read."""
    return [int(layer) for layer in weights["layers"]]


def depths(layers: int) -> list[int]:
    """Return the decoder layers at 60 to 75% of the depth, or the one nearest to that."""
    share = [(layer + 1) / layers for layer in range(layers)]
    within = [layer for layer, at in enumerate(share) if DEPTHS[0] <= at <= DEPTHS[1]]
    return within or [min(range(layers), key=lambda layer: abs(share[layer] - sum(DEPTHS) / 2))]


@torch.no_grad()
def mean_states(model, rows: Sequence[Tokens], layers: Sequence[int], token_budget: int) -> torch.Tensor:
    """Return (n, layers, hidden) float32: the hidden state after each of the decoder layers, its mean over the
    positions that predict a completion's tokens."""
    lengths = [len(prompt) + len(completion) for prompt, completion in rows]
    order = sorted(range(len(rows)), key=lambda row: lengths[row])
    decoder, parts = model.get_decoder(), []
    with _after(decoder, layers) as found:
        for positions in micro_batches([lengths[row] for row in order], token_budget):
            batch = collate([rows[order[p]] for p in positions], model.device)
            with suppress(_Enough):
                decoder(input_ids=batch.tokens[:, :-1], use_cache=False)
            weight = batch.mask.float() / batch.lengths[:, None]
            parts.append(torch.stack([torch.einsum("bt,bth->bh", weight, found[n].float()) for n in layers], 1).cpu())
    return torch.cat(parts)[torch.tensor(order).argsort()]


class _Enough(Exception):
    """The deepest layer that is asked for has been computed."""


@contextmanager
def _after(decoder, layers: Sequence[int]) -> Iterator[dict[int, torch.Tensor]]:
    """Collect the hidden states after decoder layers of every forward pass inside, which ends after the deepest."""
    found: dict[int, torch.Tensor] = {}

    def collect(layer: int, out) -> None:
        found[layer] = out if torch.is_tensor(out) else out[0]
        if layer == max(layers):
            raise _Enough

    hooks = [
        decoder.layers[layer].register_forward_hook(lambda module, inputs, out, layer=layer: collect(layer, out))
        for layer in layers
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
