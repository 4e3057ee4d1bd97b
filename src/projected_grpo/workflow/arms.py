"""The grid of arms: what the rules read from a checked config.

Like config.py it imports nothing heavy, and no stage imports it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields

from projected_grpo.method.settings import KNOWS, Arm, Intervention

COMPARED = ("baseline", "slow")  # what an arm is held against: it trains the same without them
UNUSED = ("slow", "measures", "twin")  # of an arm, which its training does not use: they set no arm apart
# what an arm is where the config says nothing
_SETTINGS = [field for part in (Arm, Intervention) for field in fields(part) if field.default is not MISSING]
ARM = {"intervention": "none"} | {
    field.name: field.default for field in _SETTINGS if field.name not in ("kind", *UNUSED)
}
# what a direction is where the config says nothing
DIRECTION = {
    "subset": "all",
    "body": "natural",
    "k": 16,
    "kind": "hack",
    "min_votes": 0.0,
    "normalisation": "fixed",
    "tau_axis": 0.001,
}


def ceiling(config: Mapping, table: str) -> str | None:
    """Return the arm of a table that trains without loopholes, the honest ceiling of its number of steps."""
    return next((name for name in config["tables"].get(table, ()) if is_honest(config, name)), None)


def is_honest(config: Mapping, name: str) -> bool:
    """Whether an arm is trained without loopholes."""
    return not config["arms"][name].get("loopholes", True)


def is_base(config: Mapping, name: str) -> bool:
    """Whether an arm is the base model: it is trained for 0 steps."""
    return steps_of(config, name) == 0


def kind_of(config: Mapping, arm: str) -> str | None:
    """Return the kind of the direction that an arm uses or measures."""
    name = config["arms"][arm].get("direction")
    return config["directions"][name]["kind"] if name else None


def knows(config: Mapping, name: str) -> str:
    """Return what an arm knows of hacking, besides the reward and its teacher pool: 0 nothing, M the weak detector's
    flags, P the pairs, T a prompt's text, O the true verdict; several joined by +."""
    spec = config["arms"][name]
    if "twin_of" in spec:
        return "0"
    found = []
    if "signal" in spec:
        found.append(KNOWS.get(config["signals"][spec["signal"]]["kind"], "P"))
    projects = spec.get("intervention", "none") != "none" and kind_of(config, name) != "random"
    if projects or spec.get("warmstart"):
        found.append("P")
    if any(spec.get(key, "ordinary") != "ordinary" for key in ("sample_prompt", "update_prompt")):
        found.append("T")
    return "+".join(dict.fromkeys(found)) or "0"


def replicates_of(config: Mapping, table: str) -> list[int]:
    """Return the replicates of a table."""
    return config["table_replicates"].get(table, config["replicates"])


def seeds_of(config: Mapping, replicate: int | str) -> dict[str, int]:
    """Return a replicate's seeds: of the base model, of the order of prompts, and of everything else that is drawn.

    Each is the replicate's number, unless config.crossed says otherwise.
    """
    own = dict.fromkeys(("model_seed", "data_seed", "seed"), int(replicate))
    crossed = {str(number): seeds for number, seeds in config["crossed"].items()}
    return own | crossed.get(str(replicate), {})


def model_spec(config: Mapping, replicate: int | str) -> dict:
    """Return what the base model of a replicate depends on."""
    model = config["model"]
    fetched, run = ("id", "revision", "dtype"), ("device", "attention")
    if model["kind"] != "organism":
        return {key: model[key] for key in ("kind", *fetched)}
    own = {key: value for key, value in model.items() if key not in fetched + run}
    return own | {"seed": seeds_of(config, replicate)["model_seed"]}


def train_settings(config: Mapping, arm: str) -> dict:
    """Return config.train with what the arm sets for itself: it may set any of its keys."""
    spec = config["arms"][arm]
    return {key: spec.get(key, value) for key, value in config["train"].items()}


def steps_of(config: Mapping, arm: str) -> int:
    """Return the number of optimizer steps an arm is trained for."""
    return train_settings(config, arm)["steps"]


def first_trained(config: Mapping, table: str) -> str | None:
    """Return the first arm of a table that is trained: the base model as an arm is not."""
    return next((name for name in config["tables"][table] if steps_of(config, name)), None)


def direction_spec(config: Mapping, name: str) -> dict:
    """Return the full settings of a direction, defaults included: a control takes those of the one it is matched to."""
    spec = config["directions"][name]
    like = direction_spec(config, spec["like"]) if "like" in spec else spec
    return {**DIRECTION, **like, "kind": spec["kind"]}


def signal_spec(config: Mapping, name: str) -> dict:
    """Return the full settings of a signal: `overlap` is of a direction, and has its pairs."""
    spec = config["signals"][name]
    own = {"subset": "all", "body": "natural", "pairs": config["pairs"]["n"], "fpr": 0.05} | {
        "accuracy": 1.0,
        "share": 1.0,
    }
    own |= spec
    if "direction" not in spec:
        return own
    direction = direction_spec(config, spec["direction"])
    return own | {key: direction[key] for key in ("subset", "body")}


def signal_of(config: Mapping, arm: str) -> dict | None:
    """Return the settings of an arm's signal."""
    name = config["arms"][arm].get("signal")
    return signal_spec(config, name) if name else None


def is_fitted(config: Mapping, signal: str) -> bool:
    """Whether a signal is made from pairs, before training: one that is told its bit is not."""
    return config["signals"][signal]["kind"] not in KNOWS


def direction_of(config: Mapping, arm: str) -> dict | None:
    """Return the settings of the direction that an arm uses or measures."""
    name = config["arms"][arm].get("direction")
    return direction_spec(config, name) if name else None


def used_directions(config: Mapping, arm: str) -> list[str]:
    """Return the names of all directions that an arm uses or measures."""
    spec = config["arms"][arm]
    return [name for name in (spec.get("direction"), *spec.get("measures", ())) if name]


def subset_of(config: Mapping, arm: str) -> str:
    """Return the loophole subset that an arm's V, signal and teacher pool know."""
    known = direction_of(config, arm) or signal_of(config, arm)
    return known["subset"] if known else "all"


def training_spec(config: Mapping, arm: str) -> dict:
    """Return what training depends on of an arm besides its train settings: not the arm that it is compared with."""
    return without_keys(config["arms"][arm], *COMPARED, *config["train"])


def whole_spec(config: Mapping, arm: str) -> dict:
    """Return all that sets an arm apart, flat and with its defaults: what it is trained with, and its baseline."""
    own = without_keys(config["arms"][arm], *UNUSED)
    return ARM | train_settings(config, arm) | own | {"baseline": baseline(config, arm)}


def without_keys(spec: Mapping, *keys: str) -> dict:
    return {key: value for key, value in spec.items() if key not in keys}


def baseline(config: Mapping, arm: str) -> str:
    return config["arms"][arm].get("baseline", "vanilla")
