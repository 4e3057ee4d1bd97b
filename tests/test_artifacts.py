"""Artifacts: schema, provenance, and what happens to bad ones."""

import math
import os

import pyarrow.parquet as pq
import pytest
import torch

from projected_grpo.artifacts.io import (
    ArtifactError,
    read_provenance,
    read_table,
    read_tensors,
    write_table,
    write_tensors,
    write_text,
)
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import PACKAGES, provenance
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.artifacts.schemas.train import TIMING
from projected_grpo.environment.problems import Problem, to_row

SOURCE = provenance({"k": 16}, "abc", seed=3)
ROWS = [{"module": "m", "metric": "auc", "value": 0.5}, {"module": "all", "metric": "auc", "value": math.nan}]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "summary.parquet"
    write_table(path, ROWS, DIRECTION_SUMMARY, SOURCE)
    return path


def test_a_table_comes_back_with_its_units_and_provenance(table):
    frame = read_table(table, DIRECTION_SUMMARY)
    assert frame["value"][0] == 0.5 and math.isnan(frame["value"][1])
    assert read_provenance(table) == SOURCE
    assert SOURCE["seed"] == 3 and set(SOURCE["packages"]) == set(PACKAGES)
    assert pq.read_schema(table).field("value").metadata[b"doc"] == b"the number"


def test_the_same_rows_give_the_same_bytes(table, tmp_path):
    other = tmp_path / "other.parquet"
    write_table(other, ROWS, DIRECTION_SUMMARY, SOURCE)
    assert other.read_bytes() == table.read_bytes()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_table(tmp_path / "a.parquet", ROWS, DIRECTION_SUMMARY, SOURCE)
        write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(2)}, SOURCE)
        write_text(tmp_path / "a.md", "≥")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.parquet", "a.safetensors", "a.md"), mode
    )
    assert (tmp_path / "a.md").read_bytes() == "≥".encode()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"module": "m", "value": 1.0}, r"columns \['metric'\] do not match the schema"),
        ({"module": None, "metric": "auc", "value": 1.0}, "column module has missing values"),
        ({"module": "m", "metric": "auc", "value": "high"}, "column value: "),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path, row, message):
    with pytest.raises(ArtifactError, match=message):
        write_table(tmp_path / "bad.parquet", [row], DIRECTION_SUMMARY, SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_missing_truncated_and_foreign_files_get_one_line_with_what_to_do(table, tmp_path):
    with pytest.raises(ArtifactError, match=r"absent.parquet: does not exist; run the workflow for it"):
        read_table(tmp_path / "absent.parquet")
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(
        ArtifactError, match=r"summary.parquet: not a readable Parquet file .*; delete it and run again$"
    ):
        read_table(table)
    other = tmp_path / "problems.parquet"
    write_table(other, [], PROBLEMS, SOURCE)
    with pytest.raises(ArtifactError, match="do not match the schema"):
        read_table(other, TIMING)


def test_tensors_come_back_bit_for_bit_and_damage_is_named(tmp_path):
    path = tmp_path / "knobs.safetensors"
    write_tensors(path, {"a": torch.arange(3.0)}, SOURCE)
    tensors, source = read_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(3.0)) and source == SOURCE
    path.write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"knobs.safetensors: not a readable safetensors file"):
        read_tensors(path)


def test_problems_survive_the_table(tmp_path):
    problems = [
        Problem("a", "s", "f", ((([1, "x"], (2,)), {"k": None}, {1: True}),), mode="sentinel", tolerance=1e-5),
        Problem("b", "s", "f", (((1.5,), {}, [float("inf")]),)),
    ]
    path = tmp_path / "problems.parquet"
    write_table(path, [to_row(problem) for problem in problems], PROBLEMS, SOURCE)
    assert read_problems(path) == problems
