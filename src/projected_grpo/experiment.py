"""The experiment (method 7): the config becomes frozen dataclasses, built from the config and nothing else.

`check` is the one gate: schema first (schemas/config.schema.yaml, unknown keys are errors), then the references
between sections. Every complaint is one line: where, what, and the nearest valid name.
The workflow imports this module at every start, so it imports nothing heavy.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import jsonschema

from projected_grpo.environment.loopholes import LOOPHOLES


class ConfigError(ValueError):
    """A config that cannot be run; one line."""


@dataclass(frozen=True)
class Intervention:
    """What is done to a step: the rows of method 3's tables.

    kind     none | erase | route | shrink (the update shortened as erase would, direction unchanged)
    gate     one_sided | no_gate | reverse
    project  gradient | update | both | purge
    """

    kind: str = "none"
    gate: str = "one_sided"
    project: str = "gradient"
    overshoot: float = 1.0
    preserve_magnitude: bool = False

    @property
    def projects_gradient(self) -> bool:
        return self.kind in ("erase", "route") and self.project in ("gradient", "both", "purge")

    @property
    def projects_update(self) -> bool:
        return self.kind == "erase" and self.project in ("update", "both")


@dataclass(frozen=True)
class TrainConfig:
    """The loop's settings (method 5 and 6); lengths in tokens, warmup and clip as shares and norms."""

    steps: int
    prompts_per_step: int
    group_size: int
    max_new_tokens: int
    temperature: float
    lr: float
    betas: tuple[float, float]
    warmup: float
    max_grad_norm: float
    loss_type: str
    kl_coef: float
    token_budget: int
    checkpoint_every: int

    @property
    def loss_constant(self) -> float:
        """The Dr.GRPO denominator, also the `fixed` normalisation of V."""
        return float(self.group_size * self.max_new_tokens * self.prompts_per_step)


@dataclass(frozen=True)
class Arm:
    """One row of a table.

    direction   name of the V that is projected, or only measured; None measures nothing
    k           rows of V in use, None for all
    mix         teacher's share of each group
    lr_scale    factor on the learning rate (the slow control)
    loopholes   False trains in mode `none` without hints (the honest ceiling)
    baseline    the arm that differences (a) and (b) are taken against
    """

    name: str
    intervention: Intervention = field(default_factory=Intervention)
    direction: str | None = None
    k: int | None = None
    drop_bottom_frac: float = 0.0
    mix: float = 0.0
    lr_scale: float = 1.0
    loopholes: bool = True
    refresh_every: int = 0
    baseline: str = "vanilla"


_INTERVENTION = {f.name for f in fields(Intervention)} - {"kind"}


def build_arm(name: str, spec: Mapping) -> Arm:
    """Return the arm of a config entry; keys of Intervention and of Arm share one flat mapping."""
    how = {key: spec[key] for key in _INTERVENTION & spec.keys()}
    rest = {key: value for key, value in spec.items() if key not in _INTERVENTION | {"intervention"}}
    return Arm(name, Intervention(spec["intervention"], **how), **rest)


def build_train_config(section: Mapping) -> TrainConfig:
    return TrainConfig(**{**section, "betas": tuple(section["betas"])})


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return the one-line complaint about an unknown name, with the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{what}: unknown {name!r}" + (f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")


def check(config: Mapping, schema: Mapping) -> None:
    """Raise a ConfigError for the first thing that is wrong with a merged config."""
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda e: [str(part) for part in e.absolute_path]):
        raise ConfigError(_describe(error))
    _check_modes(config)
    _check_directions(config)
    for name, spec in config["arms"].items():
        _check_arm(name, spec, config)
    for table, arms in config["tables"].items():
        for name in arms:
            if name not in config["arms"]:
                raise ConfigError(unknown(f"config: tables.{table}", name, config["arms"]))
    for name, claim in config["claims"].items():
        for arm in (name, *claim["controls"], *claim["slow"]):
            if arm not in config["arms"]:
                raise ConfigError(unknown(f"config: claims.{name}", arm, config["arms"]))
    if config["ceiling"] not in config["arms"]:
        raise ConfigError(unknown("config: ceiling", config["ceiling"], config["arms"]))
    every, saved = config["evaluation"]["every"], config["train"]["checkpoint_every"]
    if every % saved:
        raise ConfigError(f"config: evaluation.every: {every} is no multiple of train.checkpoint_every ({saved})")


def _describe(error: jsonschema.ValidationError) -> str:
    where = "config" + (": " + ".".join(map(str, error.absolute_path)) if error.absolute_path else "")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return unknown(where, next(key for key in error.instance if key not in known), known)
    if error.validator == "enum":
        return unknown(where, error.instance, map(str, error.validator_value))
    return f"{where}: {error.message}"


def _check_modes(config: Mapping) -> None:
    for mode in config["modes"]:
        if mode not in LOOPHOLES:
            raise ConfigError(unknown("config: modes", mode, LOOPHOLES))


def _check_directions(config: Mapping) -> None:
    subsets = {"all", *(f"without_{mode}" for mode in config["modes"])}
    for name, spec in config["directions"].items():
        where = f"config: directions.{name}"
        if "like" in spec:
            like = config["directions"].get(spec["like"])
            if like is None:
                raise ConfigError(unknown(f"{where}.like", spec["like"], config["directions"]))
            if "like" in like or like["kind"] != "hack":
                raise ConfigError(
                    f"{where}.like: {spec['like']!r} is not of kind hack; a control is matched to one that is"
                )
        elif spec["kind"] != "hack":
            raise ConfigError(f"{where}: a {spec['kind']} direction needs `like`, the hack direction it is matched to")
        elif spec.get("subset", "all") not in subsets:
            raise ConfigError(unknown(f"{where}.subset", spec["subset"], subsets))


def _check_arm(name: str, spec: Mapping, config: Mapping) -> None:
    where = f"config: arms.{name}"
    direction = spec.get("direction")
    if direction is not None and direction not in config["directions"]:
        raise ConfigError(unknown(f"{where}.direction", direction, config["directions"]))
    if direction is None and spec["intervention"] != "none":
        raise ConfigError(f"{where}: intervention {spec['intervention']} needs a direction")
    if spec["intervention"] == "route" and spec.get("project", "gradient") != "gradient":
        raise ConfigError(f"{where}: route takes project: gradient only")
    if spec.get("refresh_every") and config["directions"][direction]["kind"] != "hack":
        raise ConfigError(f"{where}: refresh_every re-extracts the hack direction; a control has none")
    if not spec.get("loopholes", True) and spec.get("mix"):
        raise ConfigError(f"{where}: training without loopholes takes no teacher, set mix: 0")
    baseline = spec.get("baseline", "vanilla")
    if baseline not in config["arms"]:
        raise ConfigError(unknown(f"{where}.baseline", baseline, config["arms"]))


def direction_spec(config: Mapping, name: str) -> dict:
    """Return the full settings of a direction: a control takes those of the direction it is matched to."""
    spec = config["directions"][name]
    like = config["directions"][spec["like"]] if "like" in spec else {}
    return {**like, **{key: value for key, value in spec.items() if key != "like"}}


def direction_of(config: Mapping, arm: str) -> dict | None:
    """Return the settings of the direction that an arm uses or measures."""
    name = config["arms"][arm].get("direction")
    return direction_spec(config, name) if name else None


def table_arm(config: Mapping, name: str, table: str) -> dict:
    """Return what the tables need to know of an arm: baseline, direction, last step, and `null`.

    `null` is the table's arm that measures the chance overlap: a random V like this arm's, used and trained alike.
    """
    spec = config["arms"][name]
    null = None
    for other in config["tables"][table]:
        rival = config["arms"][other]
        random = config["directions"].get(rival.get("direction"), {})
        alike = all(rival.get(key) == spec.get(key) for key in ("k", "mix", "baseline"))
        if random.get("kind") == "random" and random["like"] == spec.get("direction") and alike:
            null = null or other
    return {
        "baseline": spec.get("baseline", "vanilla"),
        "direction": spec.get("direction"),
        "last": config["train"]["steps"],
        "null": null,
    }
