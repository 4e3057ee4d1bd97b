"""The config, checked as a whole before anything runs.

`check` is the one gate: schema first (schema.py), then the references between sections (config_arms.py,
config_tables.py), then the files that it names (paths.py). Every complaint is one line: where, what, and the nearest
valid name.
The workflow imports this module at every start, so it imports nothing heavy; no stage imports it, so that a better
complaint retrains nothing.
"""

from collections.abc import Mapping
from keyword import iskeyword

from projected_grpo.configs import tables_of
from projected_grpo.environment.loopholes import LOOPHOLES, TEST_FUNCTION
from projected_grpo.workflow.config_arms import check_arm, check_directions, check_signals
from projected_grpo.workflow.config_tables import check_tables
from projected_grpo.workflow.paths import check_paths
from projected_grpo.workflow.schema import ConfigError, typed, unknown, validate
from projected_grpo.workflow.twins import with_twins


def prepared(config: Mapping, schema: Mapping) -> dict:
    """Return a merged config as it is used: of its schema's types, with `more_arms` added to their tables, and checked.

    Raises a ConfigError as `check` does.
    """
    config = typed(config, schema)
    validate(config, schema)
    config = {**config, "tables": tables_of(config), "more_arms": {}}
    check(config, schema)
    return config


def check(config: Mapping, schema: Mapping) -> None:
    """Raise a ConfigError for the first thing that is wrong with a merged config."""
    validate(config, schema)
    _check_modes(config)
    _check_crossed(config)
    _check_model(config["model"])
    if config["portable"] and (config["threads"] > 1 or config["model"]["device"] != "cpu"):
        raise ConfigError("config: portable: it needs threads: 1 and model.device: cpu")
    _check_problems(config["problems"])
    _check_teacher(config["teacher"])
    _check_pairs(config)
    check_directions(config)
    check_signals(config)
    for name, spec in config["arms"].items():
        check_arm(name, spec, config)
    check_tables(with_twins(config))
    if config["evaluation"]["subset_samples"] < 2:
        raise ConfigError(
            "config: evaluation.subset_samples: 2 at least, because (b) chooses on one half of them and measures on the"
            " other"
        )
    for name in config["evaluation"]["test_functions"]:
        if not name.isidentifier() or iskeyword(name) or name == TEST_FUNCTION:
            raise ConfigError(
                f"config: evaluation.test_functions: {name!r}: the name of a function, not {TEST_FUNCTION}"
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


def _check_modes(config: Mapping) -> None:
    for mode in config["modes"]:
        if mode not in LOOPHOLES:
            raise ConfigError(unknown("config: modes", mode, LOOPHOLES))


def _check_crossed(config: Mapping) -> None:
    replicates = [str(number) for number in config["replicates"]]
    for number in config["crossed"]:
        if str(number) not in replicates:
            raise ConfigError(f"config: crossed: {number} is not one of replicates {config['replicates']}")


def _check_model(model: Mapping) -> None:
    if (model["kind"] != "organism") != (model["id"] is not None):
        raise ConfigError("config: model.id: a hub id, directory or file, needed for kinds hf and gguf and only there")
    if model["kind"] != "hf" and model["revision"] is not None:
        raise ConfigError(f"config: model.revision: for kind hf only; take null for kind {model['kind']}")
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
    for key in ("files", "sha256", "exclude"):
        if problems["kind"] == "organism" and problems[key]:
            raise ConfigError(f"config: problems.{key}: for kind leetcode only")
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
    if teacher["kind"] != "checkpoint" and teacher["revision"] is not None:
        raise ConfigError(f"config: teacher.revision: for kind checkpoint only; take null for kind {teacher['kind']}")


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
