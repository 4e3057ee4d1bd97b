"""What an arm is held against, and what tables need to know of it. Like config.py it imports nothing heavy."""

from collections.abc import Iterable, Mapping

from projected_grpo.workflow.arms import (
    baseline,
    direction_of,
    is_base,
    kind_of,
    knows,
    signal_of,
    steps_of,
    whole_spec,
    without_keys,
)

DOSES = ("strength", "alpha", "lr_scale", "temperature", "kl_coef", "gradreg", "warmstart", "fpr")


def twin(config: Mapping, name: str) -> str | None:
    """Return the arm that differs from this one by having no information, which it has to beat: the one derived from
    it, else the one with a random V; None if there is none."""
    found = controls(config, name, config["arms"])
    return next((arm for arm in found if _is_twin(config, name, arm)), None)


def _is_twin(config: Mapping, name: str, other: str) -> bool:
    return config["arms"][other].get("twin_of") == name or kind_of(config, other) == "random"


def controls(config: Mapping, name: str, arms: Iterable[str]) -> list[str]:
    """Return the arms among `arms` that differ from this one by having no information, or by their direction alone, a
    control of its own; the twin first."""

    def use(arm: str) -> dict:
        return without_keys(whole_spec(config, arm), "direction")

    own = config["arms"][name].get("direction")
    found = [other for other in arms if config["arms"][other].get("twin_of") == name]
    for other in arms:
        direction = config["directions"].get(config["arms"][other].get("direction"), {})
        if own and direction.get("like") == own and use(other) == use(name):
            found.append(other)
    return sorted(found, key=lambda arm: not _is_twin(config, name, arm))


def slow_controls(config: Mapping, name: str, arms: Iterable[str]) -> list[str]:
    """Return the arms among `arms` that only train more slowly or sample colder than this one's baseline does."""
    against = baseline(config, name)
    milder = ("lr_scale", "temperature")

    def use(arm: str) -> dict:
        return without_keys(whole_spec(config, arm), *milder)

    alike = [other for other in arms if use(other) == use(against)]
    return [other for other in alike if other != against and any(key in config["arms"][other] for key in milder)]


def slower(config: Mapping, name: str) -> list[str]:
    """Return the arms that differ from this one's baseline by lr_scale alone: what its key `slow` may name."""
    return [
        other for other in slow_controls(config, name, config["arms"]) if "temperature" not in config["arms"][other]
    ]


def is_stopped(config: Mapping, name: str) -> bool:
    """Whether method 7 (b) stops this arm's runs: a baseline, or a slow or cold control in its place.

    It follows from the arms and from no table, so that its evaluation is the same for all tables.
    """
    return name in _baselines(config) or name in slow_controls(config, name, [name])


def _baselines(config: Mapping) -> set[str]:
    return {baseline(config, name) for name in config["arms"] if not is_base(config, name)}


def evaluation_settings(config: Mapping, name: str) -> dict:
    """Return config.evaluation for one arm: `every` is that of runs which (b) stops, where it may stop this one's, and
    only what routes has a quarantine to scale."""
    own, spec = config["evaluation"], config["arms"][name]
    routes = "route" in (spec.get("intervention"), spec.get("action"))
    return without_keys(own, "stops_every") | {
        "every": own["stops_every" if is_stopped(config, name) else "every"],
        "quarantine_scales": own["quarantine_scales"] if routes else [],
    }


def without_quarantine(config: Mapping, name: str, arms: Iterable[str]) -> str | None:
    """Return the arm among `arms` that has this routing one's gate and no quarantine: what routing has to beat."""
    spec = config["arms"][name]
    routes = {"intervention": ("route", "erase"), "action": ("route", "drop")}
    changed = {key: other for key, (routed, other) in routes.items() if spec.get(key) == routed}

    def use(arm: str) -> dict:
        return without_keys(whole_spec(config, arm), "quarantine_rank", "ablated")

    return next((other for other in arms if changed and use(other) == use(name) | changed), None)


def claims(config: Mapping, table: str) -> dict[str, dict]:
    """Return what every intervention of a table is held against there: its controls, the slow ones, the arms that
    repeat it without a teacher pool, and the one with its gate and no quarantine."""
    arms = config["tables"].get(table, ())
    return {
        name: {
            "controls": controls(config, name, arms),
            "slow": slow_controls(config, name, arms),
            "alone": _alone(config, name, arms),
            "screen": without_quarantine(config, name, arms),
        }
        for name in arms
        if is_tested(config, name)
    }


def _alone(config: Mapping, name: str, arms: Iterable[str]) -> list[str]:
    def use(arm: str) -> dict:
        return without_keys(whole_spec(config, arm), "baseline")

    own = use(name)
    return [other for other in arms if own["mix"] and use(other) == own | {"mix": 0}]


def ablations(config: Mapping, table: str) -> dict[str, dict[str, str]]:
    """Return {arm: {"of": the arm that it is an ablation of, "factor": what is another one}} of a table.

    An ablation differs by one setting alone, defaults included, from the first intervention before it that it can; the
    kind of intervention is no such setting.
    """
    found: dict[str, dict[str, str]] = {}
    tested = [name for name in config["tables"].get(table, ()) if is_tested(config, name)]
    for place, name in enumerate(tested):
        for other in tested[:place]:
            one, rival = _settings(config, name), _settings(config, other)
            changed = [key for key in {**rival, **one} if one.get(key) != rival.get(key)]
            if len(changed) == 1 and changed != ["intervention"]:
                found[name] = {"of": other, "factor": f"{changed[0]}: {one.get(changed[0])}"}
                break
    return found


def _settings(config: Mapping, name: str) -> dict:
    """Return all that sets an arm apart, its V's settings one by one."""
    direction = {f"direction.{key}": value for key, value in (direction_of(config, name) or {}).items()}
    return without_keys(whole_spec(config, name), "direction") | direction


def dose_families(config: Mapping) -> dict[str, dict]:
    """Return {arm of the table of doses: its family, the key that is dosed, and the dose}: arms that differ by one of
    DOSES alone are a family, which has the name of its first one."""
    found: dict[str, dict] = {}
    arms = [name for name in config["tables"].get("doses", ()) if baseline(config, name) != name]
    for name in (name for name in arms if not is_base(config, name)):
        for key in DOSES:
            dose, rest = _dosed(config, name, key)
            alike = [other for other in arms if _dosed(config, other, key)[1] == rest]
            if dose is not None and len(alike) > 1:
                found[name] = {"family": alike[0], "key": key, "dose": dose}
                break
    return found


def _dosed(config: Mapping, name: str, key: str) -> tuple[float | None, dict]:
    """Return an arm's dose, or None, and the rest of it, its signal's settings among it."""
    rest = whole_spec(config, name) | {"signal": signal_of(config, name)}
    if key in rest:
        return rest[key], without_keys(rest, key)
    dose = rest["signal"].get(key) if rest["signal"] else None
    return dose, rest if dose is None else rest | {"signal": without_keys(rest["signal"], key)}


def is_tested(config: Mapping, name: str) -> bool:
    """Whether an arm is an intervention with information, rather than a baseline or a control: it acts on what a signal
    flags, projects onto or off V of the pairs, or has a twin derived from it."""
    spec = config["arms"][name]
    projects = spec.get("intervention", "none") != "none" and kind_of(config, name) in ("hack", "clean")
    derived = any(other.get("twin_of") == name for other in config["arms"].values())
    return "twin_of" not in spec and (projects or "signal" in spec or derived)


def short_arms(config: Mapping) -> dict[str, str | None]:
    """Return {arm of the horizon: the arm that differs by its number of steps alone, or None}."""
    plain = [name for name, spec in config["arms"].items() if "steps" not in spec]
    aside = ("baseline", "steps", "twin_of")
    specs = {
        name: {**without_keys(whole_spec(config, name), *aside), "is twin": "twin_of" in spec}
        for name, spec in config["arms"].items()
    }
    return {
        name: next((other for other in plain if specs[other] == specs[name]), None)
        for name in config["tables"].get("horizon", ())
    }


def short_table_arms(config: Mapping) -> dict[str, dict]:
    """Return what the horizon's page needs to know of the shorter arms."""
    return {name: table_arm(config, name) for name in short_arms(config).values() if name}


def table_arms(config: Mapping, table: str) -> dict[str, dict]:
    """Return what a table needs to know of each of its arms; the base model is held against its first baseline."""
    arms = config["tables"].get(table, ())
    known = {name: table_arm(config, name) for name in arms}
    first = next((name for name in arms if baseline(config, name) == name), None)
    return {name: {**spec, "baseline": first} if is_base(config, name) else spec for name, spec in known.items()}


def table_arm(config: Mapping, name: str) -> dict:
    """Return what a table needs to know of one of its arms: the fields of analysis.study.TableArm."""
    spec = config["arms"][name]
    return {
        "baseline": baseline(config, name),
        "direction": spec.get("direction"),
        "last": steps_of(config, name),
        "twin": twin(config, name),
        "tested": is_tested(config, name),
        "mix": spec.get("mix", 0.0),
        "intervention": spec.get("intervention", "none"),
        "signal": spec.get("signal"),
        "signal_kind": (signal_of(config, name) or {}).get("kind"),
        "action": spec.get("action"),
        "knows": knows(config, name),
        "gate": spec.get("gate", "one_sided"),
        "project": spec.get("project", "gradient"),
        "kind": kind_of(config, name),
        "slow": spec.get("slow"),
    }
