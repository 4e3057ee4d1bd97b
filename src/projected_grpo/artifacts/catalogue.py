"""Every kind of file under results/: what it is, its schema, and docs/artifacts.md, which is written from here."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from projected_grpo.artifacts.io import ArtifactError, read_provenance, read_table, read_tensors
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.artifacts.schemas.grading import VERDICTS
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.artifacts.schemas.signal import SIGNAL_SUMMARY
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.artifacts.schemas.train import ROLLOUTS, TIMING, steps_schema


@dataclass(frozen=True)
class Kind:
    """One kind of file; `schema` for Parquet, `keys` (name, shape and meaning) for safetensors."""

    path: str
    meaning: str
    schema: pa.Schema | None = None
    keys: tuple[tuple[str, str, str], ...] = ()


KNOBS = (
    ("{module}.delta", "(r,) float32", "the trained knob"),
    ("{module}.quarantine", "(r,) float32", "the routed knob, zeroed at deployment; zero where nothing is routed"),
)
STEPS = steps_schema(["{mode}"], ["{direction}"])  # the latter only of arms that measure further directions
KINDS = (
    Kind(
        "base/factors/{layer}.safetensors",
        "SVD of every target Linear of a decoder layer; the provenance names the hash of the weights",
        keys=(
            ("{module}.U", "(d_out, r) float32", "left singular vectors"),
            ("{module}.S", "(r,) float32", "singular values"),
            ("{module}.Vh", "(r, d_in) float32", "right singular vectors"),
        ),
    ),
    Kind("problems/{split}.parquet", "one row per problem", PROBLEMS),
    Kind("replicate{n}/teacher_pool.parquet", "one row per graded rollout of the frozen teacher", TEACHER_POOL),
    Kind("replicate{n}/pools/{subset}.parquet", "those of them that a loophole subset may know", TEACHER_POOL),
    Kind("replicate{n}/pairs/{body}/{subset}.parquet", "one row per contrastive pair (a triple)", PAIRS),
    Kind(
        "replicate{n}/directions/{direction}/V.safetensors",
        "hack directions, or a control's",
        keys=(
            ("{module}.V", "(k, r) float32", "orthonormal rows, oriented hack-ward in gradient space"),
            ("{module}.S", "(k,) float32", "singular values of the stacked pair gradients"),
        ),
    ),
    Kind("replicate{n}/directions/{direction}/summary.parquet", "V's own test", DIRECTION_SUMMARY),
    Kind(
        "replicate{n}/signals/{signal}/weights.safetensors",
        "what was fitted of a signal and of its twin, and the signal's threshold",
        keys=(
            ("threshold", "(1,) float32", "a score above it is flagged; the twin has none"),
            ("{who}.w", "(layers, hidden) float32", "probe and activation: of a mean hidden state; who: signal, twin"),
            ("{who}.bias", "(1,) float32", "probe"),
            ("{who}.layers", "(layers,) float32", "probe and activation: the decoder layers that are read"),
            ("{who}.spread", "(1,) float32", "activation: the pairs' deviation along w"),
            ("{who}.hack", "(1024,) float32", "fingerprint: centroid of the hacks'"),
            ("{who}.clean", "(1024,) float32", "fingerprint: centroid of the clean ones'"),
            ("{who}.{module}.V", "(k, r) float32", "overlap: the direction, or random rows"),
        ),
    ),
    Kind("replicate{n}/signals/{signal}/summary.parquet", "a signal's own test on held-out pairs", SIGNAL_SUMMARY),
    Kind("replicate{n}/runs/{arm}/steps.parquet", "one row per optimizer step", STEPS),
    Kind("replicate{n}/runs/{arm}/rollouts.parquet", "one row per rollout trained on", ROLLOUTS),
    Kind("replicate{n}/runs/{arm}/timing.parquet", "seconds, exempt from byte-identity", TIMING),
    Kind("replicate{n}/runs/{arm}/adapter.safetensors", "the knobs after the last step", keys=KNOBS),
    Kind(
        "replicate{n}/runs/{arm}/checkpoints.safetensors",
        "the knobs every N steps",
        keys=tuple((f"step{{step}}.{name}", shape, meaning) for name, shape, meaning in KNOBS),
    ),
    Kind("replicate{n}/start.parquet", "the rows of step 0 in every arm's evaluation", EVALUATION),
    Kind("replicate{n}/runs/{arm}/evaluation.parquet", "one row per held-out completion", EVALUATION),
    Kind(
        "replicate{n}/detection.parquet",
        "one row per V or signal and live rollout of table 1's first trained arm",
        DETECTION,
    ),
    Kind("verdicts (python -m projected_grpo.grading)", "one row per completion", VERDICTS),
)
GRADED = KINDS[-1]  # its file has the name that the caller gives it


def kind_of(path: str | Path) -> Kind | None:
    """Return the kind whose pattern the end of the path matches."""
    for kind in KINDS:
        pattern = "".join(
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", kind.path)
        )
        if re.search(rf"(?:^|/){pattern}$", Path(path).as_posix()):
            return kind
    return None


def describe(path: str | Path) -> str:
    """Return what a file is, its columns or tensors, and its provenance as YAML.

    Raises ArtifactError for a file that is unreadable, made by something else, or not of its kind's schema.
    """
    checks = {".parquet": _check_table, ".safetensors": _check_tensors}
    if Path(path).suffix not in checks:
        raise ArtifactError(f"{path}: neither .parquet nor .safetensors")
    kind, source = checks[Path(path).suffix](path, kind_of(path))
    head = f"{path}: {kind.meaning}; as declared" if kind else f"{path}: not of the standard layout, schema not checked"
    return f"{head}\n{yaml.safe_dump(source, sort_keys=False)}"


def _check_table(path: str | Path, kind: Kind | None) -> tuple[Kind | None, dict]:
    """Return what kind of table it is, which its provenance may say, and what is in it."""
    rows = read_table(path)
    schema = pq.read_schema(path)
    source = read_provenance(path)
    kind = kind or (GRADED if "grading" in source["config"] else None)
    declared = kind.schema if kind else None
    if declared is not None and "{mode}" in "".join(declared.names):
        config = source.get("config", {})
        declared = steps_schema(config.get("modes", []), config.get("arm", {}).get("measures", []))
    if declared is not None and not schema.equals(declared):
        known = [name for name in schema.names if name in declared.names]
        odd = sorted({*schema.names} ^ {*declared.names} | {n for n in known if schema.field(n) != declared.field(n)})
        odd = odd or ["the order of its columns"]
        raise ArtifactError(f"{path}: differs from its schema in {', '.join(odd)}; delete it and run again")
    return kind, {"rows": len(rows), "columns": {f.name: _unit(f) for f in schema}, "provenance": source}


def _check_tensors(path: str | Path, kind: Kind | None) -> tuple[Kind | None, dict]:
    tensors, source = read_tensors(path)
    if not source:
        raise ArtifactError(f"{path}: no provenance; it was not made by this project")
    axes = {name.rpartition(".")[2]: _axes(shape) for name, shape, _ in kind.keys} if kind else {}
    for name, tensor in tensors.items():
        fits = axes.get(name.rpartition(".")[2]) == tensor.dim() and str(tensor.dtype) == "torch.float32"
        if kind and not fits:
            raise ArtifactError(f"{path}: tensor {name} is not as declared; delete it and run again")
    shapes = {name: f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for name, t in tensors.items()}
    return kind, {"tensors": shapes, "provenance": source}


def _axes(shape: str) -> int:
    """Return 2 for "(k, r) float32", 1 for "(r,) float32"."""
    return len([axis for axis in shape[1 : shape.index(")")].split(",") if axis.strip()])


def _unit(field: pa.Field) -> str:
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return f"{field.type}, {metadata.get('unit') or 'no unit'}: {metadata.get('doc', '')}"


def document() -> str:
    """Return docs/artifacts.md."""
    parts = [
        "# Artifacts",
        "",
        "Written by `python -m projected_grpo.artifacts --document`; a test compares. Paths are relative to the",
        "results directory. Parquet files carry each column's meaning and unit in the field metadata, Parquet and",
        "safetensors files their provenance (config slice, code version, package versions, seed, device) in the file",
        "metadata:",
        "",
        "    python -m projected_grpo.artifacts FILE      # prints it, and checks the schema",
        "",
        "Figures carry theirs as their description (PNG and SVG metadata), `h1.json` as its last key.",
        "",
        "The base model is a plain Hugging Face directory (`replicate{n}/base/`, or `base/` where replicates share",
        "it), whose `organism.json` reports its making.",
        "table1.csv and table1.md are for readers and lie beside `h1.json`, which was made with them.",
    ]
    for kind in KINDS:
        parts += ["", f"## {kind.path}", "", f"{kind.meaning[0].upper()}{kind.meaning[1:]}.", ""]
        if kind.schema:
            parts += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
            parts += [_row(field) for field in kind.schema]
        else:
            parts += ["| key | shape | meaning |", "| --- | --- | --- |"]
            parts += [f"| `{name}` | {shape} | {meaning} |" for name, shape, meaning in kind.keys]
    return "\n".join(parts) + "\n"


def _row(field: pa.Field) -> str:
    metadata = {key.decode(): value.decode().replace("|", "\\|") for key, value in field.metadata.items()}
    type_ = str(field.type).replace("item: ", "") + ("" if not field.nullable else ", may be null")
    return f"| `{field.name}` | {type_} | {metadata['unit']} | {metadata['doc']} |"
