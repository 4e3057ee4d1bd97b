"""From pairs to a signal on file (method 2b): its fit, its threshold, its twin, and its test on held-out pairs.

1. A signal is fitted to the pairs that V is built from; the held-out ones choose the probe's layer and the threshold,
   and test: so the test flatters both a little.
2. A twin is fitted to labels that are shuffled WITHIN each side: as many hacks as others are called hacks. Plainly
   permuted labels would keep, by chance, a good part of the axis between the sides, or of its opposite.
3. Only this module needs scikit-learn: what it saves is a linear map.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from projected_grpo.artifacts.io import read_tensors, write_tensors
from projected_grpo.auc import rank_auc
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.direction import CONTRASTS
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.signals import (
    Seen,
    Signal,
    SignalError,
    Tensors,
    depths,
    flag_above,
    mean_states,
    projections,
    score,
    sketch,
)
from projected_grpo.rng import numpy_generator, random_rows, torch_generator
from projected_grpo.teacher.weak_detector import check_subset, detect

Fitted = tuple[Signal, Signal]  # a signal and its twin


def first_built(pairs: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return the held-out pairs, and the first n of those that signals and V are made of."""
    return pairs[pairs["heldout"] | ((~pairs["heldout"]).cumsum() <= n)]


def examples(
    model,
    adapter: Adapter,
    tokenizer,
    pairs: pd.DataFrame,
    temperature: float,
    token_budget: int,
    seed: int,
    checkpointing: bool = False,
) -> tuple[Seen, np.ndarray, np.ndarray]:
    """Return the pairs' completions under the model at its current knobs, the side of each (one of CONTRASTS) and
    whether its pair is held out. A side that not every pair has, as authored ones need not, is left out."""
    present = [side for side in CONTRASTS if pairs[f"{side}_ids"].map(len).all()]
    rows = [(list(p.prompt_ids), list(getattr(p, f"{side}_ids"))) for side in present for p in pairs.itertuples()]
    depth = model.config.num_hidden_layers
    states = cache(lambda: mean_states(model, rows, range(depth), token_budget))
    limits = temperature, token_budget, checkpointing
    seen = Seen(
        rows,
        [tokenizer.decode(ids, skip_special_tokens=True) for _, ids in rows],
        torch.zeros(len(rows), dtype=torch.long),
        depth,
        lambda layers: states()[:, list(layers)],
        cache(lambda: completion_gradients(model, adapter, rows, "fixed", 1.0, *limits)),
        torch_generator(seed, 0, "signal"),
    )
    return seen, np.repeat(present, len(pairs)), np.tile(pairs["heldout"].to_numpy(bool), len(present))


def fit(kind: str, seen: Seen, sides: np.ndarray, heldout: np.ndarray, V: Tensors, fpr: float, seed: int) -> Fitted:
    """Return a signal of a kind and its twin; `V` (k, r) by module is what `overlap` is of.

    A module:function of one's own is fitted to nothing, and its twin permutes its scores.
    """
    if not heldout.any():
        raise SignalError("no pair is held out, which a signal's threshold comes from: raise pairs.heldout")
    rng = numpy_generator(seed, 0, f"twin of {kind}")
    shuffled = np.where(heldout, sides, shuffle(sides, ~heldout, rng))
    if kind == "overlap":
        generator = torch_generator(seed, 0, "twin of overlap")
        weights = {f"{name}.V": rows for name, rows in V.items()}
        other = {f"{name}.V": random_rows(*rows.shape, generator) for name, rows in V.items()}
    elif kind == "probe":
        weights = fit_probe(seen, sides, heldout)
        other = fit_probe(seen, shuffled, heldout, weights["layers"])
    elif kind == "activation":
        weights, other = (fit_activation(seen, labels, heldout) for labels in (sides, shuffled))
    elif kind == "fingerprint":
        weights, other = (fit_fingerprint(seen, labels, heldout) for labels in (sides, shuffled))
    else:
        weights, other = {}, {}
    plain = Signal(kind, weights, 0.0)
    threshold = 0.0 if kind == "activation" else quantile(score(plain, seen), sides, heldout, fpr)
    return Signal(kind, weights, threshold), Signal(kind, other, twin=True)


def shuffle(sides: np.ndarray, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels that say nothing: of the completions `among` them, each side's get all sides in equal shares."""
    labels = sides.copy()
    names = np.unique(sides)
    for side in names:
        rows = np.flatnonzero((sides == side) & among)
        labels[rows] = rng.permutation(np.resize(names, len(rows)))
    return labels


def quantile(scores: torch.Tensor, sides: np.ndarray, heldout: np.ndarray, fpr: float) -> float:
    """Return the score that a share fpr of the held-out clean and wrong completions exceeds."""
    return torch.quantile(scores[torch.as_tensor(heldout & (sides != "hack"))], 1 - fpr).item()


def fit_probe(seen: Seen, sides: np.ndarray, heldout: np.ndarray, layer: torch.Tensor | None = None) -> Tensors:
    """Return the logistic regression (L2, C = 1, balanced classes, standardised features) of hack against clean and
    wrong: `w` (1, hidden) and `bias` (1,) for plain features, and its `layers` (1,).

    Without a given layer it is the one of the best AUC on the held-out pairs, where hack against wrong counts as much
    as hack against clean; of equal ones the deepest.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    layers = range(seen.layers) if layer is None else [int(layer)]
    best: tuple[float, int, Tensors] = (-1.0, -1, {})
    for number, states in zip(layers, seen.states(layers).unbind(1), strict=True):
        x = states.double().numpy()
        scaler = StandardScaler().fit(x[~heldout])
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=5000)
        model.fit(scaler.transform(x[~heldout]), sides[~heldout] == "hack")
        w = model.coef_ / scaler.scale_
        bias = model.intercept_ - w @ scaler.mean_
        aucs = aucs_of(x @ w[0] + bias, sides, heldout).values()
        weights = {
            name: torch.tensor(value).float() for name, value in (("w", w), ("bias", bias), ("layers", [number]))
        }
        best = max(best, (float(np.nanmean(list(aucs))), number, weights), key=lambda found: found[:2])
    return best[2]


def fit_activation(seen: Seen, sides: np.ndarray, heldout: np.ndarray) -> Tensors:
    """Return `w` (layers, hidden), the mean state of the hacks minus that of the clean ones at 60 to 75% of the depth,
    the `layers`, and `spread` (1,), the deviation of all completions along it."""
    layers = depths(seen.layers)
    states, built = seen.states(layers), ~heldout
    hack, clean = (states[torch.as_tensor(built & (sides == side))].mean(0) for side in ("hack", "clean"))
    weights = {"w": hack - clean, "layers": torch.tensor(layers).float()}
    spread = projections(seen, weights)[torch.as_tensor(built)].std(correction=0)
    return weights | {"spread": spread.float()[None]}


def fit_fingerprint(seen: Seen, sides: np.ndarray, heldout: np.ndarray) -> Tensors:
    """Return the mean fingerprints `hack` and `clean`, (SKETCH,) each."""
    found, built = sketch(seen.gradients()), ~heldout
    return {side: found[torch.as_tensor(built & (sides == side))].mean(0) for side in ("hack", "clean")}


def aucs_of(scores: np.ndarray, sides: np.ndarray, heldout: np.ndarray) -> dict[str, float]:
    """Return the AUC of held-out hacks against clean and against wrong completions; nan where there are none."""
    hack, clean, wrong = (scores[heldout & (sides == side)] for side in CONTRASTS)
    return {"auc_hack_clean": rank_auc(hack, clean), "auc_hack_wrong": rank_auc(hack, wrong)}


def summarize(fitted: Fitted, seen: Seen, sides: np.ndarray, heldout: np.ndarray) -> list[dict]:
    """Return the rows of summary.parquet: the test on held-out pairs of the signal, and the AUC of its twin, whose
    threshold follows the signal in training."""
    numbers = {}
    for who, signal in zip(("signal", "twin"), fitted, strict=True):
        scores = score(signal, seen)
        numbers |= {(who, name): value for name, value in aucs_of(scores.numpy(), sides, heldout).items()}
    signal = fitted[0]
    flags = flag_above(score(signal, seen), signal.threshold).numpy()[heldout]
    hack = sides[heldout] == "hack"
    numbers |= {
        ("signal", "recall"): flags[hack].mean(),
        ("signal", "false_positives"): flags[~hack].mean(),
        ("signal", "threshold"): signal.threshold,
        ("signal", "layer"): signal.weights["layers"].mean().item() if "layers" in signal.weights else float("nan"),
        ("signal", "n_built"): float((~heldout).sum()),
        ("signal", "n_heldout"): float(heldout.sum()),
    }
    return [{"of": who, "metric": name, "value": float(value)} for (who, name), value in numbers.items()]


def save_signal(path: str | Path, fitted: Fitted, source: Mapping) -> None:
    """Write `signal.*` and `twin.*`, what was fitted, and `threshold` (1,) with their provenance."""
    tensors = {
        f"{who}.{name}": t
        for who, own in zip(("signal", "twin"), fitted, strict=True)
        for name, t in own.weights.items()
    }
    write_tensors(path, tensors | {"threshold": torch.tensor([fitted[0].threshold], dtype=torch.float32)}, source)


def in_use(
    spec: Mapping | None, path: str | Path | None, twin: bool, known: Collection[str]
) -> tuple[Signal | None, Callable[[Rollout], bool] | None]:
    """Return an arm's signal, or its twin, and the bit that one of kind detector or truth is told of a rollout; None
    for an arm without a signal.

    A LeakError for a file of a signal that knows another subset of the loopholes.
    """
    if spec is None:
        return None, None
    told = {
        "detector": lambda row: detect(row.verdict, row.problem.mode, known),
        "truth": lambda row: row.verdict.exploited,
    }
    if spec["kind"] in told:
        signal = Signal(spec["kind"], accuracy=spec["accuracy"], share=spec["share"], twin=twin)
        return signal, told[spec["kind"]]
    tensors, source = read_tensors(path)
    check_subset(source, spec["subset"], path, "signal")
    who = "twin." if twin else "signal."
    weights = {name.removeprefix(who): t for name, t in tensors.items() if name.startswith(who)}
    return Signal(spec["kind"], weights, tensors["threshold"].item(), twin=twin), None
