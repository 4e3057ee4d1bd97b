"""The grid of arms: what the rules read from a checked config, and the arms of table 2's folds.

Like config.py it imports nothing heavy, and no stage imports it.
"""

from collections.abc import Iterable, Mapping

from projected_grpo.method.settings import Arm, build_arm


def with_folds(config: Mapping) -> dict:
    """Return the config with the arms and directions of table 2's folds added: `{name}_without_{mode}`.

    A fold's V and teacher pool know all modes but one. An arm without a teacher that does not intervene, or has a
    random V, is the same in every fold and is not repeated.
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
            against = baseline(config, name)
            changed = {"direction": f"{used}_without_{mode}", "baseline": fold_arm(config, against, mode)}
            arms[f"{name}_without_{mode}"] = spec | changed
    return {**config, "arms": arms, "directions": directions}


def fold_arm(config: Mapping, name: str, mode: str) -> str:
    """Return what an arm is called in the fold that holds a mode out: its own name if the fold changes nothing."""
    spec = config["arms"][name]
    kind = config["directions"][spec["direction"]]["kind"] if spec.get("direction") else None
    whole = not spec.get("drop_bottom_frac")  # or the hack direction's noise floor chooses a random V's rows
    untouched = spec["intervention"] == "none" or (kind == "random" and whole)
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


def twin(config: Mapping, name: str) -> str | None:
    """Return the arm that differs from this one by a random V alone, which it has to beat; None if there is none.

    A threshold may differ: the overlaps of a random V are other ones.
    """

    def use(arm: str) -> tuple:
        spec = training_spec(config, arm)
        return {key: spec[key] for key in spec.keys() - {"direction", "threshold"}}, steps_of(config, arm)

    for other, rival in config["arms"].items():
        direction = config["directions"].get(rival.get("direction"), {})
        like_ours = direction.get("like") == config["arms"][name].get("direction")
        if direction.get("kind") == "random" and like_ours and use(other) == use(name):
            return other
    return None


def model_spec(config: Mapping) -> dict:
    """Return what the base model depends on."""
    model = config["model"]
    fetched, run = ("id", "revision", "dtype"), ("device", "attention")
    if model["kind"] != "organism":
        return {key: model[key] for key in ("kind", *fetched)}
    return {key: value for key, value in model.items() if key not in fetched + run}


def steps_of(config: Mapping, arm: str) -> int:
    """Return the number of optimizer steps an arm is trained for."""
    return config["arms"][arm].get("steps", config["train"]["steps"])


def second(config: Mapping) -> dict:
    """Return the config of the smaller experiment on the second base model, which lies in second/."""
    seeds = config["table_seeds"].get("second_base", config["seeds"])
    return {
        **config,
        "results": f"{config['results']}/second",
        "model": {**config["model"], **config["second_base"]},
        "seeds": seeds,
        "tables": {"table1": config["tables"].get("second_base", [])},
        "table_seeds": {},
    }


def canonical(section):
    """Return a config section with its keys in order, because Snakemake compares parameters as text."""
    if isinstance(section, Mapping):
        return {key: canonical(section[key]) for key in sorted(section)}
    return section


def direction_spec(config: Mapping, name: str) -> dict:
    """Return the full settings of a direction: a control takes those of the direction it is matched to."""
    spec = config["directions"][name]
    like = config["directions"][spec["like"]] if "like" in spec else spec
    return {"subset": "all", "k": 16, **like, "kind": spec["kind"]}


def direction_of(config: Mapping, arm: str) -> dict | None:
    """Return the settings of the direction that an arm uses or measures."""
    name = config["arms"][arm].get("direction")
    return direction_spec(config, name) if name else None


def subset_of(config: Mapping, arm: str) -> str:
    """Return the loophole subset that an arm's V and teacher pool know."""
    direction = direction_of(config, arm)
    return direction["subset"] if direction else "all"


def hack_directions(config: Mapping) -> list[str]:
    """Return the hack directions that an arm uses or measures."""
    used = {spec.get("direction") for spec in config["arms"].values()}
    return [name for name, spec in config["directions"].items() if spec["kind"] == "hack" and name in used]


def training_spec(config: Mapping, arm: str) -> dict:
    """Return what training depends on of an arm besides its steps: not the arm that it is compared with."""
    return {key: value for key, value in config["arms"][arm].items() if key not in ("baseline", "steps")}


def baseline(config: Mapping, arm: str) -> str:
    return config["arms"][arm].get("baseline", "vanilla")


def short_arms(config: Mapping) -> dict[str, str | None]:
    """Return {arm of the horizon: the arm that differs by its number of steps alone, or None}."""
    plain = [name for name, spec in config["arms"].items() if "steps" not in spec]
    specs = {name: training_spec(config, name) for name in plain}
    return {
        name: next((other for other in plain if other != name and specs[other] == training_spec(config, name)), None)
        for name in config["tables"].get("horizon", ())
    }


def short_table_arms(config: Mapping) -> dict[str, dict]:
    """Return what the horizon's page needs to know of the shorter arms."""
    arms = [name for name in short_arms(config).values() if name]
    return {name: table_arm(config, name, arms) for name in arms}


def table_arms(config: Mapping, table: str) -> dict[str, dict]:
    """Return what a table needs to know of each of its arms."""
    arms = config["tables"].get(table, ())
    return {name: table_arm(config, name, arms) for name in arms}


def table_arm(config: Mapping, name: str, arms: Iterable[str]) -> dict:
    """Return what a table of these arms needs to know of one: baseline, direction, last step, `null` and `twin`.

    `null` is the arm among them that measures the chance overlap: the twin, or else the first with a random V like this
    arm's, of as many rows, beside a teacher pool and a baseline like its own.
    """

    def use(arm: str) -> tuple:
        built: Arm = build_arm(arm, training_spec(config, arm))
        rows = built.k or direction_of(config, arm)["k"]
        return rows, built.drop_bottom_frac, built.mix, steps_of(config, arm), baseline(config, arm)

    direction = config["arms"][name].get("direction")

    def measures_chance(other: str) -> bool:
        rival = config["directions"].get(config["arms"][other].get("direction"), {})
        return rival.get("kind") == "random" and rival["like"] == direction and use(other) == use(name)

    own = twin(config, name)
    null = own if own in arms else next((other for other in arms if direction and measures_chance(other)), None)
    return {
        "baseline": baseline(config, name),
        "direction": direction,
        "last": steps_of(config, name),
        "null": null,
        "twin": own,
        "tested": _tested(config, name),
        "mix": config["arms"][name].get("mix", 0.0),
        "project": config["arms"][name].get("project", "gradient"),
    }


def _tested(config: Mapping, name: str) -> bool:
    """Whether an arm is an intervention with a hack direction, rather than a baseline or a control."""
    spec = config["arms"][name]
    kind = config["directions"][spec["direction"]]["kind"] if spec.get("direction") else None
    return spec["intervention"] in ("erase", "route", "route_rollout") and kind == "hack"
