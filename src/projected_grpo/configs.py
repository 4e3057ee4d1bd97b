"""Config files, merged: what Snakemake makes of them, for programs that do without it.

Neither `merged` nor `tables_of` checks a config against its schema, which is for the workflow (workflow/config.py).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from projected_grpo.errors import UserError
from projected_grpo.files import read_text


class ConfigError(UserError, ValueError):
    """A config that cannot be run; one line."""


def merged(files: Iterable[str | Path]) -> dict:
    """Return config files as Snakemake merges them: mappings key by key, whatever else is replaced.

    Raises a FileError for a file that cannot be read, and a ConfigError for one that is no YAML or has no keys.
    """
    config: dict = {}
    for file in files:
        config = _over(config, _read(file))
    return config


def tables_of(config: Mapping) -> dict[str, list]:
    """Return a merged config's arms by table, those of `more_arms` below a table's own."""
    tables, more = (_lists(config, key) for key in ("tables", "more_arms"))
    return {table: [*tables.get(table, []), *more.get(table, [])] for table in {**tables, **more}}


def _lists(config: Mapping, key: str) -> Mapping[str, list]:
    section = config.get(key, {})
    if not isinstance(section, Mapping) or not all(isinstance(arms, list) for arms in section.values()):
        raise ConfigError(f"config: {key}: each table needs a list of arms, as in {{table1: [base, vanilla]}}")
    return section


def _read(file: str | Path) -> dict:
    text = read_text(file)
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # "2026-99-99" looks like a date
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{file}, line {mark.line + 1}" if mark else file
        raise ConfigError(f"{where}: not YAML ({problem or ' '.join(str(error).split())})") from error
    if not isinstance(read, dict | None):
        raise ConfigError(f"{file}: no config; write `key: value` on its lines")
    return read or {}


def _over(below: object, above: Mapping) -> object:
    """Return a mapping with the keys of another over its own; what is no mapping goes, but not for an empty one."""
    if not above:
        return below
    joined = dict(below) if isinstance(below, Mapping) else {}
    for key, value in above.items():
        joined[key] = _over(joined.get(key, {}), value) if isinstance(value, Mapping) else value
    return joined
