"""Table 2's folds: the arms and directions that hold a mode out. Like arms.py, no stage imports it."""

from collections.abc import Iterable, Mapping
from itertools import chain

from projected_grpo.workflow.arms import baseline, table_arms, without_keys


def with_folds(config: Mapping) -> dict:
    """Return the config with the arms, directions and signals of table 2's folds added: `{name}_without_{mode}`.

    A fold's V, signals and teacher pool know all modes but one. An arm without a teacher that has nothing of these is
    the same in every fold and is not repeated.
    """
    arms, directions, signals = (dict(config[section]) for section in ("arms", "directions", "signals"))
    for mode in config["modes"]:
        for name in config["tables"].get("table2", ()):
            if fold_arm(config, name, mode) == name:
                continue
            spec = config["arms"][name]
            changed = {key: fold_arm(config, spec[key], mode) for key in ("twin_of",) if key in spec}
            changed["baseline"] = fold_arm(config, baseline(config, name), mode)
            if "direction" in spec:
                directions |= _directions(config, spec["direction"], mode)
                changed["direction"] = f"{spec['direction']}_without_{mode}"
            if "signal" in spec:
                own = dict(config["signals"][spec["signal"]])
                if "direction" in own:
                    directions |= _directions(config, own["direction"], mode)
                    own["direction"] += f"_without_{mode}"
                else:
                    own["subset"] = f"without_{mode}"
                changed["signal"] = f"{spec['signal']}_without_{mode}"
                signals[changed["signal"]] = own
            # What is measured beside the arm's own V is for table 1.
            arms[f"{name}_without_{mode}"] = without_keys(spec, "measures") | changed
    return {**config, "arms": arms, "directions": directions, "signals": signals}


def _directions(config: Mapping, name: str, mode: str) -> dict[str, dict]:
    """Return a direction and those that it is like, as the fold has them."""
    own = dict(config["directions"][name])
    if "like" not in own:
        return {f"{name}_without_{mode}": own | {"subset": f"without_{mode}"}}
    return _directions(config, own["like"], mode) | {
        f"{name}_without_{mode}": own | {"like": f"{own['like']}_without_{mode}"}
    }


def fold_arm(config: Mapping, name: str, mode: str) -> str:
    """Return what an arm is called in the fold that holds a mode out: its own name if the fold changes nothing."""
    spec = config["arms"][name]
    kind = config["directions"][spec["direction"]]["kind"] if spec.get("direction") else None
    whole = not spec.get("drop_bottom_frac")  # or the hack direction's noise floor chooses a random V's rows
    projects = spec.get("intervention", "none") != "none" and not (kind == "random" and whole)
    told_all = "signal" not in spec or config["signals"][spec["signal"]]["kind"] == "truth"
    untouched = told_all and not projects and not spec.get("warmstart")
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


def grid(config: Mapping, tables: Iterable[str] | None = None) -> dict[str, list[int]]:
    """Return {arm: its replicates} of every run that some tables read, or all; those of table 2's folds by their own
    names.

    The config is the one without the folds' own arms.
    """
    found: dict[str, list[int]] = {}
    in_folds = [spec["run"] for arms in folds(config).values() for spec in arms.values()]
    for table in config["tables"] if tables is None else tables:
        arms = config["tables"][table]
        replicates = config["table_replicates"].get(table, config["replicates"])
        for arm in in_folds if table == "table2" else arms:
            known = found.setdefault(arm, [])
            known += [n for n in replicates if n not in known]
    return found


def hack_directions(config: Mapping) -> list[str]:
    """Return the hack directions that an arm of a table, in a fold or not, uses or measures."""
    arms = dict.fromkeys(chain.from_iterable(config["tables"].values()))
    in_folds = [fold_arm(config, name, mode) for name in config["tables"].get("table2", ()) for mode in config["modes"]]
    used = {config["arms"][name].get("direction") for name in (*arms, *in_folds)}
    return [name for name, spec in config["directions"].items() if spec["kind"] == "hack" and name in used]
