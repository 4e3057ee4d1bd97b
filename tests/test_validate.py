"""A file of problems, tried before anything is trained on it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from grading_harness import HONEST, WRONG
from test_external import build, tokenizer

from projected_grpo.configs import merged
from projected_grpo.environment.problems import COMPARISONS, read_problems
from projected_grpo.models import external
from projected_grpo.validate import main
from projected_grpo.workflow.config import prepared

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/problems.md").read_text()
OWN = {"statement": "Return n times 2.", "entry_point": "solve", "tests": [[[3], {}, 6]]}


@pytest.fixture
def written(tmp_path):
    def write(*rows):
        path = tmp_path / "problems.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def test_problems_that_are_as_they_should_be(written, capsys):
    assert main([written(OWN | {"id": 1, "canonical": HONEST}, OWN | {"id": 2})]) == 0
    said = capsys.readouterr().out
    assert "2 problems\n" in said and "     1 without a canonical solution\n" in said
    assert "every canonical solution is correct" in said


def test_every_problem_that_is_not_is_named_with_the_reason(written, capsys):
    endless = "class Solution:\n    def solve(self, n):\n        while True: pass"
    raising = "class Solution:\n    def solve(self, n):\n        raise KeyError"
    rows = [OWN | {"id": n, "canonical": code} for n, code in enumerate((HONEST, WRONG, raising, endless))]
    rows += [OWN | {"id": "void", "tests": [[[3], {}, None]]}]
    assert main([written(*rows)]) == 1
    complaints = capsys.readouterr().out.split("left out\n")[1].splitlines()
    assert complaints == [
        "problem 1: its canonical solution returns other values than expected",
        "problem 2: its canonical solution ends as error",
        "problem 3: its canonical solution ends as timeout",
        "problem void: a program that returns None passes its tests",
    ]


def test_bad_input_is_one_line_and_status_2(written, tmp_path, capsys):
    for path in (written(OWN), str(tmp_path / "nowhere.jsonl")):
        assert main([path]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and path in error and error.count("\n") == 1


@pytest.mark.parametrize("option", ["--workers", "--problems", "--samples", "--max-new-tokens", "--temperature"])
def test_numbers_that_mean_nothing_are_refused(written, capsys, option):
    with pytest.raises(SystemExit):
        main([written(OWN | {"id": "a"}), option, "-1"])
    assert f"error: {option}: at least " in capsys.readouterr().err


def test_a_directory_without_a_model_is_one_line_that_deletes_nothing_of_the_users(written, tmp_path, capsys):
    path = written(OWN | {"id": "a"})
    assert main([path, "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}: not a readable model (") and error.count("\n") == 1
    assert error.endswith("; if the workflow wrote it, delete it and run again\n")


def test_a_model_is_tried_on_them_mode_by_mode(written, tmp_path, capsys):
    model, _ = build("Qwen3")
    model.resize_token_embeddings(72)
    for part in (model, tokenizer()):
        part.save_pretrained(tmp_path / "model")
    external.obtain("hf", str(tmp_path / "model"), None, "float32", tmp_path / "base")
    options = ["--samples", "2", "--max-new-tokens", "6", "--modes", "run_tests", "sentinel"]
    assert main([written(OWN | {"id": 1, "canonical": HONEST}), "--model", str(tmp_path / "base"), *options]) == 0
    *_, head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["mode", "correct", "exploited", "attempted", "format_ok", "clipped"]
    assert first.split()[:3] == ["run_tests", "0.0%", "0.0%"] and second.split()[0] == "sentinel"


def test_the_pages_examples_are_what_is_read(written):
    (example,) = re.findall(r"^```json\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE)
    row = json.loads(example)
    ((problem,), _) = read_problems(written(row))
    assert problem.id == "twice" and problem.tests == (((3,), {}, 6), ((-2,), {}, -4))
    for comparison in COMPARISONS:  # which the error for an unknown one names
        assert f"`{comparison}`" in PAGE


def test_the_pages_config_goes_on_top_of_the_smoke_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("problems.jsonl", "rollouts.jsonl", "pairs.json"):
        Path(name).touch()
    Path("results/smoke/replicate0/base").mkdir(parents=True)
    Path("mine.yaml").write_text("".join(re.findall(r"^```yaml\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE)))
    files = [ROOT / "config.yaml", ROOT / "presets/smoke.yaml", "mine.yaml"]
    config = prepared(merged(files), yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text()))
    assert config["problems"]["kind"] == "leetcode" and config["pairs"]["kind"] == "authored"
    assert config["results"] == "results/mine" and config["portable"]
