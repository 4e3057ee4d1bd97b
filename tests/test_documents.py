"""The README and docs/results.md say what the copied results say, and their claims about files hold."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from projected_grpo.documents import expected, readme, results
from projected_grpo.documents.blocks import copy_results, replace_block
from projected_grpo.documents.threats import every_threat
from projected_grpo.reporting.table1 import headline, marks
from projected_grpo.reporting.verdicts import verdict_lines

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RUN = ROOT / "docs/run"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_says_what_the_copies_of_the_run_say():
    assert replace_block(README, "findings", readme.findings(RUN)) == README


def test_the_page_of_threats_is_what_the_copies_say():
    page = (ROOT / "docs/threats.md").read_text()
    assert replace_block(page, "threats", every_threat(RUN)) == page


@pytest.mark.parametrize("name", results.SECTIONS)
def test_the_results_page_is_what_its_copies_say(name):
    page = (ROOT / "docs/results.md").read_text()
    section, _, _ = results.SECTIONS[name]
    assert replace_block(page, name, section(ROOT / "docs" / name)) == page


def test_more_steps_were_run_on_no_replicate_that_nobody_had_seen():
    """As the README says."""
    long, alone = (json.loads((RUN / name).read_text()) for name in ("horizon.json", "unseen.json"))
    assert not set(long["provenance"]["config"]["replicates"]) & set(alone["replicates"])


def test_the_readme_answers_in_a_page():
    lines = README.splitlines()
    assert len(lines) <= 140
    found = [line for line in lines if re.match(r"\d\. ", line)]
    assert [line[0] for line in found] == list("12345")
    arms = [line for line in lines if line.startswith("| `")]
    assert 1 < len(arms) <= 24
    words = ("prevents", "damages", "adds nothing", "delays", "open")
    assert [line.split(":")[0] for line in lines if line.startswith("- **")] == [f"- **{word}**" for word in words]


def test_rewriting_needs_the_markers():
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_block("no markers here", "results", "numbers")


def test_the_preregistered_expectations_are_read_from_their_page():
    words = expected.expectations((ROOT / "docs/preregistration.md").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert len(words) == 8 and words["probe_drop"] == "prevents" and words["detector_drop"] == "adds nothing"
    assert words.keys() <= config["arms"].keys()


def test_the_config_has_the_doses_and_slow_controls_that_the_rule_chose():
    """Of every family of docs/tuning/doses.csv; and of its arms the slow control that is nearest in hack there."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    table = pd.read_csv(ROOT / "docs/tuning/doses.csv").set_index("arm")
    slow = table.loc[["vanilla_slow", "vanilla_slower", "vanilla_slowest"], "hack"]
    checked = []
    for family, rows in table.groupby("family", sort=False):
        chosen, key = rows[rows["chosen"]].iloc[0], rows["key"].iloc[0]
        spec = config["arms"][family]
        if key in ("lr_scale", "temperature", "kl_coef"):  # of which table 3 has the chosen one beside the others
            assert chosen.name in [*config["tables"]["table3"], *config["tables"]["table1"]]
            continue
        assert (config["signals"][spec["signal"]] if key == "fpr" else spec)[key] == chosen["dose"], family
        assert spec["slow"] == (slow - chosen["hack"]).abs().idxmin(), family
        checked.append(family)
    assert len(checked) == 9


def test_no_line_of_numbers_stands_on_two_pages():
    """The README's short table apart, which is of other columns, and table 3, which shares arms with table 1."""
    owner = {}
    for path in [ROOT / "README.md", ROOT / "docs/results.md", *sorted(set(RUN.glob("*.md")) - {RUN / "table3.md"})]:
        for line in path.read_text().splitlines():
            if line.startswith("|") and not line.startswith("| base ") and re.search(r"\[[-+0-9.]+, ", line):
                assert owner.setdefault(line, path) == path, line


def test_the_pages_of_the_run_have_the_numbers_of_its_tables_in_the_words_of_this_version():
    assert headline(pd.read_csv(RUN / "table1.csv")) in (RUN / "table1.md").read_text()
    verdicts = json.loads((RUN / "h1.json").read_text())
    page = (RUN / "table1.md").read_text()
    assert verdict_lines(verdicts) in page and marks() in page


def test_only_what_was_made_is_copied_and_old_files_go(tmp_path):
    made, folder = tmp_path / "made", tmp_path / "docs"
    (made / "figures").mkdir(parents=True)
    folder.mkdir()
    (made / "table1.csv").write_text("new")
    (folder / "table2.csv").write_text("old")
    copy_results(made, folder, ("table1.csv", "table2.csv", "figures/overlap.png"))
    assert [path.name for path in folder.iterdir()] == ["table1.csv"]


@pytest.mark.parametrize("name", results.SECTIONS)
def test_before_anything_goes_a_section_has_all_that_it_is_written_from(tmp_path, name):
    old, made = tmp_path / "docs" / name / "table1.md", tmp_path / "made"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    _, needed, _ = results.SECTIONS[name]
    for file in needed:
        with pytest.raises(results.RunError, match=rf"^{made} lacks .*{file}.*: say the results directory of a whole"):
            results.main(name, made, None, tmp_path)
        (made / file).parent.mkdir(parents=True, exist_ok=True)
        (made / file).touch()
    assert old.read_text() == "old"


def test_the_section_on_the_real_model_is_written_from_what_its_rules_make(tmp_path):
    """teacher_pool.json lies in a replicate, and is copied from there."""
    (n,) = yaml.safe_load((ROOT / "presets/smollm2.yaml").read_text())["replicates"]
    made = tmp_path / "made" / f"replicate{n}"
    made.mkdir(parents=True)
    (made / "teacher_pool.json").write_text(json.dumps({"exploited": {"sentinel": 2}, "teacher": 5}))
    for name in ("table1.md", "h1.json"):
        (made.parent / name).touch()
    rows = {"arm": ["base", "vanilla"], "hack": [0.0, 0.125], "solve": [0.25, 0.5], "last_step": [0, 8]}
    pd.DataFrame(rows).to_csv(made.parent / "table1.csv", index=False)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/results.md"
    page.write_text("<!-- smollm2: from docs/smollm2 -->\n<!-- end of smollm2 -->\n")
    results.main("smollm2", made.parent, None, tmp_path)
    assert (
        "a file of 5 rollouts, of which 2 exploit. After 8 steps `base` hacks 0.0% and solves 25.0%; `vanilla` hacks"
        " 12.5% and solves 50.0%. One replicate and so few steps decide nothing;" in page.read_text()
    )
    assert (tmp_path / "docs/smollm2/teacher_pool.json").is_file()


def test_a_run_is_called_by_its_preset(tmp_path):
    made = tmp_path / "results"
    made.mkdir()
    pd.DataFrame({"n_replicates": [8, 8]}).to_csv(made / "table1.csv")
    assert results.run_of(made, "presets/study.yaml", ROOT) == "`presets/study.yaml`"
    with pytest.raises(ValueError, match=r"table1.csv has 8 replicates, config.yaml 3: say which preset made it$"):
        results.run_of(made, None, ROOT)
    pd.DataFrame({"n_replicates": [3, 3]}).to_csv(made / "table1.csv")
    assert results.run_of(made, None, ROOT) == "the default experiment's table 1"
    (made / "table3.csv").touch()
    assert results.run_of(made, None, ROOT) == "the default experiment's table 1 and table 3"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_local_link_leads_somewhere(path):
    for link in re.findall(r"\]\((?!http)([^)#\s]+)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_the_cost_counts_every_job(tmp_path):
    for name, seconds in (("benchmarks/train/a.tsv", 1800), ("benchmarks/base_model/replicate1.tsv", 900)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    assert results.cost(tmp_path) == {"jobs": 2, "hours": pytest.approx(0.75)}


@pytest.mark.parametrize("preset", ["presets/study.yaml", "./presets/study.yaml", "absolute"])
def test_the_study_is_documented_with_its_commit_and_what_was_expected_there(whole, tmp_path, monkeypatch, preset):
    """However its preset is written; with the page of that commit, whatever today's says."""
    made, root = tmp_path / "made", tmp_path / "root"
    shutil.copytree(whole, made)
    (made / "table1.md").write_text("table 1")
    (made / "figures").mkdir()
    (made / "figures/hack_against_solve.png").touch()
    table = pd.read_csv(made / "table1.csv")
    for name, replicates in (("config.yaml", [1]), ("presets/study.yaml", list(range(table["n_replicates"].iloc[0])))):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(yaml.safe_dump({"replicates": replicates}))
    (root / "docs").mkdir()
    (root / "docs/results.md").write_text("<!-- run: from docs/run -->\n<!-- end of run -->\n")
    (root / "README.md").write_text("<!-- findings: from docs/run -->\n<!-- end of findings -->\n")
    (root / "docs/threats.md").write_text("<!-- threats: from docs/run -->\n<!-- end of threats -->\n")
    (root / "docs/preregistration.md").write_text("| `erase` | damages |\n| `route` | damages |\n")
    monkeypatch.setattr(results, "registered_commit", lambda folder, preset: "1234567890abcdef")
    monkeypatch.setattr(results, "unseen_replicates", lambda folder, preset: [2])
    words = ("outcomes", "primary", "twins", "margins", "known")
    monkeypatch.setattr(results, "unseen", lambda folder, n: {"replicates": n, **{key: {} for key in words}})
    monkeypatch.setattr(results, "page_at", lambda folder, commit: "| `erase` | prevents |\n")
    monkeypatch.setattr(results, "pack", lambda made, rows, replicates: rows.mkdir())
    path = str(root / "presets/study.yaml") if preset == "absolute" else preset
    results.main("run", made, path, root)
    page = (root / "docs/results.md").read_text()
    assert "This is `presets/study.yaml`, run whole" in page and "Its tables are of commit 1234567890ab, " in page
    assert "Of 1 expectations " in page and "On replicates 2 alone" in page
    front = (root / "README.md").read_text()
    assert "with the code of commit 1234567890ab. When its preregistration was written, nobody had seen" in front
    doubts = (root / "docs/threats.md").read_text()
    assert "## With every loophole known" in doubts and "| `erase` | " in doubts
    assert page == replace_block(page, "run", results.run(root / "docs/run"))  # from docs/run alone
