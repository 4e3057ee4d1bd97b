"""The workflow as a user runs it: the smoke preset in copies of the repository."""

import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from workflow_harness import ELSEWHERE, ROOT, SMOKE, copy_of_the_repository, copy_with_results, smoke, snakemake

from projected_grpo.documents.blocks import machine
from projected_grpo.documents.rows import RowsError, machines, pack
from projected_grpo.reporting.titles import FIGURES
from projected_grpo.workflow.code_version import code_version

ARMS = SMOKE["tables"]["table1"]


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
    pages = {arm: (results / f"pages/arms/{arm}.html").read_text() for arm in SMOKE["tables"]["table1"]}
    assert all(f"<h1>{arm}: runs, curves, rollouts</h1>" in page for arm, page in pages.items())
    table_page = (results / "pages/table1.html").read_text()
    assert all(f'<a href="arms/{arm}.html" data-report="../' in table_page for arm in pages)
    shown = "".join(pages.values())  # prompts as the models were given them
    assert (
        "&lt;|user|&gt;Write class" in shown and "The solution is graded by" in shown and "&lt;|assistant|&gt;" in shown
    )
    said = done.stdout + done.stderr
    assert re.search(r"train\s+\d+ jobs\s+\d", said) and said.count("Table 1: deployed model") == 1
    assert ("Next: make report CONFIG=presets/smoke.yaml " in said) == (not ELSEWHERE)


def test_a_report_of_folders_holds_what_its_pages_lead_to(smoke_run, tmp_path):
    folder = copy_with_results(smoke_run[0], tmp_path / "repository")
    pages = [f"{SMOKE['results']}/pages/{name}.html" for name in ("table1", *(f"arms/{arm}" for arm in ARMS))]
    numbers, figure = f"{SMOKE['results']}/table1.csv", f"{SMOKE['results']}/figures/profile.png"
    done = snakemake(
        folder, "--configfile", "presets/smoke.yaml", "--report", "report.zip", "--", *pages, numbers, figure
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with zipfile.ZipFile(folder / "report.zip") as report:
        (page,) = (name for name in report.namelist() if name.endswith("/table1.html"))
        led = set(re.findall(r'data-report="\.\./(.*?)"', report.read(page).decode()))
        assert {Path(file).stem for file in led} == set(ARMS)
        assert {f"report/data/raw/{file}" for file in led} <= set(report.namelist())
        page = report.read("report/report.html").decode()
        assert set(re.findall(r'"table": "(.*?)"', page)) == {"table1"}
        assert f'"what": "{FIGURES["profile"][1]}", "table": "table1"' in page


def test_the_workflow_makes_every_figure_that_has_a_title(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    done = snakemake(folder, "-n", "--configfile", "presets/smoke.yaml", str(ROOT / "tests/whole.yaml"))
    wanted = re.search(r"^rule all:\n    input: (.*)$", done.stdout + done.stderr, flags=re.MULTILINE).group(1)
    assert set(re.findall(r"figures/(\w+)\.png", wanted)) == {*FIGURES}


def test_tables_and_figures_are_made_again_from_their_rows_alone(smoke_run, tmp_path):
    made, folder = smoke_run[0] / SMOKE["results"], copy_of_the_repository(tmp_path / "repository")
    pack(made, tmp_path / "rows")
    results = folder / SMOKE["results"]
    results.mkdir(parents=True)
    for archive in sorted((tmp_path / "rows").iterdir()):
        subprocess.run(["tar", "-xJf", str(archive), "-C", str(results)], check=True)
    wanted = ["table1.csv", "table1.md", "h1.json", "figures/training_curves.svg"]
    smoke(folder, "-j2", "--allowed-rules", "table1", "figures", "--", *(f"{SMOKE['results']}/{n}" for n in wanted))
    for name in wanted:
        assert (results / name).read_bytes() == (made / name).read_bytes(), name
    steps = "replicate0/runs/vanilla/steps.parquet"
    assert (results / steps).stat().st_mtime == int((made / steps).stat().st_mtime)
    assert machines(results) == machines(made) == [machine()]
    (results / "replicate0/machine.txt").write_text("another\n")
    pack(results, tmp_path / "again")
    with tarfile.open(tmp_path / "again/replicate0.tar.xz") as archive:
        assert archive.extractfile("replicate0/machine.txt").read() == b"another\n"
    assert machines(results) == ["another"]
    (results / "replicate0/runs/vanilla/evaluation.parquet").unlink()
    with pytest.raises(RowsError, match=r"vanilla/evaluation\.parquet: not there; pack replicates that are finished"):
        pack(results, tmp_path / "third")


def test_then_there_is_nothing_to_do(smoke_run):
    assert "Nothing to be done" in "".join(vars(smoke(smoke_run[0], "-n")).get(name) for name in ("stdout", "stderr"))


def test_the_code_that_a_stage_records_is_that_of_its_script_where_it_lies(smoke_run):
    made = json.loads((smoke_run[0] / SMOKE["results"] / "h1.json").read_text())["provenance"]["code"]
    assert made == code_version(ROOT / "workflow_scripts/table1.py")


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
    settings = {**SMOKE, "results": "elsewhere", "tables": {**SMOKE["tables"], "table1": ["base", "vanilla"]}}
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
        (
            {"pairs": {"kind": "authored", "path": "typo.json"}, "tables": {"table3": [], "table4": []}},
            "config: pairs.path: typo.json is no file in {folder}",
        ),
        ({"train": {"lr": "1e-3"}}, "config: train.lr: '1e-3' is a text to YAML; write 0.001 or 1.0e-3"),
        ({"arms": {8: {"intervention": "none"}}}, "config: arms: 8 is no name: up to 100 letters, digits, _ and -, a"),
        ({"train": {"stesp": 2}}, "config: train: unknown 'stesp', did you mean 'steps'?"),
    ],
)
def test_a_bad_config_gets_one_clear_line(tmp_path, change, message):
    folder = copy_of_the_repository(tmp_path / "repository")
    (folder / "bad.yaml").write_text(yaml.safe_dump(change))
    done = snakemake(folder, "-n", "--configfile", "bad.yaml")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "config:" in line]
    assert done.returncode != 0
    assert len(said) == 1 and said[0].startswith(message.format(folder=folder))


@pytest.mark.parametrize("table", ["table2", "table3", "relearning", "doses", "table4", "horizon"])
def test_a_table_without_arms_is_asked_for_in_vain_before_any_job(tmp_path, table):
    folder = copy_of_the_repository(tmp_path / "repository")
    done = snakemake(folder, "-j1", "--configfile", "presets/smoke.yaml", "--", f"results/smoke/{table}.csv")
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "config:" in line]
    assert done.returncode != 0 and not (folder / "results").exists()
    assert said == [f"config: tables.{table}: it has no arms; list some there, or ask for another table"]


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("pairs.path", {"pairs": {"kind": "authored", "path": "mistyped"}}),
        ("teacher.id", {"teacher": {"kind": "import", "id": "mistyped"}}),
        (
            "problems.files.evaluation",
            {"problems": {"kind": "leetcode", "files": dict.fromkeys(("train", "pairs", "evaluation"), "mistyped")}},
        ),
        ("model.id", {"model": {"kind": "gguf", "id": "mistyped"}}),
    ],
)
def test_a_mistyped_path_beside_finished_results_is_no_new_page_of_old_numbers(smoke_run, tmp_path, key, change):
    folder = copy_with_results(smoke_run[0], tmp_path / "repository")
    before = {path: path.stat().st_mtime_ns for path in (folder / SMOKE["results"]).rglob("*") if path.is_file()}
    (folder / "typo.yaml").write_text(yaml.safe_dump(change))
    done = snakemake(folder, "-j2", "--configfile", "presets/smoke.yaml", "typo.yaml")
    assert done.returncode != 0 and f"config: {key}: mistyped is no file in {folder}" in done.stdout + done.stderr
    after = {path: path.stat().st_mtime_ns for path in (folder / SMOKE["results"]).rglob("*") if path.is_file()}
    assert after == before


def test_a_locale_without_utf_8_changes_nothing(smoke_run, tmp_path):
    folder = copy_with_results(smoke_run[0], tmp_path / "repository")
    results = folder / SMOKE["results"]
    made = ("table1.md", "table1.csv", "h1.json", "checks.md", "pages/table1.html", "pages/arms/vanilla.html")
    before = {name: (results / name).read_bytes() for name in made}
    for name in made:
        (results / name).unlink()
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = snakemake(folder, "-j2", "--configfile", "presets/smoke.yaml", **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert {name: (results / name).read_bytes() for name in made} == before


def test_every_file_of_a_run_has_the_permissions_that_the_umask_leaves(smoke_run):
    umask = os.umask(0o022)
    os.umask(umask)
    files = [path for path in (smoke_run[0] / SMOKE["results"]).rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if path.stat().st_mode & 0o777 != 0o666 & ~umask] == []


def test_it_runs_from_any_directory(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = "results/smoke/problems/train.parquet"
    told = ("-s", str(folder / "Snakefile"), "--configfile", str(folder / "presets/smoke.yaml"), "-j1", "--", made)
    done = snakemake(elsewhere, *told, package=folder / "src")
    assert done.returncode == 0 and (elsewhere / made).exists(), done.stderr
    (elsewhere / made).unlink()
    done = snakemake(folder, "--directory", str(elsewhere), *told)
    assert done.returncode == 0 and (elsewhere / made).exists() and not (folder / "results").exists()


def test_a_config_that_is_not_read_is_said(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    (tmp_path / "config.yaml").write_text("train: {steps: 3}\n")
    told = ("-s", "repository/Snakefile", "-n", "--quiet", "rules")
    done = snakemake(tmp_path, *told, package=folder / "src")
    assert done.returncode != 0
    assert f"config: config.yaml in {tmp_path} was not read; say --configfile config.yaml" in done.stdout + done.stderr
    assert snakemake(tmp_path, *told, "--configfile", "config.yaml", package=folder / "src").returncode == 0


def test_a_clone_under_a_path_with_a_space_runs(tmp_path):
    folder = copy_of_the_repository(tmp_path / "my clones" / "repository")
    made = "results/smoke/problems/train.parquet"
    done = snakemake(folder, "-j1", "--configfile", "presets/smoke.yaml", "--", made)
    assert done.returncode == 0 and (folder / made).exists(), done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_stops_the_base_model_before_its_training(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    (folder / "cuda.yaml").write_text("portable: false\nmodel: {device: cuda}\n")
    made = "results/smoke/replicate0/base/model.safetensors"
    done = snakemake(folder, "-j1", "--configfile", "presets/smoke.yaml", "cuda.yaml", "--", made)
    log = (folder / "results/smoke/logs/base_model/replicate0.log").read_text()
    assert done.returncode != 0
    assert log.startswith("error: model.device is cuda, but torch") and len(log.splitlines()) == 1


def test_a_dry_run_after_a_change_prints_no_config(smoke_run):
    done = smoke(smoke_run[0], "-n", "--config", "evaluation={samples: 3, test_functions: [verify]}")
    said = done.stdout + done.stderr
    assert re.search(r"^evaluate +7$", said, flags=re.MULTILINE) and re.search(r"^pages +1$", said, flags=re.MULTILINE)
    assert "cosine_steps" not in said and not re.search(r"^train +\d", said, flags=re.MULTILINE)
    assert "Table 1" not in said


def test_a_dry_run_after_a_change_of_a_table_says_so_in_short(smoke_run):
    done = smoke(smoke_run[0], "-n", "--config", "arms={erase: {slow: vanilla_slow}}")
    reasons = re.findall(r"Params have changed since last execution: .*", done.stdout + done.stderr)
    assert len(reasons) == 3 and max(map(len, reasons)) < 400  # table1, figures and checks


def test_a_key_twice_in_a_config_file_gets_one_clear_line(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    (folder / "bad.yaml").write_text("arms:\n  a: {mix: 0.5}\n  b: {mix: 0.5}\n\n  a: {mix: 0.25}\n")
    done = snakemake(folder, "-n", "--configfile", "bad.yaml")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "config:" in line]
    assert done.returncode != 0
    assert said == [f"config: {folder}/bad.yaml, line 5: 'a' is there twice, first in line 2; join them"]


def test_v_is_tried_as_a_detector_beside_the_controls_of_table_1(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    wanted = "results/replicate1/detection.parquet"
    done = snakemake(folder, "-n", wanted)
    job = re.search(r"^rule detection:\n    input: (.*)$", done.stdout + done.stderr, flags=re.MULTILINE).group(1)
    tried = set(re.findall(r"directions/(\w+)/V.safetensors", job))
    assert {"hack", "random", "shuffled", "nonhack"} <= tried
    assert not {"random_without_sentinel", "flipped"} & tried
