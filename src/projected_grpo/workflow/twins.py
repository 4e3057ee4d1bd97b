"""Twins: of every arm that says `twin: true` the same arm without information. Like arms.py, no stage imports it."""

from collections.abc import Mapping
from itertools import chain

from projected_grpo.workflow.arms import without_keys


def twin_name(name: str) -> str:
    return f"{name}_twin"


def with_twins(config: Mapping) -> dict:
    """Return the config with `{name}_twin` added for every arm with `twin: true`, and beside it in every table but that
    of doses, where nothing is claimed.

    What a twin lacks (method 2b) follows from `twin_of`; whatever else the arm has, it has too.
    """
    arms = {}
    for name, spec in config["arms"].items():
        arms[name] = without_keys(spec, "twin")
        if spec.get("twin"):
            arms[twin_name(name)] = without_keys(spec, "twin", "measures", "slow") | {"twin_of": name}
    tables = {}
    for table, names in config["tables"].items():
        beside = chain.from_iterable((name, *[twin_name(name)] * (table != "doses")) for name in names)
        tables[table] = [name for name in dict.fromkeys(beside) if name in arms or name in names]
    return {**config, "arms": arms, "tables": tables}
