"""Every artifact is documented, printed and checked by its schema."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from workflow_harness import ROOT, SMOKE

from projected_grpo.artifacts import catalogue
from projected_grpo.artifacts.__main__ import main
from projected_grpo.artifacts.io import ArtifactError, write_table, write_tensors
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL


def test_the_document_is_what_the_schemas_say():
    assert (ROOT / "docs/artifacts.md").read_text() == catalogue.document()


def test_every_column_says_what_it_is():
    for kind in catalogue.KINDS:
        assert (kind.schema is None) != (not kind.keys), kind.path
        for field in kind.schema or ():
            assert field.metadata[b"doc"], f"{kind.path}: {field.name}"


def test_every_artifact_of_a_run_is_of_its_kind_and_carries_its_provenance(smoke_run, capsys):
    results = smoke_run[0] / SMOKE["results"]
    made = sorted(path for path in results.rglob("*") if path.suffix in (".parquet", ".safetensors"))
    made.remove(results / "replicate0/base/model.safetensors")  # a Hugging Face file
    kinds = {catalogue.kind_of(path).path for path in made}
    elsewhere = {"verdicts (python -m projected_grpo.grading)"}
    signals = {kind.path for kind in catalogue.KINDS if "/signals/" in kind.path}  # which the smoke preset has none of
    assert kinds == {kind.path for kind in catalogue.KINDS} - elsewhere - signals
    assert main([str(path) for path in made]) == 0
    said = capsys.readouterr()
    for word in ("config:", "code:", "seed:", "device: cpu", "torch:", "pandas:"):
        assert said.out.count(word) >= len(made), word
    assert said.err == ""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "replicate1/teacher_pool.parquet"
    write_table(path, [], TEACHER_POOL, provenance({}, "abc"))
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.drop_columns("reward"), "differs from its schema in reward"),
        (lambda table: table.set_column(0, "problem_id", pa.array([], pa.int64())), "schema in problem_id"),
        (lambda table: table.select(table.schema.names[::-1]), "differs from its schema in the order of its columns"),
        (lambda table: table.replace_schema_metadata({}), "no provenance; it was not made by this project"),
    ],
)
def test_a_file_that_is_not_of_its_kind_is_one_line(table, capsys, damage, message):
    assert main([str(table)]) == 0
    capsys.readouterr()
    pq.write_table(damage(pq.read_table(table)), table)
    assert main([str(table)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"m.V": torch.zeros(2, 3), "m.S": torch.zeros(2)}, None),
        ({"m.V": torch.zeros(2, 3, 3)}, "tensor m.V is not as declared"),
        ({"m.V": torch.zeros(2, 3).half()}, "tensor m.V is not as declared"),
        ({"m.W": torch.zeros(2, 3)}, "tensor m.W is not as declared"),
    ],
)
def test_tensors_are_of_their_declared_shape_and_type(tmp_path, tensors, message):
    path = tmp_path / "replicate1/directions/hack/V.safetensors"
    write_tensors(path, tensors, provenance({}, "abc"))
    if message is None:
        assert "as declared" in catalogue.describe(path)
    else:
        with pytest.raises(ArtifactError, match=message):
            catalogue.describe(path)


def test_missing_and_foreign_files_are_one_line(tmp_path):
    for name, message in (("gone.parquet", "does not exist"), ("notes.txt", "neither .parquet nor .safetensors")):
        with pytest.raises(ArtifactError, match=message):
            catalogue.describe(tmp_path / name)
    assert catalogue.kind_of(Path("x/replicate1/runs/erase/steps.parquet")).schema is not None
    assert catalogue.kind_of("elsewhere.parquet") is None
    assert main([]) == main(["--help"]) == 2


def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback(table):
    command = f"{sys.executable} -m projected_grpo.artifacts {f'{table} ' * 200} | head -1"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
    assert done.stdout.count("\n") == 1 and done.stderr == ""
