"""The SLURM profile beside the default one and the rules."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
DEFAULT = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
ALL_RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
LEAST_MB = 500


def test_what_the_default_profile_says_holds_on_a_cluster_too():
    assert {key: PROFILE.get(key) for key in DEFAULT if key != "cores"} == {
        key: value for key, value in DEFAULT.items() if key != "cores"
    }


def test_every_rule_gets_its_own_memory_times_the_attempt():
    asked = dict(re.findall(r"^rule (\w+):\n(?:.*\n)*?\s+mem_mb=(\d+),", ALL_RULES, flags=re.MULTILINE))
    assert list(asked) == re.findall(r"^rule (\w+):", ALL_RULES, flags=re.MULTILINE)
    raised = {rule: resources["mem_mb"] for rule, resources in PROFILE["set-resources"].items()}
    assert {rule: raised.get(rule) for rule in asked} == {rule: f"{mb} * attempt" for rule, mb in asked.items()}
    assert min(map(int, asked.values()), default=0) >= LEAST_MB
    assert PROFILE["default-resources"]["mem_mb"] >= LEAST_MB


def test_every_rule_but_the_one_that_resumes_gets_its_own_time_times_the_attempt():
    asked = dict(re.findall(r"^rule (\w+):\n(?:.*\n)*?\s+runtime=(\d+),", ALL_RULES, flags=re.MULTILINE))
    raised = {rule: PROFILE["set-resources"][rule].get("runtime") for rule in asked}
    assert raised == {rule: None if rule == "train" else f"{minutes} * attempt" for rule, minutes in asked.items()}


def test_the_second_base_models_stages_get_what_the_first_ones_do():
    own = PROFILE["set-resources"]
    stages = re.findall(r"use rule (\w+) from second as second_\1\n", (ROOT / "Snakefile").read_text())
    assert "train" in stages
    assert {rule: own[f"second_{rule}"] for rule in stages} == {rule: own[rule] for rule in stages}
    assert set(own) == {*re.findall(r"^rule (\w+):", ALL_RULES, flags=re.M), *(f"second_{rule}" for rule in stages)}


def test_no_site_is_named():
    assert not re.search(r"^[^#\n]*(account|partition|qos)", (ROOT / "profiles/slurm/config.yaml").read_text(), re.M)
