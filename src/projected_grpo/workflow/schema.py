"""The config against its schema (schemas/config.schema.yaml): types, ranges, names. Every complaint is one line.

JSON Schema lets three things through that are none here: 72.0 is no integer, a number is finite, and names (of arms and
directions, which become names of files, wildcards and columns) are texts of a pattern.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import reduce
from operator import getitem

import jsonschema
import yaml

from projected_grpo.configs import ConfigError


def _is_integer(_, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value: object) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)

# Types of the schema in whose place a text is taken for what it says. 72.0 is no integer, and is told so as in a file.
READ_AS = {
    type(None): {"null"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"integer", "number"},
}


def validate(config: Mapping, schema: Mapping) -> None:
    """Raise a ConfigError for the first key at which a config is not of its schema."""
    for error in sorted(_Validator(schema).iter_errors(config), key=lambda e: [str(part) for part in e.absolute_path]):
        raise ConfigError(_describe(error))


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return the one-line complaint about an unknown name, with the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{what}: unknown {name!r}" + (f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")


def typed(value: object, schema: Mapping, whole: Mapping | None = None) -> object:
    """Return a value with the types of its schema where it holds texts in their place; a `$ref` is to a part of the
    `whole` schema, which is this one if none is given.

    `--config 'train={steps: 8}'` makes a text of all that is nested. What the schema takes as a text stays one.
    """
    whole = schema if whole is None else whole
    if "$ref" in schema:
        schema = _referred(schema["$ref"], whole)
    if isinstance(value, Mapping):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        rest = other if isinstance(other, Mapping) else {}
        return {key: typed(part, known.get(key, rest), whole) for key, part in value.items()}
    if isinstance(value, list):
        return [typed(part, schema.get("items", {}), whole) for part in value]
    if isinstance(value, str):
        found = _read(value)
        return found if READ_AS.get(type(found), set()) & {*_types(schema.get("type", []))} else value
    return value


def _referred(pointer: str, whole: Mapping) -> Mapping:
    """Return the part of a schema that `#/key/key` points to."""
    return reduce(getitem, pointer.removeprefix("#/").split("/"), whole)


def _types(said: str | list[str]) -> list[str]:
    """Return the types that a schema's `type` says, which is one or a list."""
    return [said] if isinstance(said, str) else said


def _read(text: str) -> object:
    """Return what a text is that is null, a boolean or a number in YAML; any other text as it is."""
    if text in ("null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    try:
        found = yaml.safe_load(text) if re.fullmatch(r"[-+.\w]+", text) else text
    except (yaml.YAMLError, ValueError):  # "2026-99-99" looks like a date
        return text
    return found if type(found) in (int, float) else text


def _describe(error: jsonschema.ValidationError) -> str:
    where = "config" + (": " + ".".join(map(str, error.absolute_path)) if error.absolute_path else "")
    value, wanted = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return unknown(where, next(key for key in value if key not in known), known)
    if error.validator == "enum":
        return unknown(where, value, map(str, wanted))
    if "propertyNames" in error.absolute_schema_path:
        return f"{where}: {value!r} is no {error.schema['description']}"
    if error.validator == "uniqueItems":
        return f"{where}: {next(item for item in value if value.count(item) > 1)!r} is there twice"
    if error.validator == "type" and {"integer", "number"} & set(_types(wanted)):
        return f"{where}: {_no_number(value, wanted) or error.message}"
    return f"{where}: {error.message}"


def _no_number(value: object, wanted: str) -> str | None:
    """Return what is wrong with a value that is not the wanted kind of number, where more than its type can be said."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, float):
        return f"{value} is no integer" + (f"; write {value:.0f}" if value.is_integer() else "")
    parts = re.fullmatch(r"([-+]?\d+(?:\.\d*)?)[eE]([-+]?\d+)", value) if isinstance(value, str) else None
    if parts is None:
        return None
    plain, mantissa = f"{Decimal(value):f}", parts[1] if "." in parts[1] else f"{parts[1]}.0"
    also = f" or {mantissa}e{int(parts[2]):+d}" if wanted == "number" else ""
    return f"{value!r} is a text to YAML; write {plain}{also}"
