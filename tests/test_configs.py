"""Config files are merged as Snakemake merges them, without it, and what is none is one line."""

import pytest
import yaml
from snakemake.utils import update_config
from workflow_harness import ROOT

from projected_grpo.configs import merged, tables_of
from projected_grpo.errors import UserError

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
ODD = [
    {"a": None, "b": {"c": 1, "d": [1]}},
    {"a": {"x": 1}, "b": {"c": {}, "d": {"e": None}}},
    {"a": {}, "b": 2},
    {"b": {}},
]


def by_snakemake(parts):
    config = {}
    for part in parts:
        update_config(config, part)
    return config


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_are_merged_as_snakemake_does(preset):
    files = [ROOT / "config.yaml", preset]
    assert merged(files) == by_snakemake(yaml.safe_load(file.read_text()) for file in files)


def test_so_is_what_is_a_mapping_in_one_file_alone(tmp_path):
    files = [tmp_path / f"{n}.yaml" for n in range(len(ODD))]
    for file, part in zip(files, ODD, strict=True):
        file.write_text(yaml.safe_dump(part))
    for n in range(len(ODD) + 1):
        assert merged(files[:n]) == by_snakemake(yaml.safe_load(file.read_text()) for file in files[:n])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", ", line 2: not YAML (expected ',' or ']', but got ':')"),
        ("a: \0\n", ": not YAML (unacceptable character"),
        ("a: 2026-99-99\n", ": not YAML (month must be in 1..12"),
        ("- a\n", ": no config; write `key: value` on its lines"),
        (None, ": cannot be read (["),
    ],
)
def test_a_file_that_is_no_config_is_one_line(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as error:
        merged([file])
    assert str(error.value).startswith(f"{file}{message}") and "\n" not in str(error.value)


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "empty.yaml").touch()
    assert merged([ROOT / "config.yaml", tmp_path / "empty.yaml"]) == merged([ROOT / "config.yaml"])


def test_more_arms_stand_below_a_tables_own():
    config = {"tables": {"table1": ["a"], "table2": []}, "more_arms": {"table1": ["b"], "table4": ["c"]}}
    assert tables_of(config) == {"table1": ["a", "b"], "table2": [], "table4": ["c"]}
    assert tables_of({}) == {}
