"""The config's arms, and the directions and signals that they use: what fits what."""

from collections.abc import Iterable, Mapping

from projected_grpo.workflow.arms import direction_of, direction_spec, kind_of, signal_of, subset_of, train_settings
from projected_grpo.workflow.claims import evaluation_settings, slower
from projected_grpo.workflow.code_version import own_file
from projected_grpo.workflow.schema import ConfigError, unknown
from projected_grpo.workflow.twins import twin_name

LIKE = dict.fromkeys(("shuffled", "nonhack", "flipped", "clean"), ("hack",)) | {"random": ("hack", "clean")}
SIGNALS = ("detector", "truth", "overlap", "probe", "activation", "fingerprint")
ACTIONS = ("penalise", "discount", "drop", "route")
UNSCALED = ("detector", "truth", "overlap", "fingerprint")
GRADIENT_SIGNALS = ("overlap", "fingerprint")
OWN = "module:function"
SIGNAL_KEYS = {  # of a signal: the kinds that it is not for
    "subset": ("overlap",),
    "body": ("detector", "truth", "overlap"),
    "pairs": ("detector", "truth", "overlap"),
    "fpr": ("detector", "truth", "activation"),
    "accuracy": ("overlap", "probe", "activation", "fingerprint", OWN),
    "share": ("overlap", "probe", "activation", "fingerprint", OWN),
}
SIGNAL_REASONS = {
    "subset": "which has its direction's",
    "body": "which is made from no pairs of its own",
    "pairs": "which is made from no pairs of its own",
    "fpr": "whose threshold is no quantile",
    "accuracy": "which is told nothing",
    "share": "which is told nothing",
}
NEEDED = {"strength": "penalise", "alpha": "discount", "quarantine_rank": "route"}  # doses, and the action they are of


def check_directions(config: Mapping) -> None:
    """Raise a ConfigError for a direction of an unknown subset, or a control that is matched to nothing."""
    subsets = {"all", *(f"without_{mode}" for mode in config["modes"])}
    for name, spec in config["directions"].items():
        where = f"config: directions.{name}"
        _check_name(where, name)
        if spec["kind"] == "hack":
            if spec.get("subset", "all") not in subsets:
                raise ConfigError(unknown(f"{where}.subset", spec["subset"], subsets))
        elif "like" not in spec:
            raise ConfigError(f"{where}: a {spec['kind']} direction needs `like`, the hack direction it is matched to")
        elif spec["like"] not in config["directions"]:
            raise ConfigError(unknown(f"{where}.like", spec["like"], config["directions"]))
        elif config["directions"][spec["like"]]["kind"] not in LIKE[spec["kind"]]:
            raise ConfigError(f"{where}.like: {spec['like']!r} is a control; name the hack direction it is like")
        own = sorted(spec.keys() - {"kind", "like"}) if spec["kind"] != "hack" else spec.keys() & {"like"}
        if own:
            raise ConfigError(f"{where}: remove {', '.join(own)}; a control takes all but its kind from `like`")


def check_signals(config: Mapping) -> None:
    """Raise a ConfigError for a signal that cannot be made, or a key that its kind has no use for."""
    subsets = {"all", *(f"without_{mode}" for mode in config["modes"])}
    for name, spec in config["signals"].items():
        where, kind = f"config: signals.{name}", spec["kind"]
        _check_name(where, name)
        if name in config["directions"]:
            raise ConfigError(f"{where}: a direction has this name too, and detectors.csv has both; take another name")
        _check_kind(f"{where}.kind", kind, SIGNALS)
        if (kind == "overlap") != ("direction" in spec):
            raise ConfigError(f"{where}: direction: the V of kind overlap, needed there and only there")
        if "direction" in spec:
            known = [direction for direction, own in config["directions"].items() if own["kind"] == "hack"]
            if spec["direction"] not in known:
                raise ConfigError(unknown(f"{where}.direction", spec["direction"], known))
        if spec.get("subset", "all") not in subsets:
            raise ConfigError(unknown(f"{where}.subset", spec["subset"], subsets))
        for key, kinds in SIGNAL_KEYS.items():
            if key in spec and (OWN if ":" in kind else kind) in kinds:
                raise ConfigError(f"{where}: {key} is not for kind {kind}, {SIGNAL_REASONS[key]}")


def _check_name(where: str, name: str) -> None:
    """Detections know the twin of a signal by the end of its name."""
    if name.endswith(twin_name("")):
        raise ConfigError(f"{where}: a name that ends in {twin_name('')} is the twin's of a signal; take another name")


def _check_kind(where: str, kind: str, known: Iterable[str]) -> None:
    """One of ours, or `module:function` that can be found."""
    if ":" not in kind:
        if kind not in known:
            raise ConfigError(unknown(where, kind, [*known, OWN]))
    elif own_file(kind) is None:
        raise ConfigError(f"{where}: {kind}: no such module; put its folder on PYTHONPATH")


def _check_action(name: str, spec: Mapping, config: Mapping) -> None:
    where, signal, action = f"config: arms.{name}", spec.get("signal"), spec.get("action")
    if (signal is None) != (action is None):
        raise ConfigError(f"{where}: signal and action need each other")
    if signal is not None:
        if signal not in config["signals"]:
            raise ConfigError(unknown(f"{where}.signal", signal, config["signals"]))
        _check_kind(f"{where}.action", action, ACTIONS)
        kind = config["signals"][signal]["kind"]
        if action == "discount" and kind in UNSCALED:
            raise ConfigError(
                f"{where}: discount needs a score that is a z-score or log-odds, as of activation and probe; {kind} has"
                " none"
            )
        if spec.get("direction") and direction_of(config, name)["subset"] != signal_of(config, name)["subset"]:
            raise ConfigError(f"{where}: its signal knows another subset of the loopholes than its direction does")
    for key, needs in NEEDED.items():
        if action == needs and key not in spec:
            raise ConfigError(f"{where}: action {action} needs {key}")
        if key in spec and action != needs and ":" not in (action or ""):
            raise ConfigError(f"{where}: {key} is for action {needs} only")
    routes = spec.get("intervention") == "route"
    if routes and action == "route":
        raise ConfigError(f"{where}: intervention route and action route have two uses for one quarantine")
    if "ablated" in spec and not (routes or action == "route"):
        raise ConfigError(f"{where}: ablated is for arms that route, by intervention or by action")
    if spec.get("gradreg") and (routes or action == "route"):
        raise ConfigError(f"{where}: gradreg is not for arms that route")
    if spec.get("twin") and not (signal or spec.get("gradreg") or spec.get("warmstart")):
        raise ConfigError(
            f"{where}: twin: only a signal, gradreg and warmstart have one that is derived; that of a projection is the"
            " same arm with a random direction"
        )
    if spec.get("twin") and twin_name(name) in config["arms"]:
        raise ConfigError(f"{where}: twin: {twin_name(name)} is already an arm")


def _check_start(where: str, start: str | None, config: Mapping) -> None:
    """One step back and no further: so no cycle is possible."""
    if start is None:
        return
    if start not in config["arms"]:
        raise ConfigError(unknown(f"{where}.start", start, config["arms"]))
    if config["arms"][start].get("start"):
        raise ConfigError(f"{where}.start: {start} starts from another arm itself; name one that starts from the base")


def _check_measures(name: str, spec: Mapping, config: Mapping) -> None:
    where = f"config: arms.{name}.measures"
    for direction in spec.get("measures", ()):
        if direction not in config["directions"]:
            raise ConfigError(unknown(where, direction, config["directions"]))
        if direction_spec(config, direction)["subset"] != subset_of(config, name):
            raise ConfigError(f"{where}: {direction} knows another subset of the loopholes than the arm does")
        rows = direction_spec(config, direction)["k"]
        if spec.get("k", 1) > rows:
            raise ConfigError(f"{where}: k is {spec['k']}, but direction {direction} has {rows} rows per module")


def _check_train(name: str, spec: Mapping, config: Mapping) -> None:
    """What an arm sets of `train` for itself has to fit the rest, like train's own."""
    where, settings = f"config: arms.{name}", train_settings(config, name)
    saved, looked = settings["checkpoint_every"], evaluation_settings(config, name)["every"]
    if "checkpoint_every" in spec and looked % saved:
        raise ConfigError(
            f"{where}: checkpoint_every: {saved} does not divide {looked}, its steps from evaluation to evaluation"
        )
    if spec.get("prompts_per_step", 0) > config["problems"]["train"]:
        raise ConfigError(f"{where}: prompts_per_step is larger than problems.train")
    size, taught = settings["group_size"], round(settings["group_size"] * spec.get("mix", 0))
    if spec.get("mix") and not 0 < taught < size:
        raise ConfigError(
            f"{where}: mix {spec['mix']} makes {taught} of {size} rollouts the teacher's; 1 to {size - 1}"
        )
    reads = config["signals"].get(spec.get("signal"), {}).get("kind") in GRADIENT_SIGNALS
    if "temperature" in spec and (spec.get("intervention", "none") != "none" or reads):
        raise ConfigError(f"{where}: temperature: an intervention has train's own, which its V is extracted at")


def check_arm(name: str, spec: Mapping, config: Mapping) -> None:
    """Raise a ConfigError for what one arm asks of directions, signals, doses and training that does not fit."""
    where, intervention = f"config: arms.{name}", spec.get("intervention", "none")
    direction = spec.get("direction")
    if direction is not None and direction not in config["directions"]:
        raise ConfigError(unknown(f"{where}.direction", direction, config["directions"]))
    if direction is None and (intervention != "none" or spec.get("refresh_every")):
        raise ConfigError(f"{where}: intervention {intervention} needs a direction")
    if intervention == "trusted" and kind_of(config, name) not in ("clean", "random"):
        raise ConfigError(f"{where}: trusted needs a direction of kind clean, or a random one")
    _check_action(name, spec, config)
    if spec.get("baseline", "vanilla") not in config["arms"]:
        raise ConfigError(unknown(f"{where}.baseline", spec.get("baseline", "vanilla"), config["arms"]))
    _check_train(name, spec, config)
    _check_measures(name, spec, config)
    if intervention == "route" and spec.get("project", "gradient") != "gradient":
        raise ConfigError(f"{where}: route takes project: gradient only")
    if spec.get("refresh_every") and config["directions"][direction]["kind"] != "hack":
        raise ConfigError(f"{where}: refresh_every re-extracts the hack direction; a control has none")
    rows = direction_spec(config, direction)["k"] if direction else 0
    if direction and spec.get("k", 1) > rows:
        raise ConfigError(
            f"{where}: k is {spec['k']}, but direction {direction} has {rows} rows per module; lower this k, or raise"
            " the direction's"
        )
    if not spec.get("loopholes", True) and spec.get("mix"):
        raise ConfigError(f"{where}: training without loopholes takes no teacher, set mix: 0")
    _check_start(where, spec.get("start"), config)
    if spec.get("slow") and spec["slow"] not in config["arms"]:
        raise ConfigError(unknown(f"{where}.slow", spec["slow"], slower(config, name)))
