"""Table 2's folds: the arms and directions that hold a mode out. Like arms.py, no stage imports it."""

from collections.abc import Mapping
from itertools import chain

from projected_grpo.workflow.arms import baseline, table_arms, without_keys


def with_folds(config: Mapping) -> dict:
    """Return the config with the arms and directions of table 2's folds added: `{name}_without_{mode}`.

    A fold's V and teacher pool know all modes but one. An arm without a teacher that does not intervene, or has a
    random V, is the same in every fold and is not repeated, unless it follows an arm that is repeated.
    """
    arms, directions = dict(config["arms"]), dict(config["directions"])
    for mode in config["modes"]:
        for name in config["tables"].get("table2", ()):
            spec = config["arms"][name]
            if fold_arm(config, name, mode) == name:
                continue
            used = spec["direction"]
            for part in (config["directions"][used].get("like", used), used):
                own = dict(config["directions"][part])
                changed = {"like": f"{own['like']}_without_{mode}"} if "like" in own else {"subset": f"without_{mode}"}
                directions[f"{part}_without_{mode}"] = own | changed
            changed = {"direction": f"{used}_without_{mode}"}
            changed["baseline"] = fold_arm(config, baseline(config, name), mode)
            if "share_of" in spec:
                changed["share_of"] = fold_arm(config, spec["share_of"], mode)
            # What is measured beside the arm's own V is for table 1.
            arms[f"{name}_without_{mode}"] = without_keys(spec, "measures") | changed
    return {**config, "arms": arms, "directions": directions}


def fold_arm(config: Mapping, name: str, mode: str) -> str:
    """Return what an arm is called in the fold that holds a mode out: its own name if the fold changes nothing."""
    spec = config["arms"][name]
    kind = config["directions"][spec["direction"]]["kind"] if spec.get("direction") else None
    whole = not spec.get("drop_bottom_frac")  # or the hack direction's noise floor chooses a random V's rows
    other = spec.get("share_of")
    follows = other is not None and fold_arm(config, other, mode) != other
    untouched = spec["intervention"] == "none" or (kind == "random" and whole and not follows)
    return name if untouched and not spec.get("mix") else f"{name}_without_{mode}"


def folds(config: Mapping) -> dict[str, dict[str, dict]]:
    """Return {held-out mode: {arm of table 2: what the table needs to know of it, and its `run` in this fold}}.

    The config is the one without the folds' own arms.
    """
    arms = table_arms(config, "table2")
    return {
        mode: {name: {**known, "run": fold_arm(config, name, mode)} for name, known in arms.items()}
        for mode in config["modes"]
    }


def hack_directions(config: Mapping) -> list[str]:
    """Return the hack directions that an arm of a table, in a fold or not, uses or measures."""
    arms = dict.fromkeys(chain.from_iterable(config["tables"].values()))
    in_folds = [fold_arm(config, name, mode) for name in config["tables"].get("table2", ()) for mode in config["modes"]]
    used = {config["arms"][name].get("direction") for name in (*arms, *in_folds)}
    return [name for name, spec in config["directions"].items() if spec["kind"] == "hack" and name in used]
