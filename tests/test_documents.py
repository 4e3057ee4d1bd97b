"""The README and docs/results.md say what the copied results say, and their claims about files hold."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from projected_grpo.documents import readme, results
from projected_grpo.documents.blocks import replace_block
from projected_grpo.reporting.table1 import headline

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
STUDY = ROOT / "docs/study"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_says_what_the_copies_of_the_study_say():
    assert replace_block(README, "findings", readme.findings(STUDY)) == README


@pytest.mark.parametrize("name", results.SECTIONS)
def test_the_results_page_is_what_its_copies_say(name):
    page = (ROOT / "docs/results.md").read_text()
    section, _, _ = results.SECTIONS[name]
    assert replace_block(page, name, section(ROOT / "docs" / name)) == page


def test_the_readme_answers_in_a_page():
    lines = README.splitlines()
    assert len(lines) <= 130
    found = [line for line in lines if re.match(r"\d\. ", line)]
    assert [line[0] for line in found] == list("12345")
    arms = [line for line in lines if line.startswith("| `")]
    assert 1 < len(arms) <= 8
    first_uses = [next(line for line in lines if re.search(rf"\b{name}\b", line)) for name in ("H1", "H1s")]
    assert [line.split(":")[0] for line in first_uses] == ["- **H1**", "- **H1s**"]


def test_rewriting_needs_the_markers():
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_block("no markers here", "results", "numbers")


@pytest.fixture
def study(tmp_path):
    """A copy of the study to change."""
    for path in STUDY.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def test_the_sentences_follow_the_numbers(study):
    before = readme.findings(study)
    assert "H1s is falsified for `erase`, `erase_update`, `route` and `route_rollout` (not firmly" in before
    verdicts = json.loads((study / "h1.json").read_text())
    for arm in ("erase", "erase_update"):
        for hypothesis in ("H1", "H1s"):
            verdicts["claims"][arm][hypothesis]["verdict"] = "supported"
    (study / "h1.json").write_text(json.dumps(verdicts))
    table = pd.read_csv(study / "table1.csv")
    table.loc[table["arm"] == "vanilla", "hack"] = 0.123
    table.loc[table["arm"] == "erase", "early_stop_diff_low"] = 0.01
    table.to_csv(study / "table1.csv", index=False)
    after = readme.findings(study)
    assert "the model hacks 12.3% and solves" in after and "| `vanilla` | 12.3 |" in after
    assert "H1s is supported for `erase` and `erase_update`, falsified for `route` and `route_rollout`" in after
    assert (
        "Of 4 interventions, `erase`, `erase_update` and `route_rollout` meet H1 (`erase` hacks 52 points less" in after
    )
    assert "3. `erase` of these is shown to buy more solving than stopping `vanilla` early" in after


def test_a_study_without_any_effect_says_so(study):
    verdicts = json.loads((study / "h1.json").read_text())
    folds = json.loads((study / "table2.json").read_text())
    for claim in verdicts["claims"].values():
        claim["H1"]["verdict"] = "falsified"
    for arms in folds["folds"].values():
        for result in arms.values():
            result["verdict"] = "fails"
    (study / "h1.json").write_text(json.dumps(verdicts))
    (study / "table2.json").write_text(json.dumps(folds))
    text = readme.findings(study)
    assert "Of 4 interventions, none meets H1; H1s is falsified for" in text
    assert "none hacks less than its baseline and its twin at matched solve over all of them together" in text


def test_no_line_of_numbers_stands_on_two_pages():
    """The README's short table apart, which is of other columns."""
    owner = {}
    for path in [ROOT / "README.md", ROOT / "docs/results.md", *sorted(STUDY.glob("*.md"))]:
        for line in path.read_text().splitlines():
            if line.startswith("|") and re.search(r"\[[-+0-9.]+, ", line):
                assert owner.setdefault(line, path) == path, line
    page = (ROOT / "docs/results.md").read_text()
    assert all(f"(study/{name})" in page for name in results.PAGES)


def test_the_pages_of_the_study_have_the_numbers_of_its_tables():
    for name in ("table1", "horizon"):
        assert headline(pd.read_csv(STUDY / f"{name}.csv")) in (STUDY / f"{name}.md").read_text()


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
