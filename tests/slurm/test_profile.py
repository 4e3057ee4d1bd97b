"""The SLURM profile beside the default one and the rules."""

import re
from pathlib import Path

import pytest
import yaml
from workflow_harness import source_of_needs

ROOT = Path(__file__).resolve().parents[2]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
DEFAULT = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
ALL_RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
LEAST_MB = 500


def test_what_the_default_profile_says_holds_on_a_cluster_too():
    own = {"resources", "max-jobs-per-timespan"}  # of this machine
    assert {key: PROFILE.get(key) for key in DEFAULT.keys() - own} == {
        key: value for key, value in DEFAULT.items() if key not in own
    }


@pytest.mark.parametrize("profile", [PROFILE, DEFAULT])
def test_snakemake_wakes_up_seldom_and_ends_soon(profile):
    count, span = re.fullmatch(r"(\d+)/(\d+)s", profile["max-jobs-per-timespan"]).groups()
    assert 2 <= int(span) <= 10 and int(count) / int(span) >= 10


@pytest.fixture
def needs():
    """The function of rules/common.smk, under a config that knows other resources for one rule."""
    scope = {"config": {"resources": {"train": {"mem_mb": 9000, "gpu": 1}}}}
    exec(source_of_needs(), scope)
    return scope["needs"]


def asked(resources, attempt):
    return {name: value(None, attempt) if callable(value) else value for name, value in resources.items()}


def test_a_job_tried_again_gets_more_memory_and_time(needs):
    own = needs("table1", mem_mb=2000, runtime=15)
    assert asked(own, 1) == {"mem_mb": 2000, "runtime": 15, "gpu": 0}
    assert asked(own, 3) == {"mem_mb": 6000, "runtime": 45, "gpu": 0}


def test_a_job_that_resumes_gets_no_more_time_and_config_comes_first(needs):
    own = needs("train", mem_mb=2000, runtime=60, resumes=True)
    assert asked(own, 2) == {"mem_mb": 18000, "runtime": 60, "gpu": 1}


def test_every_rule_asks_under_its_own_name_and_for_enough_to_run_at_all():
    rules = re.findall(r"^rule (\w+):", ALL_RULES, flags=re.MULTILINE)
    found = re.findall(r"needs\(\s*\"(\w+)\",\s*mem_mb=(\d+),\s*runtime=\d+(, resumes=True)?,?\s*\)", ALL_RULES)
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())
    assert [name for name, *_ in found] == rules == schema["properties"]["resources"]["propertyNames"]["enum"]
    assert min(int(mb) for _, mb, _ in found) >= LEAST_MB <= PROFILE["default-resources"]["mem_mb"]
    assert [name for name, _, resumes in found if resumes] == ["train"]


def test_no_site_is_named():
    assert not re.search(r"^[^#\n]*(account|partition|qos)", (ROOT / "profiles/slurm/config.yaml").read_text(), re.M)
