"""The config's folds: what tables 2 and 3 add to it, and what they refuse."""

from pathlib import Path

import pytest
import yaml

from projected_grpo.workflow import arms, claims, config, folds, twins

PLAIN = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text())
CONFIG = twins.with_twins(PLAIN)

FOLDED = {"direction", "signal", "twin_of"}


def test_folds_add_arms_that_know_nothing_of_the_held_out_mode():
    expanded = folds.with_folds(CONFIG)
    for mode in CONFIG["modes"]:
        for plain in CONFIG["tables"]["table2"]:
            name = folds.fold_arm(CONFIG, plain, mode)
            made, direction = expanded["arms"][name], arms.direction_of(expanded, name)
            if name == plain:
                assert not made.get("mix") and (made["intervention"] == "none" or direction["kind"] == "random")
                continue
            assert arms.subset_of(expanded, name) == f"without_{mode}"
            if direction:
                assert direction == {**arms.direction_of(CONFIG, plain), "subset": f"without_{mode}"}
            plainly = arms.training_spec(CONFIG, plain)
            changed = {key: f"{plainly[key]}_without_{mode}" for key in FOLDED & plainly.keys()}
            if "signal" in plainly:
                signal, whole = arms.signal_of(expanded, name), arms.signal_of(CONFIG, plain)
                moved = {"direction": f"hack_without_{mode}"} if "direction" in whole else {}
                assert signal == whole | moved | {"subset": f"without_{mode}"}
            plainly.pop("measures", None)  # which are table 1's
            assert arms.training_spec(expanded, name) == plainly | changed
            assert made["baseline"] in expanded["arms"]
    assert expanded["arms"]["erase_without_sentinel"]["baseline"] == "vanilla_without_sentinel"
    assert expanded["arms"]["erase_alone_without_sentinel"]["baseline"] == "vanilla_alone"


def test_what_a_fold_cannot_change_is_trained_once():
    shared = {name for name in CONFIG["tables"]["table2"] if folds.fold_arm(CONFIG, name, "sentinel") == name}
    assert shared == {
        "base", "vanilla_alone", "vanilla_slow_alone", "vanilla_slower_alone", "erase_random_alone",
        "erase_update_random_alone", "route_random_alone",
    }  # fmt: skip
    twin = folds.fold_arm(CONFIG, "route_rollout_alone_twin", "sentinel")
    assert twin == "route_rollout_alone_twin_without_sentinel"
    for name in ("truth_penalise_alone", "truth_penalise_alone_twin", "kl_01"):  # the truth holds nothing out
        spec = {**CONFIG["arms"][name], "mix": 0.0}
        assert folds.fold_arm(CONFIG | {"arms": {name: spec}}, name, "sentinel") == name
    assert folds.fold_arm(CONFIG, "warmstart", "sentinel") == "warmstart_without_sentinel"


def test_a_fold_switches_the_subset_of_every_signal():
    table2 = ["base", "vanilla", "vanilla_slow", "probe_drop", "detector_penalise", "screen_rollout", "trusted"]
    config = twins.with_twins(PLAIN | {"tables": {**PLAIN["tables"], "table2": [*table2, "trusted_random"]}})
    expanded = folds.with_folds(config)
    for name, kind in (("probe_drop", "probe"), ("detector_penalise", "detector"), ("screen_rollout", "overlap")):
        fold = f"{name}_without_sentinel"
        signal = arms.signal_of(expanded, fold)
        assert (signal["kind"], signal["subset"]) == (kind, "without_sentinel") and arms.subset_of(expanded, fold) == (
            "without_sentinel"
        )
        assert expanded["arms"][f"{name}_twin_without_sentinel"]["twin_of"] == fold
        assert expanded["signals"][config["arms"][name]["signal"]] == config["signals"][config["arms"][name]["signal"]]
    assert expanded["signals"]["overlap_without_sentinel"]["direction"] == "hack_without_sentinel"
    random = expanded["directions"]["random_clean_without_sentinel"]
    assert random["like"] == "clean_without_sentinel"
    assert expanded["directions"]["clean_without_sentinel"]["like"] == "hack_without_sentinel"
    assert arms.direction_spec(expanded, "random_clean_without_sentinel")["subset"] == "without_sentinel"


def test_the_twin_differs_by_a_random_V_alone():
    assert claims.twin(CONFIG, "erase") == "erase_random"
    assert claims.twin(CONFIG, "erase_update_alone") == "erase_update_random_alone"
    assert claims.twin(CONFIG, "route_alone") == "route_random_alone"
    assert claims.twin(CONFIG, "route_rollout") == "route_rollout_twin"
    assert claims.twin(CONFIG, "trusted") == "trusted_random"
    assert claims.twin(CONFIG, "erase_voted") == "erase_voted_random"
    assert (
        claims.twin(CONFIG, "route_long") == "route_random_long"
        and claims.twin(CONFIG, "erase_long") == "erase_random_long"
    )
    assert claims.twin(CONFIG, "erase_k4") == "erase_k4_random" and claims.twin(CONFIG, "vanilla") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table_replicates": {"table2": [40]}}, "config: table_replicates.table2: 40 is not one of replicates"),
        ({"modes": ["run_tests"]}, "config: tables.table2: holding a mode out takes at least two modes"),
        (
            {"tables": {**PLAIN["tables"], "table2": ["base", "vanilla_slow"]}},
            "config: tables.table2: vanilla_slow is there without its baseline vanilla",
        ),
        (
            {"evaluation": {**CONFIG["evaluation"], "subset": 7}},
            "config: evaluation.subset: 7 problems are too few for table2, which needs two of each mode",
        ),
        (
            {"evaluation": {**CONFIG["evaluation"], "subset": 62}},
            "config: evaluation.subset: 62 is no multiple of 4, the number of modes; .*: take 60$",
        ),
        (
            {"problems": {**CONFIG["problems"], "evaluation": 118}},
            "config: problems.evaluation: 118 is no multiple of 4, the number of modes; .*: take 116$",
        ),
        (
            {
                "arms": {**PLAIN["arms"], "vanilla": {"intervention": "none", "mix": 0.25}},
                "tables": {"table1": ["base", "vanilla"], "table2": ["base", "vanilla"]},
            },
            "config: arms.vanilla: in table2 an arm with a teacher needs a direction or a signal",
        ),
    ],
)
def test_folds_that_cannot_be_are_one_line(change, message):
    schema = yaml.safe_load((Path(__file__).resolve().parents[1] / "schemas/config.schema.yaml").read_text())
    with pytest.raises(config.ConfigError, match=message):
        config.check(PLAIN | change, schema)


def test_other_tables_than_the_third_take_any_number_of_problems():
    schema = yaml.safe_load((Path(__file__).resolve().parents[1] / "schemas/config.schema.yaml").read_text())
    more = {"evaluation": {**CONFIG["evaluation"], "subset": 62}, "problems": {**CONFIG["problems"], "evaluation": 118}}
    config.check(PLAIN | more | {"tables": {**PLAIN["tables"], "table3": []}}, schema)
    small = {"evaluation": {**CONFIG["evaluation"], "subset": 62}, "problems": {**CONFIG["problems"], "evaluation": 60}}
    config.check(PLAIN | small, schema)  # all of them are evaluated along the run


def test_table_3_holds_one_mode_out_of_each_replicate_in_turn():
    config = {**CONFIG, "replicates": [1, 2, 6]}
    runs = folds.in_turn(config)["probe_penalise"]["runs"]
    assert runs == {n: f"probe_penalise_without_{CONFIG['modes'][place]}" for n, place in ((1, 0), (2, 1), (6, 1))}
    assert set(folds.in_turn(config)["base"]["runs"].values()) == {"base"}
    only = {**config, "tables": {"table1": CONFIG["tables"]["table1"], "table3": CONFIG["tables"]["table3"]}}
    expanded = folds.with_folds(only)
    assert (
        "probe_penalise_without_sentinel" in expanded["arms"]
        and "probe_penalise_without_file_marker" not in expanded["arms"]
    )
    assert expanded["signals"]["probe_without_sentinel"]["subset"] == "without_sentinel"
    used = set(folds.in_tables(only))
    assert {"erase", "probe_penalise_without_sentinel"} <= used and "probe_penalise" not in used
