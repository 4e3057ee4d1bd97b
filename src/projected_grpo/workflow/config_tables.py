"""The config's tables: what has to stand beside what, so that a table can judge its arms."""

from collections.abc import Mapping

from projected_grpo.workflow.arms import (
    baseline,
    direction_spec,
    first_trained,
    is_base,
    is_fitted,
    is_honest,
    signal_spec,
    steps_of,
    used_directions,
)
from projected_grpo.workflow.claims import claims, dose_families, slower, twin
from projected_grpo.workflow.folds import with_folds
from projected_grpo.workflow.schema import ConfigError, unknown


def check_tables(config: Mapping) -> None:
    """Raise a ConfigError for the first thing that is wrong with the tables of a config that has its twins."""
    for table, arms in config["tables"].items():
        for name in arms:
            if name not in config["arms"]:
                raise ConfigError(unknown(f"config: tables.{table}", name, config["arms"]))
            for direction in used_directions(config, name):
                _check_pairs_serve(f"config: tables.{table}: {name}: direction {direction}", direction, config)
            signal = config["arms"][name].get("signal")
            if signal is not None:
                _check_signal(f"config: tables.{table}: {name}: signal {signal}", signal, config)
    if first_trained(config, "table1") is None:
        raise ConfigError("config: tables.table1: it needs an arm that is trained")
    for table in config["tables"]:
        _check_rows(table, config)
        if table != "doses":  # where nothing is claimed
            _check_claims(table, config)
    families = dose_families(config)
    for name in config["tables"].get("doses", ()):
        if name not in families and not is_base(config, name) and baseline(config, name) != name:
            raise ConfigError(f"config: tables.doses: {name} differs from no other arm there by a dose alone")
    for table, chosen in config["table_replicates"].items():
        for number in chosen:
            if number not in config["replicates"]:
                raise ConfigError(
                    f"config: table_replicates.{table}: {number} is not one of replicates {config['replicates']}"
                )
    for table in ("table2", "table3"):
        if config["tables"].get(table):
            _check_folds(table, config)
    if config["tables"].get("table3"):
        _check_turns(config)
    expanded = with_folds(config)
    for section in ("directions", "signals", "arms"):
        for name, spec in config[section].items():
            if expanded[section][name] != spec:
                raise ConfigError(
                    f"config: {section}.{name}: a fold of tables 2 and 3 has this name; take another name"
                )


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
                f"config: tables.{table}: {name} is there without its baseline {baseline(config, name)}: add it, or let"
                f" arms.{name}.baseline name an arm of this table"
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


def _check_signal(where: str, name: str, config: Mapping) -> None:
    """Of signals in use alone, like directions; one of kind overlap is of a direction, which the arm need not use."""
    signal = signal_spec(config, name)
    if "direction" in signal:
        _check_pairs_serve(f"{where}: direction {signal['direction']}", signal["direction"], config)
    if signal["body"] == "matched" and config["pairs"]["kind"] == "authored":
        raise ConfigError(f"{where} has body: matched, which authored pairs are not made into")
    if is_fitted(config, name) and not config["pairs"]["heldout"]:
        raise ConfigError(f"{where} has its threshold from held-out pairs, and pairs.heldout is 0")
    if signal["pairs"] > config["pairs"]["n"]:
        raise ConfigError(
            f"{where} has pairs: {signal['pairs']}, but pairs.n is {config['pairs']['n']}, and there are no more"
        )


def _check_claims(table: str, config: Mapping) -> None:
    """An intervention whose twin or slow control is not beside it cannot be told from either."""
    for name, claim in claims(config, table).items():
        against = baseline(config, name)
        if twin(config, name) not in claim["controls"]:
            raise ConfigError(
                f"config: tables.{table}: {name} is there without its twin: twin: true, or the same arm with a random V"
            )
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


def _check_folds(table: str, config: Mapping) -> None:
    modes, evaluated = config["modes"], min(config["evaluation"]["subset"], config["problems"]["evaluation"])
    if len(modes) < 2:
        raise ConfigError(f"config: tables.{table}: holding a mode out takes at least two modes")
    if evaluated < 2 * len(modes):
        raise ConfigError(
            f"config: evaluation.subset: {evaluated} problems are too few for {table}, which needs two of each mode"
        )
    for name in config["tables"][table]:
        spec = config["arms"][name]
        if spec.get("mix") and not (spec.get("direction") or spec.get("signal")):
            raise ConfigError(
                f"config: arms.{name}: in {table} an arm with a teacher needs a direction or a signal, whose subset of"
                " the loopholes its teacher pool follows"
            )


def _check_turns(config: Mapping) -> None:
    """In table 3 the problems of one replicate's mode stand beside those of another's, so each mode has as many."""
    n, looked, problems = len(config["modes"]), config["evaluation"]["subset"], config["problems"]["evaluation"]
    for key, number in (("problems.evaluation", problems), ("evaluation.subset", min(looked, problems))):
        if number % n:
            raise ConfigError(
                f"config: {key}: {number} is no multiple of {n}, the number of modes; table3 needs as many problems of"
                f" each: take {number // n * n}"
            )
