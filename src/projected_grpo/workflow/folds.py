"""Folds: the arms, directions and signals that hold a mode out. Like arms.py, no stage imports it.

Table 2 has every fold in every replicate. Table 3, which has more arms, holds one mode out of each replicate, in turn.
"""

from collections.abc import Iterable, Mapping

from projected_grpo.workflow.arms import baseline, replicates_of, without_keys
from projected_grpo.workflow.claims import table_arms


def held_out_mode(config: Mapping, replicate: int) -> str:
    """Return the mode that table 3 holds out in a replicate: each in turn."""
    return config["modes"][(replicate - 1) % len(config["modes"])]


def with_folds(config: Mapping) -> dict:
    """Return the config with the arms, directions and signals of the folds of tables 2 and 3 added:
    `{name}_without_{mode}`.

    A fold's V, signals and teacher pool know all modes but one. An arm without a teacher that has nothing of these is
    the same in every fold and is not repeated.
    """
    arms, directions, signals = (dict(config[section]) for section in ("arms", "directions", "signals"))
    for name, mode in _members(config):
        if fold_arm(config, name, mode) == name:
            continue
        spec = config["arms"][name]
        changed = {key: fold_arm(config, spec[key], mode) for key in ("twin_of", "start") if key in spec}
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


def _members(config: Mapping) -> list[tuple[str, str]]:
    """Return (arm, held-out mode) of every fold of tables 2 and 3."""
    turns = [held_out_mode(config, n) for n in replicates_of(config, "table3")]
    wanted = {"table2": config["modes"], "table3": turns}
    pairs = [
        (name, mode) for table, modes in wanted.items() for mode in modes for name in config["tables"].get(table, ())
    ]
    return list(dict.fromkeys(pairs))


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
    untouched = told_all and not projects and not spec.get("warmstart") and not spec.get("start")
    return name if untouched and not spec.get("mix") else f"{name}_without_{mode}"


def folds(config: Mapping) -> dict[str, dict[str, dict]]:
    """Return {held-out mode: {arm of table 2: what the table needs to know of it, and its `runs` in this fold}}.

    The config is the one without the folds' own arms.
    """
    arms, numbers = table_arms(config, "table2"), replicates_of(config, "table2")
    return {
        mode: {
            name: {**known, "runs": dict.fromkeys(numbers, fold_arm(config, name, mode))}
            for name, known in arms.items()
        }
        for mode in config["modes"]
    }


def in_turn(config: Mapping) -> dict[str, dict]:
    """Return {arm of table 3: what the table needs to know of it, and its `runs`}, each replicate's without the mode
    that it holds out. The config is the one without the folds' own arms."""
    numbers = replicates_of(config, "table3")
    return {
        name: {**known, "runs": {n: fold_arm(config, name, held_out_mode(config, n)) for n in numbers}}
        for name, known in table_arms(config, "table3").items()
    }


def grid(config: Mapping, tables: Iterable[str] | None = None) -> dict[str, list[int]]:
    """Return {run: its replicates} of all that some tables read, or all; those of folds by their own names.

    The config is the one without the folds' own arms.
    """
    found: dict[str, list[int]] = {}
    for table in config["tables"] if tables is None else tables:
        for runs in _runs(config, table):
            for n, run in runs.items():
                known = found.setdefault(run, [])
                known += [] if n in known else [n]
    return found


def _runs(config: Mapping, table: str) -> list[Mapping[int, str]]:
    """Return {replicate: run} of every arm of a table, in every fold."""
    if table == "table2":
        return [spec["runs"] for arms in folds(config).values() for spec in arms.values()]
    if table == "table3":
        return [spec["runs"] for spec in in_turn(config).values()]
    return [dict.fromkeys(replicates_of(config, table), arm) for arm in config["tables"][table]]


def hack_directions(config: Mapping) -> list[str]:
    """Return the hack directions that an arm of a table, in a fold or not, uses or measures.

    The config is the one with the folds' own arms.
    """
    used = {config["arms"][name].get("direction") for name in in_tables(config)}
    return [name for name, spec in config["directions"].items() if spec["kind"] == "hack" and name in used]


def in_tables(config: Mapping) -> list[str]:
    """Return the arms of all tables, under the names of their folds in tables 2 and 3."""
    plain = [name for table, names in config["tables"].items() if table not in ("table2", "table3") for name in names]
    return list(dict.fromkeys([*plain, *(fold_arm(config, *member) for member in _members(config))]))
