"""From pairs to a direction on file (method 2): the pairs' gradients, V with its own test, and what V may know.

A pair's completions are put through the model once, hack, clean and wrong side by side. What a file says of the
loophole subset that its V knows is checked before V is used.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from projected_grpo.artifacts.io import read_tensors, write_tensors
from projected_grpo.method.adapter import Adapter, AdapterError
from projected_grpo.method.direction import (
    CONTRASTS,
    Direction,
    DirectionConfig,
    DirectionError,
    build,
    hack_direction,
    pair_differences,
    summarize,
)
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.teacher.weak_detector import check_subset

Tensors = dict[str, torch.Tensor]


def check_pairs(pairs: pd.DataFrame, config: DirectionConfig) -> None:
    """Raise a DirectionError that names the pair for an empty or equal side, and for fewer pairs than k."""
    for index, pair in enumerate(pairs.itertuples()):
        label = f"pair {index} (problem {pair.problem_id})"
        if not (len(pair.hack_ids) and len(pair.clean_ids)):
            raise DirectionError(f"{label}: a completion is empty")
        if config.kind == "nonhack" and not len(pair.wrong_ids):
            raise DirectionError(
                f"{label}: it has no wrong completion, which direction kind nonhack is made from; write one, or leave"
                " out the arms that use or measure such a direction"
            )
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
    temperature: float,
    token_budget: int,
    checkpointing: bool = False,
) -> dict[str, Tensors]:
    """Return {contrast: {module: (n_pairs, r)}} for the hack, clean and wrong completions of every pair.

    Of the policy that samples at `temperature`, as in the live loss: V is extracted under the metric it is applied in.
    Where a pair has no wrong completion, as authored ones need not, there is no such contrast.
    """
    sides = [side for side in CONTRASTS if pairs[f"{side}_ids"].map(len).all()]
    rows = [(list(p.prompt_ids), list(getattr(p, f"{side}_ids"))) for side in sides for p in pairs.itertuples()]
    n = len(pairs)

    def name(row: int) -> str:
        return f"pair {int(row) % n}"

    limits = token_budget, checkpointing, name
    gradients = completion_gradients(model, adapter, rows, normalisation, scale, temperature, *limits)
    return {side: {module: g[i * n : (i + 1) * n] for module, g in gradients.items()} for i, side in enumerate(sides)}


def extract(
    model,
    adapter: Adapter,
    pairs: pd.DataFrame,
    config: DirectionConfig,
    scale: float,
    temperature: float,
    token_budget: int,
    seed: int,
    checkpointing: bool = False,
) -> tuple[Direction, list[dict]]:
    """Return the direction of pairs at the model's current knobs, and the rows of its summary.parquet."""
    check_pairs(pairs, config)
    how = config.normalisation, scale, temperature, token_budget, checkpointing
    gradients = pair_gradients(model, adapter, pairs, *how)
    heldout = pairs["heldout"].to_numpy()
    direction = build(gradients, heldout, config, seed)
    hack = direction if config.kind == "hack" else hack_direction(gradients, heldout, config)
    D = pair_differences(gradients, heldout, config.kind, seed)
    return direction, summarize(direction, hack, D, gradients, heldout)


def save_direction(path: str | Path, direction: Direction, source: Mapping) -> None:
    """Write `{module}.V` (k, r) and `{module}.S` (k,) with their provenance."""
    tensors = {f"{name}.V": V for name, V in direction.V.items()} | {f"{name}.S": S for name, S in direction.S.items()}
    write_tensors(path, tensors, source)


def load_direction(path: str | Path, adapter: Adapter, subset: str) -> Direction:
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
