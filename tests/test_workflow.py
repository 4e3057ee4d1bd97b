"""The workflow as a user runs it: the smoke preset in copies of the repository."""

import json
import re

import pandas as pd
import pytest
import yaml
from workflow_harness import ROOT, SMOKE, copy_of_the_repository, smoke, snakemake


def test_the_smoke_preset_runs_the_whole_dag(smoke_run):
    folder, done = smoke_run
    results = folder / SMOKE["results"]
    table = pd.read_csv(results / "table1.csv")
    assert list(table["arm"]) == SMOKE["tables"]["table1"]
    assert table[["hack", "solve", "attempted"]].stack().between(0, 1).all()
    verdicts = json.loads((results / "h1.json").read_text())
    assert verdicts["n_replicates"] == 1
    assert all(claim[name]["verdict"] == "undecided" for claim in verdicts["claims"].values() for name in ("H1", "H1s"))
    assert "not of Qwen3-4B" in (results / "table1.md").read_text()
    for figure in ("training_curves", "hack_against_solve", "overlap"):
        assert (results / "figures" / f"{figure}.png").stat().st_size > 10_000
    assert re.search(r"train\s+\d+ jobs\s+\d", done.stdout + done.stderr)


def test_then_there_is_nothing_to_do(smoke_run):
    assert "Nothing to be done" in "".join(vars(smoke(smoke_run[0], "-n")).get(name) for name in ("stdout", "stderr"))


def test_j1_and_j4_give_the_same_bytes(smoke_run, tmp_path):
    folder, _ = smoke_run
    other = copy_of_the_repository(tmp_path / "repository")
    smoke(other, "-j1")
    exempt = {"timing.parquet"}
    ours = {path.relative_to(folder) for path in (folder / SMOKE["results"]).rglob("*") if path.is_file()}
    compared = [
        path for path in sorted(ours) if path.parts[2] not in ("logs", "benchmarks") and path.name not in exempt
    ]
    assert len(compared) > 40
    for path in compared:
        assert (folder / path).read_bytes() == (other / path).read_bytes(), path


def test_another_workflow_can_use_this_one_as_a_module(tmp_path):
    copy_of_the_repository(tmp_path / "repository")
    settings = {**SMOKE, "results": "elsewhere", "tables": {"table1": ["base", "vanilla"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (tmp_path / "Snakefile").write_text(
        """
configfile: "repository/config.yaml"
configfile: "mine.yaml"

module projected_grpo:
    snakefile: "repository/Snakefile"
    config: config

use rule * from projected_grpo as grpo_*

rule mine:
    default_target: True
    input: "elsewhere/table1.csv"
    output: "arms.txt"
    shell: "cut -d, -f1 {input} > {output}"
"""
    )
    done = snakemake(tmp_path, "-j2", package=tmp_path / "repository/src")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert (tmp_path / "arms.txt").read_text().split() == ["arm", "base", "vanilla"]
    assert "grpo_train" in done.stdout + done.stderr and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tables": {"table1": ["vanila"]}}, "config: tables.table1: unknown 'vanila', did you mean 'vanilla'?"),
        ({"modes": ["run_test"]}, "config: modes: unknown 'run_test', did you mean 'run_tests'?"),
        ({"replicates": ["first"]}, "config: replicates.0: 'first' is not of type 'integer'"),
        ({"train": {"stesp": 2}}, "config: train: unknown 'stesp', did you mean 'steps'?"),
    ],
)
def test_a_bad_config_gets_one_clear_line(tmp_path, change, message):
    folder = copy_of_the_repository(tmp_path / "repository")
    (folder / "bad.yaml").write_text(yaml.safe_dump(change))
    done = snakemake(folder, "-n", "--configfile", "bad.yaml")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "config:" in line]
    assert done.returncode != 0
    assert said == [message]


def test_v_is_tried_as_a_detector_beside_the_controls_of_table_1(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    wanted = "results/study/replicate1/detection.parquet"
    done = snakemake(folder, "-n", wanted, "--configfile", "presets/study.yaml")
    job = re.search(r"^rule detection:\n    input: (.*)$", done.stdout + done.stderr, flags=re.MULTILINE).group(1)
    tried = set(re.findall(r"directions/(\w+)/V.safetensors", job))
    assert {"hack", "random", "shuffled", "nonhack"} <= tried
    assert not {"random_without_sentinel", "flipped"} & tried


def rules():
    """Yield (file, name, text) of every rule."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(
            r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), flags=re.MULTILINE | re.DOTALL
        ):
            yield path.name, name, body


@pytest.mark.parametrize(("file", "name", "body"), [pytest.param(*rule, id=rule[1]) for rule in rules()])
def test_every_rule_declares_what_it_needs(file, name, body):
    for directive in ("output:", "params:", "log:", "benchmark:", "threads:", "resources:", "conda:", "script:"):
        assert directive in body, f"{file}: rule {name} lacks {directive}"
    script = re.search(r'script:\s+"\.\./(\S+)"', body).group(1)
    assert f'code=code_version("{script}")' in body
    lines = (ROOT / script).read_text().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    opening = [imports[0], "", "log_to(snakemake.log[0])"]
    assert imports[0] == "from projected_grpo.errors import log_to", f"{script} imports before it redirects its log"
    if "compute=COMPUTE" in body:  # before torch is imported, and where an error finds the log
        opening += ["", imports[1], "", "compute_alike(snakemake.params.compute)"]
        assert imports[1] == "from projected_grpo.portable import compute_alike", f"{script} imports torch before that"
    assert lines[lines.index(imports[0]) :][: len(opening)] == opening, f"{script} does not do so at once"


def test_every_rules_file_opens_with_its_contract():
    for path in (ROOT / "rules").glob("*.smk"):
        head = path.read_text()
        assert head.startswith('"""')
        if path.name != "common.smk":
            assert "\nin " in head and "\nout " in head
