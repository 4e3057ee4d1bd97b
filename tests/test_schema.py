"""How a config is read: types, defaults, keys that stand twice; schema and config.yaml agree."""

import copy
import pickle
import re

import pytest
from test_config import CONFIG, ROOT, SCHEMA

from projected_grpo.method.direction import DirectionConfig
from projected_grpo.method.settings import Arm, Intervention, build_arm
from projected_grpo.workflow.arms import direction_spec
from projected_grpo.workflow.claims import table_arm
from projected_grpo.workflow.config import ConfigError, check, prepared
from projected_grpo.workflow.params import Brief
from projected_grpo.workflow.twice import check_keys


def test_what_the_command_line_nests_is_read_with_the_types_of_the_schema():
    config = {**CONFIG, "tables": {"table1": ["base", "vanilla"]}, "replicates": ["1", "2"]}
    config["train"] = CONFIG["train"] | {"steps": "8", "lr": "0.01", "betas": ["0.5", "0.9"]}
    config["train"]["gradient_checkpointing"] = "true"
    config["arms"] = CONFIG["arms"] | {"erase": CONFIG["arms"]["erase"] | {"k": "8", "mix": "0.5", "loopholes": "true"}}
    config["teacher"] = CONFIG["teacher"] | {"id": "null"}
    files = {split: f"presets/simple/{split}.jsonl" for split in ("train", "pairs", "evaluation")}
    config["problems"] = CONFIG["problems"] | {"kind": "leetcode", "files": files, "exclude": ["17"]}
    found = prepared(config, SCHEMA)
    assert found["replicates"] == [1, 2] and found["teacher"]["id"] is None and found["problems"]["exclude"] == ["17"]
    assert found["train"] == CONFIG["train"] | {
        "steps": 8, "lr": 0.01, "betas": [0.5, 0.9], "gradient_checkpointing": True
    }  # fmt: skip
    assert found["arms"]["erase"] == CONFIG["arms"]["erase"] | {"k": 8, "mix": 0.5, "loopholes": True}
    assert prepared(CONFIG, SCHEMA) == CONFIG
    train = {
        "kl_coef": "0.5",
        "lr": "0.01",
        "betas": ["0.5", "0.9"],
        "group_size": "4",
        "gradient_checkpointing": "true",
    }
    config["arms"]["kl_1"] = CONFIG["arms"]["kl_1"] | train
    assert prepared(config, SCHEMA)["arms"]["kl_1"] == CONFIG["arms"]["kl_1"] | {
        "kl_coef": 0.5, "lr": 0.01, "betas": [0.5, 0.9], "group_size": 4, "gradient_checkpointing": True
    }  # fmt: skip
    for key, text, said in (
        ("steps", "eight", "'eight' is not of type 'integer'"),
        ("steps", "72.0", "72.0 is no integer; write 72"),
        ("steps", "7.5", "7.5 is no integer"),
        ("steps", "true", "'true' is not of type 'integer'"),
        ("lr", ".inf", "inf is no finite number"),
        ("lr", "1e-3", "'1e-3' is a text to YAML; write 0.001 or 1.0e-3"),
    ):
        with pytest.raises(ConfigError, match=f"^config: train.{key}: {re.escape(said)}$"):
            prepared({**CONFIG, "train": CONFIG["train"] | {key: text}}, SCHEMA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arms: {}\ntables: {}\narms: {a: {}}\n", "line 3: 'arms' is there twice, first in line 1"),
        ("arms:\n  a: {mix: 0.5}\n  'a': {}\n", "line 3: 'a' is there twice, first in line 2"),
        ("crossed: {0: {}, 1: {}, 0: {}}", "line 1: '0' is there twice, first in line 1"),
        ("modes: [{b: 1, b: 2}]", "line 1: 'b' is there twice, first in line 1"),
        ('{\n\t"arms": {},\n\t"arms": {}\n}\n', "line 3: 'arms' is there twice, first in line 2"),
    ],
)
def test_a_key_that_stands_twice_in_a_file_is_an_error(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"^config: .*mine.yaml, {re.escape(said)}; join them$"):
        check_keys([tmp_path / "mine.yaml"])


@pytest.mark.parametrize("text", ["", "# nothing\n", "a: {x: 1}\nb: {x: 2}\n", "0: a\n'0': b\n", '{\n\t"a": "\\/"\n}'])
def test_a_file_without_such_a_key_is_none(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    check_keys([tmp_path / "mine.yaml", ROOT / "config.yaml", *(ROOT / "presets").glob("*.yaml")])


def test_a_brief_parameter_is_a_digest_to_snakemake_and_a_dict_to_a_script():
    section = {"erase": {"baseline": "vanilla", "mix": 0.25}, "vanilla": {"mix": 0.25}}
    text = repr(Brief(section))
    assert len(text) < 50 and "vanilla" not in text and text == repr(Brief(copy.deepcopy(section)))
    assert text != repr(Brief({**section, "vanilla": {"mix": 0.5}}))
    assert text != repr(Brief(dict(reversed(section.items()))))  # the order of a table's rows
    handed = pickle.loads(pickle.dumps(Brief(section)))
    assert type(handed) is dict and handed == section == Brief(section)


def test_an_arm_joins_a_table_without_the_tables_list():
    found = prepared({**CONFIG, "more_arms": {"table1": ["erase_k4", "erase_k4_random"]}}, SCHEMA)
    assert found["tables"]["table1"] == [*CONFIG["tables"]["table1"], "erase_k4", "erase_k4_random"]
    assert prepared(found, SCHEMA) == found  # where another workflow hands on what this one has read
    small = {**CONFIG, "tables": {"table1": ["base", "vanilla"]}, "more_arms": {"table4": ["base", "vanilla"]}}
    assert prepared(small, SCHEMA)["tables"]["table4"] == ["base", "vanilla"]
    for more, said in (
        ("vanila", "unknown 'vanila', did you mean 'vanilla'?"),
        ("vanilla", "'vanilla' is there twice"),
    ):
        with pytest.raises(ConfigError, match=f"^config: tables.table1: {re.escape(said)}"):
            prepared({**CONFIG, "more_arms": {"table1": [more]}}, SCHEMA)


def test_an_arm_and_a_direction_may_leave_out_what_has_a_default():
    config = copy.deepcopy(CONFIG)
    config["directions"]["hack"] = {"kind": "hack"}
    check(config, SCHEMA)
    settings = vars(DirectionConfig()) | {"kind": "random", "subset": "all", "body": "natural"}
    assert direction_spec(config, "random") == settings
    config["arms"]["vanilla"] = {"intervention": "none"}
    config["tables"] = {"table1": ["base", "vanilla", "vanilla_alone", "no_loophole"]}
    check(config, SCHEMA)
    assert table_arm(config, "vanilla")["direction"] is None


def leaves(schema, path=()):
    """Yield (path, schema) of every leaf of the schema that config.yaml has to set."""
    for key, value in schema["properties"].items():
        if "properties" in value:
            yield from leaves(value, (*path, key))
        elif "additionalProperties" not in value:
            yield (*path, key), value


def test_schema_defaults_are_those_of_config_yaml_and_every_key_is_described():
    check(CONFIG, SCHEMA)
    seen = 0
    for path, schema in leaves(SCHEMA):
        value = CONFIG
        for key in path:
            value = value[key]
        assert schema["default"] == value, path
        assert schema["description"], path
        seen += 1
    assert seen > 50


def test_arm_defaults_in_the_schema_are_those_of_the_dataclasses():
    properties = SCHEMA["properties"]["arms"]["additionalProperties"]["properties"]
    for name, schema in properties.items():
        if "default" in schema and name not in ("baseline", "twin", "intervention"):  # which have another name there
            assert schema["default"] == getattr(Intervention() if hasattr(Intervention(), name) else Arm("a"), name)


def test_an_arm_is_built_from_one_flat_mapping():
    arm = build_arm("x", {"intervention": "erase", "direction": "hack", "k": 4, "gate": "no_gate", "mix": 0.5})
    assert arm == Arm("x", Intervention("erase", "no_gate"), "hack", 4, mix=0.5)
