"""The direction V (method 2): from pair gradients to hack directions per module, and the controls matched to them.

1. g is the gradient of a completion's NLL (prompt tokens masked) with respect to the knobs, one per completion and
   module, all rows of a batch in one backward pass.
2. D_i = g(hack) - g(clean); V = top-k right singular vectors of the stacked D, each row flipped unless at least half
   of the pairs have D v > 0. So c = V g > 0 means: descending g makes hacks more likely.
3. Every control has hack's modules, hack's k per module, hack's number of pairs, and carries hack's singular values,
   so that the noise floor drops the same rows of each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from projected_grpo.artifacts.io import read_tensors, write_tensors
from projected_grpo.errors import UserError
from projected_grpo.method.adapter import Adapter, AdapterError
from projected_grpo.method.loss import collate, completion_logprobs, micro_batches, recompute
from projected_grpo.rng import numpy_generator, random_rows, torch_generator
from projected_grpo.teacher.weak_detector import check_subset

Tensors = dict[str, torch.Tensor]
KINDS = ("hack", "random", "shuffled", "nonhack", "flipped")
CONTRASTS = ("hack", "clean", "wrong")


class DirectionError(UserError, ValueError):
    """Pairs from which no direction can be made, or a direction that does not fit the model."""


@dataclass(frozen=True)
class DirectionConfig:
    """kind: one of KINDS; normalisation: fixed | mean (per completion token)."""

    kind: str = "hack"
    k: int = 16
    normalisation: str = "fixed"
    tau_axis: float = 0.001


@dataclass(frozen=True)
class Direction:
    """V (k, r) with orthonormal rows and the singular values S (k,) of the hack direction, by module."""

    V: Tensors
    S: Tensors


def completion_gradients(
    model,
    adapter: Adapter,
    rows: Sequence[tuple[list[int], list[int]]],
    normalisation: str,
    scale: float,
    budget: int,
    checkpointing: bool = False,
    name: Callable[[int], str] = lambda row: f"rollout {row}",
) -> Tensors:
    """Return per module the NLL gradients (rows, r) of (prompt ids, completion ids) rows.

    `mean` divides each row by its completion's length, `fixed` divides all by `scale`, the live loss's constant. A loss
    that is not finite is a DirectionError that calls the row what `name` says.
    """
    parts: dict[str, list[torch.Tensor]] = {module: [] for module in adapter.layers}
    for indices in micro_batches([len(p) + len(c) for p, c in rows], budget):
        batch = collate([rows[i] for i in indices], model.device)
        with adapter.segments(range(len(indices) + 1)) as probes, recompute(model, checkpointing):
            nll = -completion_logprobs(model, batch)
            row = torch.arange(len(indices), device=nll.device).repeat_interleave(batch.lengths)
            if not torch.isfinite(nll).all():
                broken = indices[row[~torch.isfinite(nll)][0]]
                raise DirectionError(f"{name(broken)}: its loss is not finite")
            per_row = torch.zeros(len(indices), device=nll.device, dtype=nll.dtype).index_add(0, row, nll)
            (per_row / (batch.lengths.to(nll.dtype) if normalisation == "mean" else scale)).sum().backward()
        for module, probe in probes.items():
            parts[module].append(probe.grad.cpu())
    return {module: torch.cat(chunks) for module, chunks in parts.items()}


def check_pairs(pairs: pd.DataFrame, config: DirectionConfig) -> None:
    """Raise a DirectionError that names the pair for an empty or equal side, and for fewer pairs than k."""
    for index, pair in enumerate(pairs.itertuples()):
        label = f"pair {index} (problem {pair.problem_id})"
        if not (len(pair.hack_ids) and len(pair.clean_ids)):
            raise DirectionError(f"{label}: a completion is empty")
        if config.kind == "nonhack" and not len(pair.wrong_ids):
            raise DirectionError(f"{label}: it has no wrong completion, which direction kind nonhack is made from")
        if list(pair.hack_ids) == list(pair.clean_ids):
            raise DirectionError(f"{label}: hack and clean are the same completion")
    built = int((~pairs["heldout"]).sum())
    if built < config.k:
        raise DirectionError(f"{built} pairs are too few for k = {config.k}: sample more pairs or lower k")


def pair_gradients(
    model,
    adapter: Adapter,
    pairs: pd.DataFrame,
    normalisation: str,
    scale: float,
    budget: int,
    checkpointing: bool = False,
):
    """Return {contrast: {module: (n_pairs, r)}} for the hack, clean and wrong completions of every pair.

    Where a pair has no wrong completion, as authored ones need not, there is no such contrast.
    """
    sides = [side for side in CONTRASTS if pairs[f"{side}_ids"].map(len).all()]
    rows = [(list(p.prompt_ids), list(getattr(p, f"{side}_ids"))) for side in sides for p in pairs.itertuples()]
    n = len(pairs)
    gradients = completion_gradients(
        model, adapter, rows, normalisation, scale, budget, checkpointing, lambda row: f"pair {int(row) % n}"
    )
    return {side: {name: g[i * n : (i + 1) * n] for name, g in gradients.items()} for i, side in enumerate(sides)}


def top_directions(D: torch.Tensor, k: int, tau_axis: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (V (k', r), S (k',)) of stacked differences D (n, r): oriented by majority, a tie keeps the sign."""
    _, S, Vh = torch.linalg.svd(D, full_matrices=False)
    V, S = Vh[:k], S[:k]
    votes = ((D @ V.T) > 0).double().mean(0)
    V = torch.where((votes < 0.5)[:, None], -V, V)
    kept = (S > 0) & (tau_axis * S[0] <= S)
    return V[kept].contiguous(), S[kept].contiguous()


def _within_class(g: dict[str, Tensors], built: torch.Tensor, seed: int) -> Tensors:
    """Return n differences within class: half hack against hack, half clean against clean.

    Pairs are disjoint; of an odd class one completion serves twice, never against itself.
    """
    rng = numpy_generator(seed, 0, "shuffled pairs")
    n = len(built)
    first, second = {}, {}
    for side, count in (("hack", n // 2), ("clean", n - n // 2)):
        order = built[torch.as_tensor(rng.permutation(n))]
        first[side], second[side] = order[:count], order[(torch.arange(count) + count) % n]
    return {
        name: torch.cat([g[side][name][first[side]] - g[side][name][second[side]] for side in first])
        for name in g["hack"]
    }


def build_config(spec: Mapping) -> DirectionConfig:
    """Return the settings of a config's direction; its `subset` has already chosen the pairs."""
    return DirectionConfig(**{key: value for key, value in spec.items() if key != "subset"})


def extract(
    model,
    adapter: Adapter,
    pairs: pd.DataFrame,
    config: DirectionConfig,
    scale: float,
    budget: int,
    seed: int,
    checkpointing: bool = False,
):
    """Return (direction, rows of summary.parquet) of pairs at the model's current knobs."""
    check_pairs(pairs, config)
    gradients = pair_gradients(model, adapter, pairs, config.normalisation, scale, budget, checkpointing)
    heldout = pairs["heldout"].to_numpy()
    built = build(gradients, heldout, config, seed)
    hack = built if config.kind == "hack" else build(gradients, heldout, replace(config, kind="hack"), seed)
    return built, summarize(built, hack, gradients, heldout)


def build(g: dict[str, Tensors], heldout: np.ndarray, config: DirectionConfig, seed: int) -> Direction:
    """Return the direction of config.kind from gradients by contrast; `seed` draws the random kinds."""
    built = torch.as_tensor(np.flatnonzero(~heldout))
    hack_D = {name: g["hack"][name][built] - g["clean"][name][built] for name in g["hack"]}
    hack = {name: top_directions(D, config.k, config.tau_axis) for name, D in hack_D.items()}
    hack = {name: (V, S) for name, (V, S) in hack.items() if len(V)}  # no difference, no direction
    V = {name: V for name, (V, _) in hack.items()}
    S = {name: S for name, (_, S) in hack.items()}
    if config.kind == "random":
        generator = torch_generator(seed, 0, "random direction")
        V = {name: random_rows(*v.shape, generator) for name, v in V.items()}
    elif config.kind != "hack":
        D = _control_differences(g, hack_D, built, config.kind, seed)
        V = {name: top_directions(D[name], len(v))[0] for name, v in V.items()}
    return Direction(V, S)


def _control_differences(g: dict[str, Tensors], hack_D: Tensors, built: torch.Tensor, kind: str, seed: int) -> Tensors:
    if kind == "shuffled":
        return _within_class(g, built, seed)
    if kind == "nonhack":
        return {name: g["wrong"][name][built] - g["clean"][name][built] for name in hack_D}
    if kind == "flipped":
        coins = torch.rand(len(built), 1, generator=torch_generator(seed, 0, "flipped pairs")) < 0.5
        return {name: torch.where(coins, -D, D) for name, D in hack_D.items()}
    raise DirectionError(f"unknown direction kind {kind!r}: one of {', '.join(KINDS)}")


def usable(direction: Direction, k: int | None = None, drop_bottom_frac: float = 0.0) -> Tensors:
    """Return V by module as an arm uses it: the first k rows (None: all), less those under the pooled noise floor.

    Rows whose singular value lies under the `drop_bottom_frac` quantile over all modules are dropped; a module with no
    row left is absent and stays unprojected (method 2).
    """
    S = {name: s[:k] for name, s in direction.S.items()}
    floor = torch.quantile(torch.cat(list(S.values())), drop_bottom_frac)
    kept = {name: direction.V[name][: len(s)][s >= floor] for name, s in S.items()}
    return {name: V for name, V in kept.items() if len(V)}


def rank_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return P(positive > negative) + P(tie) / 2 by ranks; nan when a class is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def subspace_overlap(V: torch.Tensor, reference: torch.Tensor) -> float:
    """Return ||V reference^T||_F^2 / k, 1 for the same span; its chance value is k / r."""
    return ((V @ reference.T).square().sum() / len(V)).item()


def summarize(direction: Direction, hack: Direction, g: dict[str, Tensors], heldout: np.ndarray) -> list[dict]:
    """Return the rows of summary.parquet: V's own test on held-out pairs, and its overlap with `hack` beside chance."""
    rows = []
    test = np.flatnonzero(heldout)
    coefficients = {side: {name: (g[side][name][test] @ V[0]).numpy() for name, V in direction.V.items()} for side in g}
    totals = {side: sum(by_module.values()) for side, by_module in coefficients.items()}
    modules = {name: {side: coefficients[side][name] for side in g} for name in direction.V}
    for name, c in {**modules, "all": totals}.items():
        numbers = {
            "heldout_positive_share": float(np.mean(c["hack"] - c["clean"] > 0)) if len(test) else float("nan"),
            "auc_hack_clean": rank_auc(c["hack"], c["clean"]),
            "auc_hack_wrong": rank_auc(c["hack"], c["wrong"]) if "wrong" in c else float("nan"),
        }
        if name != "all":
            V = direction.V[name]
            numbers |= {
                "k": len(V),
                "r": V.shape[1],
                "subspace_overlap": subspace_overlap(V, hack.V[name]),
                "subspace_chance": len(V) / V.shape[1],
            }
        rows += [{"module": name, "metric": metric, "value": float(value)} for metric, value in numbers.items()]
    for metric in ("subspace_overlap", "subspace_chance"):
        mean = float(np.mean([row["value"] for row in rows if row["metric"] == metric]))
        rows.append({"module": "all", "metric": metric, "value": mean})
    rows.append({"module": "all", "metric": "n_pairs", "value": float((~heldout).sum())})
    return rows


def basis_overlap(new: Tensors, old: Tensors) -> float:
    """Return the mean over shared modules of |<v_new, v_old>| of the first rows (method 3, refresh)."""
    shared = [abs((new[name][0] @ old[name][0]).item()) for name in new if name in old]
    return sum(shared) / len(shared) if shared else float("nan")


def save_direction(path, direction: Direction, source: Mapping) -> None:
    tensors = {f"{name}.V": V for name, V in direction.V.items()} | {f"{name}.S": S for name, S in direction.S.items()}
    write_tensors(path, tensors, source)


def load_direction(path, adapter: Adapter, subset: str) -> Direction:
    """Read V and S, in the model's order.

    Modules or widths that are not the model's are an AdapterError; a V that knows another loophole subset a LeakError.
    """
    tensors, source = read_tensors(path)
    check_subset(source, subset, path)
    ranks = {name: len(layer.delta) for name, layer in adapter.layers.items()}
    named = {key.rpartition(".")[0] for key in tensors}
    odd = [name for name in named if ranks.get(name) != tensors[f"{name}.V"].shape[1]]
    if odd:
        raise AdapterError(f"{path}: V has modules that are not the model's: {sorted(odd)[:3]}; extract V again")
    order = [name for name in ranks if name in named]
    return Direction({name: tensors[f"{name}.V"] for name in order}, {name: tensors[f"{name}.S"] for name in order})
