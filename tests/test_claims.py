"""What an arm is compared with: its twin, its controls, its baseline, and what the config's tables have for it."""

import copy

import pytest
from test_config import CONFIG

from projected_grpo.workflow.arms import ceiling, knows, training_spec
from projected_grpo.workflow.claims import (
    claims,
    evaluation_settings,
    is_tested,
    short_arms,
    table_arm,
    table_arms,
    twin,
    without_quarantine,
)
from projected_grpo.workflow.folds import folds, with_folds
from projected_grpo.workflow.twins import with_twins

WHOLE = with_twins(CONFIG)


def test_every_intervention_of_the_config_has_its_twin():
    tested = [name for name in WHOLE["arms"] if is_tested(WHOLE, name)]
    assert len(tested) > 50
    for name in tested:
        assert WHOLE["arms"][twin(WHOLE, name)].get("twin_of", name) == name, name


def test_a_twin_is_its_arm_without_information_and_stands_beside_it():
    own = {key: value for key, value in CONFIG["arms"]["probe_drop"].items() if key != "twin"}
    assert WHOLE["arms"]["probe_drop"] == own
    del own["slow"]  # a control claims nothing
    assert WHOLE["arms"]["probe_drop_twin"] == own | {"twin_of": "probe_drop"}
    for table in WHOLE["tables"].values():
        for place, name in enumerate(table):
            if CONFIG["arms"].get(name, {}).get("twin"):
                assert table[place + 1] == f"{name}_twin"
    assert twin(WHOLE, "probe_drop") == "probe_drop_twin" and twin(WHOLE, "erase") == "erase_random"
    assert is_tested(WHOLE, "probe_drop") and not is_tested(WHOLE, "probe_drop_twin")
    assert not is_tested(WHOLE, "kl_01") and is_tested(WHOLE, "gradreg") and is_tested(WHOLE, "trusted")


def test_what_every_arm_knows():
    known = {name: knows(WHOLE, name) for name in WHOLE["arms"]}
    assert {
        name: known[name] for name in ("vanilla", "kl_01", "gradreg", "probe_drop_twin", "erase_random")
    } == dict.fromkeys(("vanilla", "kl_01", "gradreg", "probe_drop_twin", "erase_random"), "0")
    assert {known[name] for name in ("probe_drop", "route_rollout", "erase", "trusted", "warmstart")} == {"P"}
    assert known["detector_drop"] == "M" and known["recontext"] == known["inoculate"] == "T"
    assert known["truth_70_penalise"] == known["audit"] == "O"
    both = copy.deepcopy(WHOLE)
    both["arms"]["erase"] |= {"signal": "detector", "action": "drop"}
    assert knows(both, "erase") == "M+P"


GATED = {"signal": "overlap", "action": "route", "quarantine_rank": 16, "mix": 0.25}


SCREENED = {"signal": "overlap", "action": "drop", "mix": 0.25}


@pytest.mark.parametrize(
    ("routes", "other", "alike"),
    [
        (GATED, SCREENED, True),
        (GATED | {"ablated": 0.5}, SCREENED, True),
        (GATED, SCREENED | {"signal": "probe"}, False),
        (GATED, SCREENED | {"mix": 0.0}, False),
        (GATED, GATED, False),
        ({"intervention": "route", "gate": "no_gate"}, {"intervention": "erase", "gate": "no_gate"}, True),
        ({"intervention": "route", "gate": "no_gate"}, {"intervention": "erase"}, False),
        ({"intervention": "erase"}, {"intervention": "erase"}, False),
    ],
)
def test_routing_is_paired_with_its_own_gate_without_a_quarantine(routes, other, alike):
    config = {"arms": {"one": routes, "other": other}, "train": CONFIG["train"]}
    assert without_quarantine(config, "one", ["one", "other"]) == ("other" if alike else None)
    assert without_quarantine(config, "one", ["one"]) is None  # it has to be in the table


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"gate": "no_gate"}, False),
        ({"project": "update"}, False),
        ({"k": 4}, False),
        ({"mix": 0.5}, False),
    ],
)
def test_what_works_without_the_teacher_is_the_same_gate_and_form(change, alike):
    config = copy.deepcopy(CONFIG)
    config["arms"]["erase_alone"] |= change
    config["tables"]["table1"] = ["vanilla", "vanilla_alone", "erase", "erase_alone"]
    assert claims(config, "table1")["erase"]["alone"] == ["erase_alone"] * alike
    if not change:
        assert claims(config, "table1")["erase_alone"]["alone"] == []


def test_a_claim_is_held_against_all_that_the_table_has_for_it():
    found = claims(WHOLE, "table1")
    assert list(found) == [
        *("erase", "erase_nogate", "erase_update", "route", "route_rollout", "probe_drop", "activation_discount"),
        "erase_update_onesided_alone",
    ]
    slow = ["vanilla_slow", "vanilla_slower", "vanilla_slowest", "vanilla_cold"]
    controls = ["erase_random", "erase_shuffled", "erase_nonhack"]
    assert found["erase"] == {"controls": controls, "slow": slow, "alone": [], "screen": None}
    assert found["route"]["screen"] == "erase_nogate" and found["route_rollout"]["screen"] is None
    assert found["erase_update_onesided_alone"]["slow"] == ["vanilla_slow_alone", "vanilla_slower_alone"]
    more_arms = ["vanilla_slower", "vanilla_slowest", "vanilla_cold", "erase_flipped", "erase_k4", "erase_k4_random"]
    onesided = ("", "_random", "_shuffled", "_alone", "_random_alone", "_shuffled_alone")
    more_arms += [f"erase_update_onesided{end}" for end in onesided]
    more_arms += ["screen_rollout", "erase_alone", "erase_random_alone", "vanilla_slowest_alone", "vanilla_cold_alone"]
    study = copy.deepcopy(CONFIG)
    study["tables"]["table1"] = list(dict.fromkeys([*study["tables"]["table1"], *more_arms]))
    more = claims(with_twins(study), "table1")
    assert more["erase"]["controls"] == ["erase_random", "erase_shuffled", "erase_nonhack", "erase_flipped"]
    assert more["erase"]["alone"] == ["erase_alone"] and more["erase_k4"]["controls"] == ["erase_k4_random"]
    assert more["erase_update_onesided"]["alone"] == ["erase_update_onesided_alone"]
    del study["arms"]["vanilla_cold"]["intervention"]  # a default that is left out sets no arm apart
    assert "vanilla_cold" in claims(with_twins(study), "table1")["erase"]["slow"]
    assert evaluation_settings(study, "vanilla_cold")["every"] == study["evaluation"]["stops_every"]
    assert more["route_rollout"]["screen"] == "screen_rollout"
    doses = [f"vanilla_{dose}_alone" for dose in ("slow", "slower", "slowest", "cold")]
    assert more["erase_alone"]["slow"] == doses
    assert more["erase_update_onesided"]["controls"] == [
        *("erase_update_onesided_random", "erase_update_onesided_shuffled")
    ]


def test_the_base_model_is_held_against_the_first_baseline_of_its_table():
    for table in ("table1", "table2", "table3", "table4", "horizon"):
        known = table_arms(CONFIG, table)
        assert next(iter(known)) == "base" and known["base"]["last"] == 0
        assert known["base"]["baseline"] == ("vanilla_long" if table == "horizon" else "vanilla")
    assert {run for arms in folds(CONFIG).values() for run in arms["base"]["runs"].values()} == {
        "base"
    }  # no fold has one of its own


def test_a_tables_ceiling_is_its_arm_without_loopholes():
    assert [ceiling(CONFIG, table) for table in ("table1", "horizon", "table2")] == [
        *("no_loophole", "no_loophole_long", None)
    ]
    assert table_arm(CONFIG, "no_loophole")["baseline"] == "vanilla_alone"  # it has no teacher either
    steps = {table: {arm["last"] for arm in table_arms(CONFIG, table).values()} for table in ("table1", "horizon")}
    assert steps == {"table1": {0, 72}, "horizon": {0, 216}}


def test_runs_that_an_early_stop_may_stop_are_evaluated_more_often_whatever_table_asks():
    often = {name for name in CONFIG["arms"] if evaluation_settings(CONFIG, name)["every"] == 3}
    doses = ("", "_slow", "_slower", "_slowest", "_cold")
    short = {f"vanilla{dose}{alone}" for dose in doses for alone in ("", "_alone")}
    long = {f"vanilla{dose}_long{alone}" for dose in ("", "_slow", "_cold") for alone in ("", "_alone")}
    assert often == short | long | {"vanilla_colder"}
    assert "stops_every" not in evaluation_settings(CONFIG, "erase")
    expanded = with_folds(CONFIG)
    for name, every in (
        ("vanilla_without_sentinel", 3),
        ("vanilla_slow_without_sentinel", 3),
        ("erase_without_sentinel", 12),
    ):
        assert evaluation_settings(expanded, name)["every"] == every
    alone = CONFIG | {"tables": {"table1": ["base", "vanilla_slow"]}}
    assert evaluation_settings(alone, "vanilla_slow") == evaluation_settings(CONFIG, "vanilla_slow")


def test_what_is_logged_or_named_beside_an_arm_sets_it_apart_from_none():
    config = copy.deepcopy(CONFIG)
    config["arms"]["erase"] |= {"slow": "vanilla_slow", "measures": ["random"]}
    config["arms"]["vanilla"].pop("measures", None)
    found = claims(config, "table1")["erase"]
    assert found == claims(CONFIG, "table1")["erase"]
    assert training_spec(config, "erase") == training_spec(CONFIG, "erase") | {"measures": ["random"]}
    assert table_arm(config, "erase")["slow"] == "vanilla_slow"


def test_every_arm_of_the_horizon_but_the_base_model_has_a_shorter_one():
    assert [name for name, early in short_arms(CONFIG).items() if early is None] == ["base"]
