"""The direction V (method 2): from pair gradients to hack directions per module, and the controls matched to them.

1. g is the gradient of a completion's NLL (prompt tokens masked) with respect to the knobs, one per completion and
   module; here they are given, as {contrast: {module: (n_pairs, r)}}.
2. D_i = g(hack) - g(clean); V = top-k right singular vectors of the stacked D, each row flipped unless at least half
   of the pairs have D v > 0. So c = V g > 0 means: descending g makes hacks more likely. D is not centred: V is the top
   of the differences' second moment, in which their mean has a small share (`mean_share`).
3. Every control has hack's modules, hack's k per module, hack's number of pairs, and carries hack's singular values,
   so that the noise floor drops the same rows of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from projected_grpo.auc import rank_auc
from projected_grpo.errors import UserError
from projected_grpo.rng import numpy_generator, random_rows, torch_generator

Tensors = dict[str, torch.Tensor]
KINDS = ("hack", "random", "shuffled", "nonhack", "flipped", "clean")
CONTRASTS = ("hack", "clean", "wrong")


class DirectionError(UserError, ValueError):
    """Pairs from which no direction can be made, or a direction that does not fit the model."""


@dataclass(frozen=True)
class DirectionConfig:
    """kind: one of KINDS, `clean` being what `trusted` projects onto; normalisation: fixed | mean (per completion
    token); min_votes: share of the held-out pairs that have to have D v > 0 for a row to be kept."""

    kind: str = "hack"
    k: int = 16
    normalisation: str = "fixed"
    tau_axis: float = 0.001
    min_votes: float = 0.0


@dataclass(frozen=True)
class Direction:
    """V (k, r) with orthonormal rows and the singular values S (k,) of the hack direction, by module."""

    V: Tensors
    S: Tensors


def build_config(spec: Mapping) -> DirectionConfig:
    """Return the settings of a config's direction; its `subset` and `body` have already chosen the pairs."""
    return DirectionConfig(**{key: value for key, value in spec.items() if key not in ("subset", "body")})


def top_directions(D: torch.Tensor, k: int, tau_axis: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (V (k', r), S (k',)) of stacked differences D (n, r): oriented by majority, a tie keeps the sign."""
    _, S, Vh = torch.linalg.svd(D, full_matrices=False)
    V, S = Vh[:k], S[:k]
    votes = votes_for(V, D)
    V = torch.where((votes < 0.5)[:, None], -V, V)
    kept = (S > 0) & (tau_axis * S[0] <= S)
    return V[kept].contiguous(), S[kept].contiguous()


def votes_for(V: torch.Tensor, D: torch.Tensor) -> torch.Tensor:
    """Return for every row of V (k, r) the share of the differences D (n, r) with D v > 0, (k,)."""
    return ((D @ V.T) > 0).double().mean(0)


def hack_direction(g: dict[str, Tensors], heldout: np.ndarray, config: DirectionConfig) -> Direction:
    """Return the hack direction of the pairs that are not held out; a module without any difference has none.

    With `min_votes` the held-out pairs choose among its rows (method 2), and a module with none left has none. Where
    that leaves no module, a DirectionError.
    """
    differences = _hack_differences(g, _built(heldout))
    found = {name: top_directions(D, config.k, config.tau_axis) for name, D in differences.items()}
    if config.min_votes:
        test = _hack_differences(g, torch.as_tensor(np.flatnonzero(heldout)))
        kept = {name: votes_for(V, test[name]) >= config.min_votes for name, (V, _) in found.items()}
        found = {name: (V[kept[name]], S[kept[name]]) for name, (V, S) in found.items()}
    found = {name: (V, S) for name, (V, S) in found.items() if len(V)}
    if not found:
        raise DirectionError(f"no row of V is kept at min_votes {config.min_votes}: lower it, or use more pairs")
    return Direction({name: V for name, (V, _) in found.items()}, {name: S for name, (_, S) in found.items()})


def build(g: dict[str, Tensors], heldout: np.ndarray, config: DirectionConfig, seed: int) -> Direction:
    """Return the direction of config.kind from gradients by contrast; `seed` draws the random kinds."""
    hack = hack_direction(g, heldout, config)
    if config.kind == "hack":
        return hack
    if config.kind == "random":
        generator = torch_generator(seed, 0, "random direction")
        return Direction({name: random_rows(*V.shape, generator) for name, V in hack.V.items()}, hack.S)
    D = _control_differences(g, _built(heldout), config.kind, seed)
    return Direction({name: top_directions(D[name], len(V))[0] for name, V in hack.V.items()}, hack.S)


def pair_differences(g: dict[str, Tensors], heldout: np.ndarray, kind: str, seed: int) -> Tensors:
    """Return the stacked differences D (n, r) by module that a direction is the top of; a random one is of none."""
    if kind == "random":
        return {}
    built = _built(heldout)
    return _hack_differences(g, built) if kind == "hack" else _control_differences(g, built, kind, seed)


def mean_share(D: Sequence[torch.Tensor]) -> float:
    """Return which share of the squared differences (n, r), summed over pairs and modules, their mean explains.

    That is n ||mean D||^2 / sum ||D_i||^2: 1 where all pairs are alike, 1 / n on average where they have nothing in
    common, nan without any difference (method 2).
    """
    of_mean = sum(len(one) * one.mean(0).square().sum().item() for one in D)
    of_all = sum(one.square().sum().item() for one in D)
    return of_mean / of_all if of_all else float("nan")


def _built(heldout: np.ndarray) -> torch.Tensor:
    """Return the numbers of the pairs that V is built from."""
    return torch.as_tensor(np.flatnonzero(~heldout))


def _hack_differences(g: dict[str, Tensors], built: torch.Tensor) -> Tensors:
    return {name: g["hack"][name][built] - g["clean"][name][built] for name in g["hack"]}


def _control_differences(g: dict[str, Tensors], built: torch.Tensor, kind: str, seed: int) -> Tensors:
    if kind == "shuffled":
        return _within_class(g, built, seed)
    if kind == "nonhack":
        return {name: g["wrong"][name][built] - g["clean"][name][built] for name in g["hack"]}
    if kind == "clean":
        return {name: g["clean"][name][built] for name in g["hack"]}
    if kind == "flipped":
        coins = torch.rand(len(built), 1, generator=torch_generator(seed, 0, "flipped pairs")) < 0.5
        return {name: torch.where(coins, -D, D) for name, D in _hack_differences(g, built).items()}
    raise DirectionError(f"unknown direction kind {kind!r}: one of {', '.join(KINDS)}")


def _within_class(g: dict[str, Tensors], built: torch.Tensor, seed: int) -> Tensors:
    """Return n differences within class: half hack against hack, half clean against clean.

    Pairs are disjoint; of an odd class one completion serves twice, never against itself.
    """
    rng = numpy_generator(seed, 0, "shuffled pairs")
    n = len(built)
    first, second = {}, {}
    for side, count in (("hack", n // 2), ("clean", n - n // 2)):
        order = built[torch.as_tensor(rng.permutation(n))]
        first[side] = order[:count]
        second[side] = order[(torch.arange(count) + count) % n]
    return {
        name: torch.cat([g[side][name][first[side]] - g[side][name][second[side]] for side in first])
        for name in g["hack"]
    }


def usable(direction: Direction, k: int | None = None, drop_bottom_frac: float = 0.0) -> Tensors:
    """Return V by module as an arm uses it: the first k rows (None: all), less those under the pooled noise floor.

    Rows whose singular value lies under the `drop_bottom_frac` quantile over all modules are dropped; a module with no
    row left is absent and stays unprojected (method 2).
    """
    S = {name: s[:k] for name, s in direction.S.items()}
    floor = torch.quantile(torch.cat(list(S.values())), drop_bottom_frac)
    kept = {name: direction.V[name][: len(s)][s >= floor] for name, s in S.items()}
    return {name: V for name, V in kept.items() if len(V)}


def subspace_overlap(V: torch.Tensor, reference: torch.Tensor) -> float:
    """Return ||V reference^T||_F^2 / k, 1 for the same span; its chance value is k / r."""
    return ((V @ reference.T).square().sum() / len(V)).item()


def summarize(
    direction: Direction, hack: Direction, D: Tensors, g: dict[str, Tensors], heldout: np.ndarray
) -> list[dict]:
    """Return the rows of summary.parquet: V's own test on held-out pairs, its overlap with `hack` beside chance, and
    the share of the mean in the differences D that it is the top of."""
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
            "mean_share": mean_share([one for module, one in D.items() if name in (module, "all")]),
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
    counts = {
        "n_pairs": (~heldout).sum(),
        "rows": sum(len(V) for V in direction.V.values()),
        "modules": len(direction.V),
        "modules_without": len(g["hack"]) - len(direction.V),
    }
    rows += [{"module": "all", "metric": metric, "value": float(value)} for metric, value in counts.items()]
    return rows


def basis_overlap(new: Tensors, old: Tensors) -> float:
    """Return the mean over shared modules of |<v_new, v_old>| of the first rows (method 3b, refresh)."""
    shared = [abs((new[name][0] @ old[name][0]).item()) for name in new if name in old]
    return sum(shared) / len(shared) if shared else float("nan")
