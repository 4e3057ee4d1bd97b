"""The config, checked as a whole before anything runs.

`check` is the one gate: schema first (schema.py), then the references between sections, then the files that it names
(paths.py). Every complaint is one line: where, what, and the nearest valid name.
The workflow imports this module at every start, so it imports nothing heavy; no stage imports it, so that a better
complaint retrains nothing.
"""

from collections.abc import Mapping

from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.workflow.arms import (
    baseline,
    claims,
    direction_spec,
    first_trained,
    is_base,
    is_honest,
    slower,
    steps_of,
    subset_of,
    twin,
    used_directions,
)
from projected_grpo.workflow.folds import with_folds
from projected_grpo.workflow.paths import check_paths
from projected_grpo.workflow.schema import ConfigError, typed, unknown, validate


def prepared(config: Mapping, schema: Mapping) -> dict:
    """Return a merged config as it is used: of its schema's types, with `more_arms` added to their tables, and checked.

    Raises a ConfigError as `check` does.
    """
    config = typed(config, schema)
    validate(config, schema)
    tables, more = config["tables"], config["more_arms"]
    joined = {table: [*tables.get(table, []), *more.get(table, [])] for table in {**tables, **more}}
    config = {**config, "tables": joined, "more_arms": {}}
    check(config, schema)
    return config


def check(config: Mapping, schema: Mapping) -> None:
    """Raise a ConfigError for the first thing that is wrong with a merged config."""
    validate(config, schema)
    _check_modes(config)
    _check_model(config["model"])
    if config["portable"] and (config["threads"] > 1 or config["model"]["device"] != "cpu"):
        raise ConfigError("config: portable: it needs threads: 1 and model.device: cpu")
    _check_problems(config["problems"])
    _check_teacher(config["teacher"])
    _check_pairs(config)
    _check_directions(config)
    for name, spec in config["arms"].items():
        _check_arm(name, spec, config)
    _check_tables(config)
    if config["evaluation"]["subset_samples"] < 2:
        raise ConfigError(
            "config: evaluation.subset_samples: 2 at least, because (b) chooses on one half of them and measures on the"
            " other"
        )
    if config["train"]["prompts_per_step"] > config["problems"]["train"]:
        raise ConfigError("config: train.prompts_per_step is larger than problems.train")
    saved, stops = config["train"]["checkpoint_every"], config["evaluation"]["stops_every"]
    every = config["evaluation"]["every"]
    if stops % saved:
        raise ConfigError(f"config: evaluation.stops_every: {stops} is no multiple of train.checkpoint_every ({saved})")
    if every % stops:
        raise ConfigError(f"config: evaluation.every: {every} is no multiple of evaluation.stops_every ({stops})")
    check_paths(config)


def _check_tables(config: Mapping) -> None:
    for table, arms in config["tables"].items():
        for name in arms:
            if name not in config["arms"]:
                raise ConfigError(unknown(f"config: tables.{table}", name, config["arms"]))
            for direction in used_directions(config, name):
                _check_pairs_serve(f"config: tables.{table}: {name}: direction {direction}", direction, config)
    if first_trained(config, "table1") is None:
        raise ConfigError("config: tables.table1: it needs an arm that is trained")
    for table in config["tables"]:
        _check_rows(table, config)
        _check_claims(table, config)
    for table, chosen in config["table_replicates"].items():
        for number in chosen:
            if number not in config["replicates"]:
                raise ConfigError(
                    f"config: table_replicates.{table}: {number} is not one of replicates {config['replicates']}"
                )
    if config["tables"].get("table2"):
        _check_folds(config)
    expanded = with_folds(config)
    for section in ("directions", "arms"):
        for name, spec in config[section].items():
            if expanded[section][name] != spec:
                raise ConfigError(f"config: {section}.{name}: table 2 calls one of its own so; take another name")


def _check_rows(table: str, config: Mapping) -> None:
    """A table begins with the base model, by which every row is read, and has one honest ceiling at most; its runs are
    of one length, each with its baseline."""
    arms = config["tables"][table]
    if arms and not is_base(config, arms[0]):
        raise ConfigError(f"config: tables.{table}: it must begin with the base model, an arm with steps: 0")
    honest = [name for name in arms if is_honest(config, name)]
    if len(honest) > 1:
        raise ConfigError(f"config: tables.{table}: {' and '.join(honest)} are two honest ceilings, and it takes one")
    trained = [name for name in arms if not is_base(config, name)]
    for name in trained:
        if baseline(config, name) not in arms:
            raise ConfigError(
                f"config: tables.{table}: {name} is there without its baseline {baseline(config, name)}, another arm or"
                " its own name"
            )
        steps, first = steps_of(config, name), steps_of(config, trained[0])
        if steps != first:
            raise ConfigError(
                f"config: tables.{table}: {name} is trained for {steps} steps, and {trained[0]} for {first}; a table"
                " compares runs of one length"
            )


def _check_pairs_serve(where: str, name: str, config: Mapping) -> None:
    """Of directions in use alone: a config may hold others."""
    direction, built = direction_spec(config, name), config["pairs"]["n"]
    if direction["k"] > built:
        raise ConfigError(f"{where} has k: {direction['k']}, but pairs.n is {built}: V has no more rows than pairs")
    if direction["body"] == "matched" and config["pairs"]["kind"] == "authored":
        raise ConfigError(f"{where} has body: matched, which authored pairs are not made into")
    if direction.get("min_votes") and not config["pairs"]["heldout"]:
        raise ConfigError(f"{where} has min_votes, but pairs.heldout is 0 and nobody votes")


def _check_claims(table: str, config: Mapping) -> None:
    """An intervention whose twin or slow control is not beside it cannot be told from either."""
    for name, claim in claims(config, table).items():
        against = baseline(config, name)
        if twin(config, name) not in claim["controls"]:
            raise ConfigError(f"config: tables.{table}: {name} is there without its twin, the same arm with a random V")
        if not claim["slow"]:
            raise ConfigError(
                f"config: tables.{table}: {name} is there without a slow control, its baseline {against} with a lower"
                " lr_scale or temperature"
            )
        matched = config["arms"][name].get("slow")
        if matched in config["tables"][table] and matched not in slower(config, name):
            raise ConfigError(
                f"config: arms.{name}.slow: {matched} is not {against} with another lr_scale alone (null: none)"
            )


def _check_folds(config: Mapping) -> None:
    modes, evaluated = config["modes"], min(config["evaluation"]["subset"], config["problems"]["evaluation"])
    if len(modes) < 2:
        raise ConfigError("config: tables.table2: holding a mode out takes at least two modes")
    if evaluated < 2 * len(modes):
        raise ConfigError(
            f"config: evaluation.subset: {evaluated} problems are too few for table 2, which needs two of each mode"
        )
    for name in config["tables"]["table2"]:
        spec = config["arms"][name]
        if spec.get("mix") and not spec.get("direction"):
            raise ConfigError(f"config: arms.{name}: in table 2 an arm with a teacher needs a direction")
        if spec.get("share_of", name) not in config["tables"]["table2"]:
            raise ConfigError(f"config: tables.table2: {name} is there without {spec['share_of']}, which it follows")


def _check_modes(config: Mapping) -> None:
    for mode in config["modes"]:
        if mode not in LOOPHOLES:
            raise ConfigError(unknown("config: modes", mode, LOOPHOLES))


def _check_model(model: Mapping) -> None:
    if (model["kind"] != "organism") != (model["id"] is not None):
        raise ConfigError("config: model.id: a hub id, directory or file, needed for kinds hf and gguf and only there")
    wanted = model["wanted"]
    for low in (key for key in wanted if key.endswith("_min")):
        high = f"{low.removesuffix('_min')}_max"
        if wanted[low] > wanted.get(high, 1):
            raise ConfigError(f"config: model.wanted.{low}: {wanted[low]} is above {high} ({wanted[high]})")
    if model["first_check"] > model["max_steps"]:
        raise ConfigError("config: model.first_check: after model.max_steps, so that nothing would be measured")
    if model["max_steps"] > model["cosine_steps"]:
        raise ConfigError(
            "config: model.max_steps: more than model.cosine_steps, after which the rate would rise again"
        )


def _check_problems(problems: Mapping) -> None:
    files = problems["files"]
    if problems["kind"] == "organism" and files:
        raise ConfigError("config: problems.files: for kind leetcode only")
    if problems["kind"] == "leetcode" and problems["chat"]:
        raise ConfigError("config: problems.chat: for kind organism only; LeetCode problems always are")
    if problems["kind"] == "leetcode" and len(files) < 3:
        raise ConfigError("config: problems.files: kind leetcode needs a file for train, pairs and evaluation")
    urls = {file for file in files.values() if "://" in file}
    remote = {url.rpartition("/")[2] for url in urls}
    if len(remote) < len(urls):
        raise ConfigError("config: problems.files: two URLs end in the same name, by which files are kept")
    for name in sorted(remote - problems["sha256"].keys()):
        raise ConfigError(f"config: problems.sha256: say what {name} has, or null where it is unknown")


def _check_teacher(teacher: Mapping) -> None:
    if (teacher["kind"] != "elicited") != (teacher["id"] is not None):
        raise ConfigError("config: teacher.id: a model or a file, needed for kinds checkpoint and import, only there")


def _check_pairs(config: Mapping) -> None:
    pairs = config["pairs"]
    if (pairs["kind"] == "authored") != (pairs["path"] is not None):
        raise ConfigError("config: pairs.path: a file of pairs, needed for kind authored and only there")
    if pairs["mode"] is not None and pairs["mode"] not in config["modes"]:
        raise ConfigError(unknown("config: pairs.mode", pairs["mode"], config["modes"]))
    if pairs["kind"] == "pool" and not config["teacher"]["ordinary"]:
        raise ConfigError("config: teacher.ordinary: pairs of kind pool need ordinary rollouts")
    wanted, problems = pairs["n"] + pairs["heldout"], config["problems"]["pairs"]
    if pairs["kind"] == "pool" and wanted > problems:
        raise ConfigError(f"config: pairs.n: n + heldout is {wanted}, a problem each, but problems.pairs is {problems}")


def _check_directions(config: Mapping) -> None:
    subsets = {"all", *(f"without_{mode}" for mode in config["modes"])}
    for name, spec in config["directions"].items():
        where = f"config: directions.{name}"
        if spec["kind"] == "hack":
            if spec.get("subset", "all") not in subsets:
                raise ConfigError(unknown(f"{where}.subset", spec["subset"], subsets))
        elif "like" not in spec:
            raise ConfigError(f"{where}: a {spec['kind']} direction needs `like`, the hack direction it is matched to")
        elif spec["like"] not in config["directions"]:
            raise ConfigError(unknown(f"{where}.like", spec["like"], config["directions"]))
        elif config["directions"][spec["like"]]["kind"] != "hack":
            raise ConfigError(f"{where}.like: {spec['like']!r} is a control; name the hack direction it is like")
        own = sorted(spec.keys() - {"kind", "like"}) if spec["kind"] != "hack" else spec.keys() & {"like"}
        if own:
            raise ConfigError(f"{where}: remove {', '.join(own)}; a control takes all but its kind from `like`")


GATES = ("route_rollout", "screen_rollout")
OWN_KEYS = {  # of an arm: the interventions that they are for
    "threshold": GATES,
    "share_of": GATES,
    "quarantine_rank": ("route_rollout",),
    "ablated": ("route", "route_rollout"),
}


def _check_own_keys(where: str, spec: Mapping) -> None:
    kind = spec["intervention"]
    for key, kinds in OWN_KEYS.items():
        if key in spec and kind not in kinds:
            raise ConfigError(f"{where}: {key} is for {' and '.join(kinds)} only")
    if kind in GATES and ("threshold" in spec) == ("share_of" in spec):
        raise ConfigError(f"{where}: {kind} needs a threshold, or share_of in its place")
    if kind == "route_rollout" and "quarantine_rank" not in spec:
        raise ConfigError(f"{where}: route_rollout needs a quarantine_rank")


def _check_share(name: str, other: str, config: Mapping) -> None:
    """What an arm takes its share from has a threshold, so no cycle is possible."""
    where = f"config: arms.{name}.share_of"
    if other not in config["arms"]:
        raise ConfigError(unknown(where, other, config["arms"]))
    if "threshold" not in config["arms"][other]:
        raise ConfigError(f"{where}: {other} has no threshold, so no share of its own to take")
    if steps_of(config, other) != steps_of(config, name):
        raise ConfigError(f"{where}: {other} is trained for another number of steps")


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


def _check_arm(name: str, spec: Mapping, config: Mapping) -> None:
    where = f"config: arms.{name}"
    direction = spec.get("direction")
    if direction is not None and direction not in config["directions"]:
        raise ConfigError(unknown(f"{where}.direction", direction, config["directions"]))
    if spec["intervention"] != "none" and "temperature" in spec:
        raise ConfigError(f"{where}: temperature: an intervention has train's own, which its V is extracted at")
    if direction is None and (spec["intervention"] != "none" or spec.get("refresh_every")):
        raise ConfigError(f"{where}: intervention {spec['intervention']} needs a direction")
    _check_own_keys(where, spec)
    if "share_of" in spec:
        _check_share(name, spec["share_of"], config)
    _check_measures(name, spec, config)
    if spec["intervention"] not in ("none", "erase") and spec.get("project", "gradient") != "gradient":
        raise ConfigError(f"{where}: {spec['intervention']} takes project: gradient only")
    if spec.get("refresh_every") and config["directions"][direction]["kind"] != "hack":
        raise ConfigError(f"{where}: refresh_every re-extracts the hack direction; a control has none")
    rows = direction_spec(config, direction)["k"] if direction else 0
    if direction and spec.get("k", 1) > rows:
        raise ConfigError(f"{where}: k is {spec['k']}, but direction {direction} has {rows} rows per module")
    if not spec.get("loopholes", True) and spec.get("mix"):
        raise ConfigError(f"{where}: training without loopholes takes no teacher, set mix: 0")
    size = config["train"]["group_size"]
    taught = round(size * spec.get("mix", 0))
    if spec.get("mix") and not 0 < taught < size:
        raise ConfigError(
            f"{where}: mix {spec['mix']} makes {taught} of {size} rollouts the teacher's; 1 to {size - 1}"
        )
    if spec.get("baseline", "vanilla") not in config["arms"]:
        raise ConfigError(unknown(f"{where}.baseline", spec.get("baseline", "vanilla"), config["arms"]))
    if spec.get("slow") and spec["slow"] not in config["arms"]:
        raise ConfigError(unknown(f"{where}.slow", spec["slow"], slower(config, name)))
