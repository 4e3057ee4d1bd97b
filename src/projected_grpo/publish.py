"""Make a Hugging Face dataset folder of a results directory. Nothing is uploaded.

    python -m projected_grpo.publish RESULTS FOLDER [--license NAME]

1. Every run's steps, rollouts and evaluation, every direction and signal and its own test: one Parquet file per run,
   direction or signal, with columns `replicate` and `arm`, `direction` or `signal`, and with the meaning of each column
   and the file's provenance inside, as under results/. `datasets.load_dataset(FOLDER, "evaluation")` opens them. The
   tables and their verdicts lie beside them.
2. Of an arm that measures no further directions, the columns of their overlaps are null. A file without rows, such as
   the rollouts of the base model, is left out: the loader stops at one.
3. The card's configuration hash is one over the provenances of all files: two folders of one hash hold the same rows.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData

from projected_grpo.artifacts.io import ArtifactError, read_provenance, read_tensors, write_atomic, write_text
from projected_grpo.artifacts.provenance import KEY
from projected_grpo.artifacts.schemas.columns import column
from projected_grpo.command import run
from projected_grpo.reporting.verdicts import verdict_lines

OWN_LICENSE = "mit"  # of this project, and so of what its own embedded models wrote
CARD = "README.md"
TABLES = (".csv", ".json", ".md")
REPLICATE = column("replicate", pa.int32(), "number of the replicate")
V_ROWS = pa.schema(
    [
        column("module", pa.string(), "full name of the Linear"),
        column("row", pa.int32(), "number of the direction in its module, from 0"),
        column("S", pa.float32(), "its singular value"),
        column("V", pa.list_(pa.float32()), "the direction in the SVD basis of the module's weight, hack-ward"),
    ]
)
FITTED = pa.schema(
    [
        column("tensor", pa.string(), "name of what was fitted, of the signal or of its twin; or threshold"),
        column("shape", pa.list_(pa.int32()), "its shape"),
        column("values", pa.list_(pa.float32()), "its numbers, the last axis fastest"),
    ]
)


@dataclass(frozen=True)
class Part:
    """One configuration of the data set: the files of a pattern, and what their folder's name is called as a column."""

    name: str
    pattern: str
    key: pa.Field
    meaning: str


ARM = column("arm", pa.string(), "name of the arm")
DIRECTION = column("direction", pa.string(), "name of the direction")
SIGNAL = column("signal", pa.string(), "name of the signal")
PARTS = (
    Part("evaluation", "runs/*/evaluation.parquet", ARM, "one row per held-out completion"),
    Part("rollouts", "runs/*/rollouts.parquet", ARM, "one row per rollout trained on"),
    Part("steps", "runs/*/steps.parquet", ARM, "one row per optimizer step"),
    Part("directions", "directions/*/V.safetensors", DIRECTION, "one row per row of a V"),
    Part("direction_tests", "directions/*/summary.parquet", DIRECTION, "V's own test on held-out pairs"),
    Part("signals", "signals/*/weights.safetensors", SIGNAL, "one row per tensor that was fitted"),
    Part("signal_tests", "signals/*/summary.parquet", SIGNAL, "a signal's own test on held-out pairs"),
)


def publish(results: Path, folder: Path, license: str | None) -> None:
    """Write the data set's folder. Raises ArtifactError where there is no run, no licence, or no room."""
    if not list(results.glob("replicate*/runs/*/steps.parquet")):
        raise ArtifactError(f"{results}: no replicate*/runs/*/steps.parquet in it; give the directory `results` names")
    if folder.exists() and any(folder.iterdir()):
        raise ArtifactError(f"{folder}: not empty; give a new folder")
    license = license or _own_license(results)
    schemas, sources = {}, {}
    for part in PARTS:
        found = {path: _read(path) for path in sorted(results.glob(f"replicate*/{part.pattern}"))}
        read = {path: rows for path, rows in found.items() if len(rows)}
        if read:
            schemas[part.name] = _write_part(part, read, folder, sources)
    for path in results.iterdir():
        if path.suffix in TABLES and path.name != CARD:
            shutil.copy(path, folder / path.name)
    write_text(folder / CARD, card(schemas, license, _hash(sources), _verdicts(results)))


def _own_license(results: Path) -> str:
    if not list(results.glob("replicate*/base/organism.json")):
        raise ArtifactError(
            f"{results}: its base model comes from elsewhere, and may bind what it wrote: name the licence (--license)"
        )
    return OWN_LICENSE


def _write_part(part: Part, read: Mapping[Path, pa.Table], folder: Path, sources: dict) -> pa.Schema:
    """Write the files of one configuration under one schema, which is returned; note each one's provenance."""
    merged = pa.unify_schemas([rows.schema.remove_metadata() for rows in read.values()])
    schema = pa.schema([REPLICATE, part.key, *(field.with_nullable(True) for field in merged)])
    for path, rows in read.items():
        replicate, owner = path.parts[-4].removeprefix("replicate"), path.parts[-2]
        columns = {name: rows[name] for name in rows.column_names}
        columns |= {"replicate": [int(replicate)] * len(rows), part.key.name: [owner] * len(rows)}
        columns |= {name: pa.nulls(len(rows), merged.field(name).type) for name in set(merged.names) - columns.keys()}
        table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
        table = table.replace_schema_metadata({KEY: rows.schema.metadata[KEY]})
        name = f"{part.name}/{owner}_replicate{replicate}.parquet"
        sources[name] = json.loads(rows.schema.metadata[KEY])
        write_atomic(folder / name, lambda temporary, table=table: pq.write_table(table, temporary))
    return schema


def _read(path: Path) -> pa.Table:
    """Return an artifact as a table with its provenance; a file that cannot be read or has none is an ArtifactError."""
    if path.suffix == ".parquet":
        read_provenance(path)
        return pq.read_table(path)
    tensors, source = read_tensors(path)
    table = _v_rows(tensors) if path.name == "V.safetensors" else _fitted(tensors)
    return table.replace_schema_metadata({KEY: json.dumps(source, sort_keys=True)})


def _v_rows(tensors: Mapping) -> pa.Table:
    rows = [
        {"module": module, "row": row, "S": float(S), "V": V.tolist()}
        for module in sorted({key.rpartition(".")[0] for key in tensors})
        for row, (S, V) in enumerate(zip(tensors[f"{module}.S"], tensors[f"{module}.V"], strict=True))
    ]
    return pa.Table.from_pylist(rows, V_ROWS)


def _fitted(tensors: Mapping) -> pa.Table:
    rows = [
        {"tensor": name, "shape": list(tensor.shape), "values": tensor.flatten().tolist()}
        for name, tensor in sorted(tensors.items())
    ]
    return pa.Table.from_pylist(rows, FITTED)


def _hash(sources: Mapping) -> str:
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def _verdicts(results: Path) -> str:
    path = results / "h1.json"
    return verdict_lines(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ""


def card(schemas: Mapping[str, pa.Schema], license: str, digest: str, verdicts: str) -> str:
    """Return the data set's card: its configurations, its licence, what every column means, and the verdicts."""
    head = DatasetCardData(
        license=license,
        pretty_name="Rollouts of GRPO with a foolable grader",
        tags=["projected-grpo", "reward-hacking"],
        configs=[
            {"config_name": name, "data_files": f"{name}/*.parquet", **({"default": True} if not number else {})}
            for number, name in enumerate(schemas)
        ],
    )
    meanings = {part.name: part.meaning for part in PARTS}
    parts = [
        f"---\n{head.to_yaml()}\n---\n\n# Rollouts of GRPO with a foolable grader\n",
        "Runs of a Snakemake workflow that tests interventions against reward hacking. Every Parquet file has the",
        "meaning and unit of its columns in the field metadata, and its provenance (config, code and package versions,",
        "seed, device) in the file metadata under `projected_grpo`.\n",
        f"- configuration hash: `{digest}`, over the provenance of every file",
        *(f"- `{name}`: {meanings[name]}" for name in schemas),
    ]
    for name, schema in schemas.items():
        parts += [f"\n## {name}\n", "| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        parts += list(_rows(schema))
    if verdicts:
        parts += ["\n## Verdicts of table 1\n", verdicts]
    return "\n".join(parts) + "\n"


def _rows(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        doc, unit = (field.metadata[key].decode().replace("|", "\\|") for key in (b"doc", b"unit"))
        type_ = re.sub(r"\w+: ", "", str(field.type))  # list<element: string>
        yield f"| `{field.name}` | {type_} | {unit} | {doc} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.publish", description="Make a dataset folder.")
    parser.add_argument("results", type=Path, help="directory of a run's results")
    parser.add_argument("folder", type=Path, help="to be made; upload it yourself: hf upload --repo-type=dataset")
    parser.add_argument("--license", help="of the data, as the hub writes it; mit where the base model is embedded")
    options = parser.parse_args(arguments)
    publish(options.results, options.folder, options.license)
    print(f"{options.folder}: made; to upload it: hf upload --repo-type=dataset REPOSITORY {options.folder}")


if __name__ == "__main__":
    sys.exit(run(main))
