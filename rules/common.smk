"""What the rules share: the checked config, the arm grid, code versions, collectors. The only place with functions."""

import json
import os
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from projected_grpo.reporting.titles import FIGURES
from projected_grpo.workflow import code_version as versions
from projected_grpo.workflow.arms import (
    ceiling,
    direction_of,
    direction_spec,
    first_trained,
    is_fitted,
    model_spec,
    replicates_of,
    seeds_of,
    signal_of,
    signal_spec,
    steps_of,
    subset_of,
    train_settings,
    training_spec,
)
from projected_grpo.workflow.claims import (
    ablations,
    claims,
    dose_families,
    evaluation_settings,
    short_arms,
    short_table_arms,
    table_arms,
)
from projected_grpo.workflow.config import ConfigError, prepared
from projected_grpo.workflow.folds import (
    folds,
    grid,
    hack_directions,
    held_out_mode,
    in_tables,
    in_turn,
    with_folds,
)
from projected_grpo.workflow.local import contents
from projected_grpo.workflow.params import Brief, canonical
from projected_grpo.workflow.paths import check_own_config, check_python
from projected_grpo.workflow.timing import stage_minutes
from projected_grpo.workflow.twice import check_keys
from projected_grpo.workflow.twins import with_twins

if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    raise WorkflowError(
        "conda environments are not supported: `make setup`, and run without --sdm conda"
    )
# From wherever the workflow is, which may be a git repository.
SCHEMA_FILE = Path(workflow.source_path("../schemas/config.schema.yaml"))
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
try:
    check_python(sys.executable)
    if not workflow.modifier.skip_configfile:  # as in another workflow's module
        check_own_config(workflow.configfiles)
        check_keys(workflow.configfiles)
    config.update(prepared(config, SCHEMA))
except ConfigError as error:
    raise WorkflowError(str(error))
PLAIN = with_twins(config)  # before the folds are added
for key, section in with_folds(PLAIN).items():
    config[key] = canonical(section)

RESULTS = config["results"]
GRID = grid(PLAIN)
TABLES = [table for table, arms in config["tables"].items() if arms]
# What the others are held against; the base model, which has no run, may stand before it.
FIRST_ARM = first_trained(config, "table1")
PROBLEM_SPLITS = ["train", "pairs", "evaluation"]
DRAWN_TOGETHER = ["table2", "table3", "horizon"]  # their figures, by rule table_figures
PAGES = {  # of table 1, as FIGURES has figures
    "table1": ("table1", "table 1 and verdicts"),
    "setup": ("table1", "config and software"),
}
TABLE_3 = {  # what it is made of besides its runs
    "arms": Brief(in_turn(PLAIN)),
    "claims": Brief(claims(PLAIN, "table3")),
    "ceiling": ceiling(PLAIN, "table3"),
    "modes": {n: held_out_mode(config, n) for n in replicates_of(config, "table3")},
}
TABLE_PAGES = ["checks", "detectors", *(table for table in TABLES if table != "table1")]
ORGANISM_NOTE = (
    "These are numbers of the embedded model organism, a tiny model trained to show the phenomenon:"
    " a model of reward hacking, not of Qwen3-4B."
)
ORGANISM = config["model"]["kind"] == "organism"
NOTE = ORGANISM_NOTE if ORGANISM else f"These are numbers of {config['model']['id']}."
REPLICATE = f"{RESULTS}/replicate{{replicate}}"
# A base model that is read from elsewhere is one for all replicates; an organism is each one's own.
BASE_HOME = f"{REPLICATE}/base" if ORGANISM else f"{RESULTS}/base"
BASE_JOB = "base_model/replicate{replicate}" if ORGANISM else "base_model"
BASE_FILES = [
    f"{BASE_HOME}/{name}"
    for name in [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "organism.json" if ORGANISM else "model.json",
    ]
]
BASE = [*BASE_FILES, f"{BASE_HOME}/factors"]
COMPUTE = {
    "threads": config["threads"],
    "portable": config["portable"],
    "device": config["model"]["device"],
    "attention": config["model"]["attention"],
}
AUTHORED = config["pairs"]["path"]
URLS = {
    file.rpartition("/")[2]: file
    for file in config["problems"]["files"].values()
    if "://" in file
}


wildcard_constraints:
    arm="|".join(config["arms"]),
    direction="|".join(config["directions"]),
    signal="|".join(config["signals"]) or "none",
    subset="all|without_(" + "|".join(config["modes"]) + ")",
    body="natural|matched",
    split="|".join(PROBLEM_SPLITS),
    table="|".join(config["tables"]),
    replicate="|".join(map(str, config["replicates"])),
    source="|".join(URLS) or "none",


def code_version(script):
    """Return the hash of a script and of all package code behind it, for `params: code=`."""
    return versions.code_version(workflow.source_path(f"../{script}"))


PACKAGES = versions.package_versions()
own_code = versions.own_code


def needs(rule, mem_mb, runtime, resumes=False):
    """Return a rule's resources, or what config.resources has instead; a job tried again gets more of them.

    A job that resumes does so where its time ran out, and gets no more of that.
    """
    own = {"mem_mb": mem_mb, "runtime": runtime} | config["resources"].get(rule, {})
    return {
        "mem_mb": lambda wildcards, attempt: own["mem_mb"] * attempt,
        "runtime": lambda wildcards, attempt: own["runtime"]
        * (1 if resumes else attempt),
        "gpu": own.get("gpu", 0),
        **({"gpu_model": own["gpu_model"]} if "gpu_model" in own else {}),
    }


def figures_of(*tables):
    """Return what FIGURES has of some tables, as far as these are wanted."""
    return {
        figure: (table, title)
        for figure, (table, title) in FIGURES.items()
        if table in tables and table in TABLES
    }


def shown(folder, titled, ending, category):
    """Return the files of a folder, as in FIGURES, for the HTML report, each with its caption and labels."""
    files = []
    for name, (table, title) in titled.items():
        file = report(
            f"{RESULTS}/{folder}/{name}.{ending}",
            caption=f"../report/{name}.rst",
            category=category,
            labels={"what": title, "table": table},
        )
        files.append(file)
    return files


def arm_pages(page):
    """Return the pages of the runs that a table's page leads to."""
    runs = grid(PLAIN, [page]) if page in TABLES else []
    return expand(f"{RESULTS}/pages/arms/{{arm}}.html", arm=list(runs))


onsuccess:
    print(
        "Minutes per stage (jobs run side by side, so the wall time is shorter):\n"
        + stage_minutes(Path(RESULTS) / "benchmarks")
    )
    if any(job.rule.name == "table1" for job in workflow.dag.jobs):
        from projected_grpo.reporting.__main__ import screen  # pandas

        # A dash, under a locale that has none.
        sys.stdout.reconfigure(errors="replace")
        changed = workflow.config_settings.config  # by --config, which no file has
        files = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
        print(
            screen(
                Path(RESULTS),
                None if changed else shlex.join(files or ["config.yaml"]),
            )
        )
