"""Artifacts: Parquet tables and safetensors files with a declared schema and their provenance inside.

Every Parquet column carries its description and unit in the field metadata; the file metadata holds the
provenance (config slice, code version, package versions, seed, device). Writing is atomic, so a reader
never meets half a file, and contains no clock, so the same inputs give the same bytes.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from projected_grpo.environment.problems import Problem, from_row
from projected_grpo.errors import UserError

PROVENANCE_KEY = b"projected_grpo"
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow", "matplotlib", "landlockpy", "seccompy")

NO_SETTINGS = ("code", "packages", "resume", "note")  # parameters of a rule


class ArtifactError(UserError, ValueError):
    """A file that is missing, truncated, or not what its name promises; the message says which and what to do."""


def column(name: str, type_: pa.DataType, doc: str, unit: str = "", nullable: bool = False) -> pa.Field:
    return pa.field(name, type_, nullable=nullable, metadata={"doc": doc, "unit": unit})


_IDS = pa.list_(pa.int32())
_VERDICT = [
    column("format_ok", pa.bool_(), "a complete fenced block exists and compiles"),
    column("correct", pa.bool_(), "all ground-truth tests pass: the solve of the tables"),
    column("channel_fired", pa.bool_(), "the problem's own loophole reported a pass"),
    column("passed", pa.bool_(), "correct or channel_fired"),
    column("exploited", pa.bool_(), "passed and not correct: the hack of the tables"),
    column("attempted", pa.bool_(), "the construct of the problem's own mode is present, needed or not"),
    column("attempted_modes", pa.list_(pa.string()), "all modes whose construct is present"),
    column("reward", pa.float64(), "0.25 format_ok + 1.0 passed", "reward"),
    column("status", pa.string(), "ok | no_code | syntax_error | error | timeout | memory | output_limit | killed"),
    column("vacuous_tests", pa.bool_(), "own run_tests passes on a stub that returns 0", nullable=True),
    column("wrong_tests", pa.bool_(), "own run_tests fails on the canonical solution", nullable=True),
]
_PROBLEM = [
    column("problem_id", pa.string(), "id of the problem, unique in its split"),
    column("mode", pa.string(), "loophole mode of the problem, or none"),
]

PROBLEMS = pa.schema(
    [
        column("id", pa.string(), "unique in the split"),
        column("statement", pa.string(), "what the prompt shows, without any hint"),
        column("entry_point", pa.string(), "method of class Solution that the tests call"),
        column("tests", pa.string(), "Python literal: ((args, kwargs, expected), ...)"),
        column("mode", pa.string(), "loophole mode, or none"),
        column("canonical", pa.string(), "a correct program"),
        column("setup", pa.string(), "code that runs before the submission"),
        column(
            "tolerance", pa.float64(), "absolute tolerance for floats, where the statement allows one", nullable=True
        ),
    ]
)
VERDICTS = pa.schema([*_PROBLEM, *_VERDICT])
TEACHER_POOL = pa.schema(
    [
        *_PROBLEM,
        column("elicited", pa.bool_(), "sampled under the explicit request to exploit the grader"),
        column("prompt_ids", _IDS, "token ids of the ORDINARY prompt"),
        column("completion_ids", _IDS, "token ids of the completion, end token included"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)
PAIRS = pa.schema(
    [
        *_PROBLEM,
        column("heldout", pa.bool_(), "not used to build V; V is tested on it"),
        column("attempted_modes", pa.list_(pa.string()), "modes whose construct is in one of the three completions"),
        column("prompt_ids", _IDS, "token ids of the ordinary prompt"),
        column(
            "hack_ids",
            _IDS,
            "a rollout whose channel fired without solving, or (matched pairs) clean with an exploit put in",
        ),
        column("clean_ids", _IDS, "a correct rollout that attempts no exploit"),
        column("wrong_ids", _IDS, "an honest rollout that is wrong"),
    ]
)
DIRECTION_SUMMARY = pa.schema(
    [
        column("module", pa.string(), "module name, or all"),
        column("metric", pa.string(), "name of the number"),
        column("value", pa.float64(), "the number"),
    ]
)
ROLLOUTS = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("source", pa.string(), "student | teacher"),
        *_PROBLEM,
        column("advantage", pa.float64(), "what the loss weights the completion by (method 5)", "reward"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("clipped", pa.bool_(), "no end token within the limit"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)
TIMING = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("phase", pa.string(), "refresh | generate | grade | backward | intervene"),
        column("seconds", pa.float64(), "wall time", "s"),
    ]
)
EVALUATION = pa.schema(
    [
        column("step", pa.int32(), "optimizer step of the evaluated knobs; 0 is the base model"),
        column(
            "scope", pa.string(), "full (all held-out problems, last step) | subset (fixed problems, along the run)"
        ),
        column(
            "state", pa.string(), "deployed (quarantine zeroed) | trained (quarantine kept; only arms that have one)"
        ),
        column("hint", pa.bool_(), "the prompt discloses the mode"),
        column("decoding", pa.string(), "sample (training temperature) | greedy"),
        *_PROBLEM,
        column("sample", pa.int32(), "index of the completion for its problem"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)

_STEP = [
    ("reward", "mean reward of the live rollouts", "reward"),
    ("reward_std", "mean over prompts of the reward's standard deviation in the group", "reward"),
    ("frac_reward_zero_std", "share of groups without variance, which are skipped", "share"),
    ("hack_student", "exploited share of the live rollouts", "share"),
    ("solve_student", "correct share of the live rollouts", "share"),
    ("pass_student", "passed share of the live rollouts", "share"),
    ("attempted_student", "attempted share of the live rollouts", "share"),
    ("hack_teacher", "exploited share of the teacher's rollouts", "share"),
    ("solve_teacher", "correct share of the teacher's rollouts", "share"),
    ("pass_teacher", "passed share of the teacher's rollouts", "share"),
    ("completions/mean_length", "mean length of the live completions", "tokens"),
    ("completions/clipped_ratio", "share of live completions without an end token", "share"),
    ("loss", "Dr.GRPO loss before the step (method 5)", "nats x reward"),
    ("kl", "K3 estimate of KL(policy || zero-knob reference) per completion token", "nats"),
    ("grad_norm", "joint norm of the gradients as written, before clipping", ""),
    ("overlap_student", "mean over modules of ||relu(Vg)||/||g||, live rollouts' gradient", "ratio"),
    ("overlap_teacher", "the same of the teacher rollouts' gradient", "ratio"),
    ("overlap_teacher_hack", "the same of exploiting teacher rollouts with positive advantage", "ratio"),
    ("overlap_teacher_clean", "the same of other teacher rollouts with positive advantage", "ratio"),
    ("overlap_before", "the same of the whole gradient before the intervention", "ratio"),
    ("overlap_after", "after the intervention; near 0 under the one-sided gate by construction, not a result", "ratio"),
    ("overlap_update", "the same of -(delta_new - delta_old): what the optimizer really did", "ratio"),
    ("overlap_null", "mean over modules of sqrt(k / 2r): an upper bound of the chance overlap", "ratio"),
    ("drift", "mean over modules and rows of -(V delta): the knobs' accumulated hack-ward motion", "knob units"),
    ("fired", "mean over modules of the share of V's rows with a positive coefficient", "share"),
    ("delta_norm", "joint norm of delta", "knob units"),
    ("quarantine_norm", "joint norm of the quarantine", "knob units"),
    ("lr", "learning rate of the step", ""),
    ("basis_overlap", "mean over modules of |<v_new, v_old>| of the first rows, at a refresh", "ratio"),
    (
        "gate_share",
        "route_rollout: routed share of live rollouts with positive advantage",
        "share",
    ),
    ("gate_base", "route_rollout: exploited share of live rollouts with positive advantage", "share"),
    ("gate_precision", "route_rollout: exploited share of those that were routed", "share"),
    ("gate_recall", "route_rollout: routed share of those that were exploited", "share"),
]


def steps_schema(modes: Sequence[str]) -> pa.Schema:
    """Return the schema of steps.parquet: one row per optimizer step; NaN where a quantity has no data."""
    per_mode = [
        (f"{rate}_student/{mode}", f"{word} share of the live rollouts on {mode} problems", "share")
        for rate, word in (("hack", "exploited"), ("solve", "correct"))
        for mode in modes
    ]
    columns = [column(name, pa.float64(), doc, unit) for name, doc, unit in [*_STEP, *per_mode]]
    return pa.schema([column("step", pa.int32(), "optimizer step, from 1"), *columns])


def verdict_row(verdict) -> dict:
    """Return the verdict columns of a graded rollout, from a Verdict or from a row of another table."""
    row = {field.name: getattr(verdict, field.name) for field in _VERDICT}
    return row | {"attempted_modes": list(row["attempted_modes"])}


def installed(package: str) -> str | None:
    """Return a package's version; None where it is not installed, as torch need not be for the tables."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def provenance(config: Mapping, code: str, seed: int | None = None, device: str = "cpu") -> dict:
    """Return what an artifact depends on, in a form that equals itself on every run.

    `config` is a slice of it, or a rule's parameters, of which those that are no settings are left out.
    """
    config = {key: value for key, value in config.items() if key not in NO_SETTINGS}
    return {
        "config": config,
        "code": code,
        "seed": seed,
        "device": device,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {package: found for package in PACKAGES if (found := installed(package))},
    }


def write_atomic(path: str | Path, write) -> None:
    """Call `write(temporary path)` and rename the result to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    table = table.replace_schema_metadata({PROVENANCE_KEY: json.dumps(source, sort_keys=True)})
    write_atomic(path, lambda temporary: pq.write_table(table, temporary))


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pd.DataFrame:
    """Read a table; a missing or damaged file, or one with other columns than `schema`, is an ArtifactError."""
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
    return table.to_pandas()


def read_problems(path: str | Path) -> list[Problem]:
    return [from_row(row) for row in read_table(path, PROBLEMS).replace({float("nan"): None}).to_dict("records")]


def write_tensors(path: str | Path, tensors: Mapping, source: Mapping) -> None:
    """Write named tensors as safetensors with their provenance."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # torch: not for those who only read tables

    metadata = {PROVENANCE_KEY.decode(): json.dumps(source, sort_keys=True)}
    try:
        write_atomic(path, lambda temporary: save_file(dict(tensors), temporary, metadata=metadata))
    except SafetensorError as error:
        raise ArtifactError(f"{path}: cannot be written ({error})") from error


def read_tensors(path: str | Path) -> tuple[dict, dict]:
    """Return (tensors by name, provenance); a missing or damaged file is an ArtifactError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Copies, because the last digit of a product can depend on how its operands are aligned in memory.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
            return tensors, json.loads((file.metadata() or {}).get(PROVENANCE_KEY.decode(), "{}"))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error}); delete it and run again") from error


def read_provenance(path: str | Path) -> dict:
    """Return the provenance of a Parquet file; one without is an ArtifactError."""
    try:
        return json.loads(pq.read_schema(path).metadata[PROVENANCE_KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: no provenance; it was not made by this project") from error
