"""Every table at once: the smoke preset with folds and longer arms, run on top of its results."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from workflow_harness import ROOT, SMOKE, copy_of_the_repository, copy_with_results, snakemake

from projected_grpo.artifacts.io import read_table, read_tensors
from projected_grpo.artifacts.schemas.detection import DETECTION

PRESETS = ["--configfile", "presets/smoke.yaml", str(ROOT / "tests/whole.yaml")]
MODES = SMOKE["modes"]


@pytest.fixture(scope="module")
def whole(smoke_run, tmp_path_factory):
    """The results of such a run, and what it said."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("whole") / "repository")
    done = snakemake(folder, "-j2", *PRESETS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder, folder / SMOKE["results"], done.stdout + done.stderr


def test_table_1_is_not_trained_again(whole):
    folder, _, said = whole
    for arm in ("vanilla", "erase", "erase_random"):
        assert f"replicate0/runs/{arm}/steps.parquet" not in said.split("Job stats")[0]
        assert f"output: {SMOKE['results']}/replicate0/runs/{arm}/steps.parquet" not in said
    done = snakemake(folder, "-n", *PRESETS)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_table_2_and_its_picture(whole):
    _, results, _ = whole
    table = pd.read_csv(results / "table2.csv")
    assert len(table) == 11 * (2 * len(MODES) + 1)
    assert set(table["fold"]) == {*MODES, "all"} and set(table["modes"]) == {"held out", "known"}
    assert (results / "figures/weak_detector.png").stat().st_size > 10_000
    assert "## Folds that hold" in (results / "table2.md").read_text()


def test_a_folds_pool_and_pairs_hold_nothing_of_the_held_out_mode(whole):
    _, results, _ = whole
    for mode in MODES:
        for name in ("pools", "pairs/natural"):
            rows = pd.read_parquet(results / "replicate0" / name / f"without_{mode}.parquet")
            assert len(rows) and mode not in set(rows["mode"])
            assert not any(mode in attempted for attempted in rows["attempted_modes"])
        _, V = read_tensors(results / f"replicate0/directions/hack_without_{mode}/V.safetensors")
        assert V["config"]["direction"]["subset"] == f"without_{mode}"


def test_ablations(whole):
    _, results, _ = whole
    table = pd.read_csv(results / "table4.csv").set_index("arm")
    assert table.index[0] == "base" and table["ablates"].dropna().to_dict() == {"erase_k4": "erase"}
    assert (results / "pages/table4.html").exists()


def test_the_tables_lead_to_the_pages_of_the_runs_behind_them(whole):
    """Those of table 2's folds and of derived twins too; no link leads nowhere."""
    _, results, _ = whole
    behind = {
        "table2": "erase_without_sentinel",
        "table3": "probe_drop_twin_without_sentinel",
        "table4": "erase_k4",
        "horizon": "erase_long",
    }
    for table, arm in behind.items():
        linked = re.findall(r'<a href="(arms/.*?)"', (results / f"pages/{table}.html").read_text())
        assert f"arms/{arm}.html" in linked, table
        assert all((results / "pages" / href).exists() for href in linked), table


def test_every_table_begins_with_the_base_model_and_evaluates_more_often_what_b_stops(whole):
    _, results, _ = whole
    for name in ("table1", "table2", "table4", "horizon"):
        assert pd.read_csv(results / f"{name}.csv")["arm"].iloc[0] == "base", name
    rows = pd.read_parquet(results / "replicate0/runs/base/evaluation.parquet")
    assert set(rows["step"]) == {0} and set(rows["scope"]) == {"full", "subset", "asked"}
    steps = {
        arm: set(pd.read_parquet(results / f"replicate0/runs/{arm}/evaluation.parquet")["step"])
        for arm in ("vanilla_long", "vanilla_slow_long", "erase_long")
    }
    assert steps["vanilla_long"] == steps["vanilla_slow_long"] == {0, 2, 4, 6, 8} and steps["erase_long"] == {0, 4, 8}


def test_table_3_knows_nothing_of_the_mode_that_its_replicate_holds_out(whole):
    _, results, _ = whole
    table = pd.read_csv(results / "table3.csv").set_index("arm")
    assert list(table.index) == ["base", "vanilla", "vanilla_slow", "probe_drop", "probe_drop_twin", "kl_01"]
    assert table.loc["probe_drop", "knows"] == "P" and table.loc["probe_drop_twin", "knows"] == "0"
    held_out = MODES[-1]  # of replicate 0
    arm = results / f"replicate0/runs/probe_drop_without_{held_out}"
    rows = pd.read_parquet(arm / "evaluation.parquet")
    own = rows[(rows["scope"] == "full") & (rows["decoding"] == "sample") & rows["hint"] & (rows["mode"] == held_out)]
    assert table.loc["probe_drop", "hack_held_out"] == pytest.approx(own["exploited"].mean(), abs=1e-6)
    verdicts = json.loads((results / "table3.json").read_text(encoding="utf-8"))
    assert set(verdicts["claims"]) == {"probe_drop"} and "H2" in verdicts["claims"]["probe_drop"]
    for name in ("signal_by_action", "signal_plane"):
        assert (results / f"figures/{name}.png").stat().st_size > 10_000


def test_doses_are_chosen(whole):
    _, results, _ = whole
    table = pd.read_csv(results / "doses.csv")
    assert table["arm"].tolist() == ["kl_01", "kl_001"] and table["chosen"].sum() == 1


def test_relearning_begins_at_the_deployed_model_of_another_arm(whole):
    _, results, _ = whole
    table = pd.read_csv(results / "relearning.csv").set_index("arm")
    assert table.loc["relearn", "start"] == "erase" and pd.isna(table.loc["vanilla", "start"])
    norms = {
        arm: pd.read_parquet(results / f"replicate0/runs/{arm}/steps.parquet")["delta_norm"]
        for arm in ("relearn", "erase", "vanilla")
    }
    assert norms["relearn"].iloc[0] > norms["erase"].iloc[-1] > 1.5 * norms["vanilla"].iloc[0]  # one step, from zero


def test_more_steps(whole):
    _, results, _ = whole
    long = pd.read_csv(results / "horizon.csv")
    assert set(long["last_step"]) == {0, 8} and "Does the effect shrink" in (results / "horizon.md").read_text()
    assert (results / "figures/horizon.png").stat().st_size > 10_000


def test_two_replicates_share_no_byte_but_the_problems(smoke_run, tmp_path):
    """One more replicate, as far as a run: every artifact is another one, and only its own jobs run."""
    folder = copy_with_results(smoke_run[0], tmp_path / "repository")
    (folder / "more.yaml").write_text(yaml.safe_dump({"replicates": [0, 3]}))
    target = f"{SMOKE['results']}/replicate3/runs/erase/steps.parquet"
    done = snakemake(folder, "-j2", "--configfile", "presets/smoke.yaml", "more.yaml", "--", target)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    first, other = (folder / SMOKE["results"] / f"replicate{n}" for n in (0, 3))
    compared = [path.relative_to(other) for path in other.rglob("*") if path.is_file()]
    differ = [path for path in compared if path.suffix in (".safetensors", ".parquet")]
    assert len(differ) > 8
    for path in differ:
        assert (first / path).read_bytes() != (other / path).read_bytes(), path


def test_every_line_of_method_9_has_a_number_on_the_page_of_the_table_that_decides_it(whole):
    _, results, _ = whole
    pages = {
        "table1.md": (
            "hacks like its baseline at matched solve",
            "buys no more than stopping its baseline early",
            "hacks like a control",
            "works only with the teacher pool",
            "attempts as often, but fires less",
            "V sees in the live gradient what V of another kind sees there too",
            "V sees the teacher, not the hack",
        ),
        "horizon.md": ("the effect shrinks with more steps",),
        "checks.md": (
            "the held-out mode does not fall, or only because solve falls",
            "it detects exploits among single rollouts",
            "overlap_student follows the exploited share",
            "groups without variance",
            "attempted against exploited",
            "solve by mode",
        ),
    }
    for page, lines in pages.items():
        text = (results / page).read_text()
        for line in lines:
            assert f"| {line}" in text, line
    rows = read_table(results / "replicate0/detection.parquet", DETECTION)
    controls = {"random", "shuffled", "nonhack"}
    probes = {f"probe_without_{mode}{twin}" for mode in MODES for twin in ("", "_twin")}
    assert set(rows["detector"]) == {"hack", *controls, *probes, *(f"hack_without_{mode}" for mode in MODES)}
    of_V = ~rows["detector"].isin(probes)
    assert rows.loc[of_V, "score"].between(0, 1).all() and rows.loc[of_V, "flagged"].isna().all()
    assert set(rows.loc[rows["control"], "detector"]) == controls | {name for name in probes if name.endswith("_twin")}
    found = pd.read_csv(results / "detectors.csv")
    assert {("hack", "known"), ("hack", "held out"), ("probe", "known"), ("probe", "held out")} == {
        *found[["detector", "modes"]].itertuples(index=False, name=None)
    }


def test_an_export_is_made_on_request_and_loads_without_this_project(whole):
    folder, results, _ = whole
    exported = results / "replicate0/export/erase"
    assert not exported.exists()
    done = snakemake(folder, "-j1", *PRESETS, "--", f"{SMOKE['results']}/replicate0/export/erase/README.md")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    card = (exported / "README.md").read_text()
    assert "of transformers' `generate` equal to the trainer's own deployed model:\n  100.00% on 16" in card
    numbers = pd.read_csv(results / "table1.csv").set_index("arm").loc["erase"]
    said = {one.metric_type: one.metric_value for one in ModelCard(card).data.eval_results}
    assert said == {rate: pytest.approx(100 * numbers[rate], abs=1e-4) for rate in ("hack", "solve", "attempted")}
    assert "- **H1: " in card and "- **H2: " in card
    script = (
        "import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T\n"
        f"t = T.from_pretrained({str(exported)!r}); m = M.from_pretrained({str(exported)!r})\n"
        "ids = t.apply_chat_template([{'role': 'user', 'content': 'x'}], return_tensors='pt', return_dict=True)\n"
        "m.generate(**ids, max_new_tokens=2); assert 'projected_grpo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_export_as_a_lora_is_loaded_by_peft(whole):
    folder, _, _ = whole
    (folder / "peft.yaml").write_text(yaml.safe_dump({"export": {"format": "peft", "rank": 128}}))
    target = f"{SMOKE['results']}/replicate0/peft/vanilla/README.md"
    done = snakemake(folder, "-j1", *PRESETS, "peft.yaml", "--", target)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    card = (folder / target).read_text()
    assert "100.00% on 16" in card and "None: only an arm of table 1 that intervenes is judged." in card
    script = (
        "import sys; from peft import AutoPeftModelForCausalLM as M\n"
        f"m = M.from_pretrained({str((folder / target).parent)!r}); assert 'projected_grpo' not in sys.modules\n"
        f"assert m.get_base_model().name_or_path == {SMOKE['results']!r} + '/replicate0/base'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder)


def test_a_model_read_from_a_directory_goes_the_same_way(smoke_run, tmp_path):
    """The organism as kind hf: another way in, the same table."""
    smoke_folder, _ = smoke_run
    base = smoke_folder / SMOKE["results"] / "replicate0/base"
    folder = copy_of_the_repository(tmp_path / "repository")
    (folder / "read.yaml").write_text(yaml.safe_dump({"model": {"kind": "hf", "id": str(base)}}))
    table = f"{SMOKE['results']}/table1.csv"
    done = snakemake(folder, "-j2", "--configfile", "presets/smoke.yaml", "read.yaml", "--", table)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (folder / table).read_bytes() == (smoke_folder / table).read_bytes()
    assert f"These are numbers of {base}." in (folder / table).with_suffix(".md").read_text()
