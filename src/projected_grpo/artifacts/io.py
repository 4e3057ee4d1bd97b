"""Parquet tables and safetensors files with a declared schema and their provenance inside.

Every Parquet column carries its description and unit in the field metadata; the file metadata holds the provenance
(config slice, code version, package versions, seed, device). Writing is atomic, so a reader never meets half a file,
and contains no clock, so the same inputs give the same bytes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from projected_grpo.artifacts.provenance import KEY
from projected_grpo.errors import UserError


class ArtifactError(UserError, ValueError):
    """A file that is missing, truncated, or not what its name promises; the message says which and what to do."""


def write_atomic(path: str | Path, write) -> None:
    """Call `write(temporary path)` and rename the result, with the user's own permissions, to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write(temporary)
        as_the_user_wants(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, whatever the locale."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def as_the_user_wants(*paths: Path) -> None:
    """Give new files the permissions that the user's umask leaves: safetensors makes its files for the owner alone."""
    umask = os.umask(0)  # there is no other way to read it
    os.umask(umask)
    for path in paths:
        path.chmod(0o666 & ~umask)


def write_table(path: str | Path, rows: Sequence[Mapping], schema: pa.Schema, source: Mapping) -> None:
    """Write rows under a declared schema; a missing, extra or ill-typed column is an ArtifactError."""
    odd = {name for row in rows for name in row.keys() ^ set(schema.names)}
    if odd:
        raise ArtifactError(f"{path}: columns {sorted(odd)} do not match the schema")
    columns = []
    for field in schema:
        try:  # a column that may not be null keeps its NaN as a number
            columns.append(pa.array([row[field.name] for row in rows], field.type, from_pandas=field.nullable))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ArtifactError(f"{path}: column {field.name}: {error}") from error
        if columns[-1].null_count and not field.nullable:
            raise ArtifactError(f"{path}: column {field.name} has missing values")
    table = pa.Table.from_arrays(columns, schema=schema)
    table = table.replace_schema_metadata({KEY: json.dumps(source, sort_keys=True)})
    write_atomic(path, lambda temporary: pq.write_table(table, temporary))


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pd.DataFrame:
    """Read a table; a missing or damaged file, or one with other columns than `schema`, is an ArtifactError."""
    return _read(path, schema).to_pandas()


def read_rows(path: str | Path, schema: pa.Schema) -> list[dict]:
    """Read a table as `write_table` takes it: a row is a dict, what is missing None; errors as in `read_table`."""
    return _read(path, schema).to_pylist()


def _read(path: str | Path, schema: pa.Schema | None) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: does not exist; run the workflow for it") from error
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a readable Parquet file ({reason}); delete it and run again") from error
    if schema is not None and table.schema.names != schema.names:
        differing = sorted(set(table.schema.names) ^ set(schema.names))
        raise ArtifactError(f"{path}: columns {differing} do not match the schema; delete it and run again")
    return table


def write_tensors(path: str | Path, tensors: Mapping, source: Mapping) -> None:
    """Write named tensors as safetensors with their provenance."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # torch: not for those who only read tables

    metadata = {KEY.decode(): json.dumps(source, sort_keys=True)}
    try:
        write_atomic(path, lambda temporary: save_file(dict(tensors), temporary, metadata=metadata))
    except SafetensorError as error:
        raise ArtifactError(f"{path}: cannot be written ({error})") from error


def read_tensors(path: str | Path, names: Sequence[str] | None = None) -> tuple[dict, dict]:
    """Return (all tensors, or those of `names`, and provenance); a missing or damaged file is an ArtifactError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Copies, because the last digit of a product can depend on how its operands are aligned in memory.
            wanted = sorted(file.keys()) if names is None else names
            tensors = {name: file.get_tensor(name).clone() for name in wanted}
            return tensors, json.loads((file.metadata() or {}).get(KEY.decode(), "{}"))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error}); delete it and run again") from error


def tensor_names(path: str | Path) -> tuple[list[str], dict]:
    """Return (names of the tensors, provenance) without reading a tensor; errors as in `read_tensors`."""
    from safetensors import safe_open

    _, source = read_tensors(path, [])
    with safe_open(path, framework="pt") as file:
        return list(file.keys()), source


def read_provenance(path: str | Path) -> dict:
    """Return the provenance of a Parquet file; one without is an ArtifactError."""
    try:
        return json.loads(pq.read_schema(path).metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: no provenance; it was not made by this project") from error
