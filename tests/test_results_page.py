"""docs/results.md: how it is put together."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from projected_grpo.documents import results
from projected_grpo.documents.blocks import replace_block

ROOT = Path(__file__).resolve().parents[1]


def test_a_section_is_a_page_one_level_lower():
    assert results._demoted("# A\n\ntext # not a heading\n## B\n") == "## A\n\ntext # not a heading\n### B"


@pytest.fixture
def study(tmp_path):
    """The copies of a small study, as far as the page reads them."""
    for name in ("table1.csv", "table1.md", "h1.json"):
        shutil.copy(ROOT / "docs/results" / name, tmp_path / name)
    folds = {
        fold: {"erase": {"verdict": verdict, "firm": False}}
        for fold, verdict in (("a", "supported"), ("all", "undecided"))
    }
    (tmp_path / "table2.json").write_text(json.dumps({"folds": folds}))
    (tmp_path / "source.json").write_text(json.dumps({"machine": "a machine", "jobs": 3, "hours": 1.5}))
    row = {
        "last_step": 72,
        "hack": 0.25,
        "solve": 0.5,
        "hack_diff": -0.5,
        "hack_diff_low": -0.6,
        "hack_diff_high": -0.4,
    }
    row |= {"solve_diff": 0.1, "solve_diff_low": 0.0, "solve_diff_high": 0.2}
    rows = [{"arm": arm, "baseline": "vanilla", **row} for arm in ("vanilla", "erase")]
    pd.DataFrame(rows).to_csv(tmp_path / "horizon.csv")
    both = [made | {"model_seed": seed, "last_step": seed} for seed in (1, 2) for made in rows]
    pd.DataFrame(both).to_csv(tmp_path / "second_base.csv")
    for name in results.PAGES:
        (tmp_path / name).write_text(f"# Page {name}\n\ntext\n")
    return tmp_path


def test_the_section_has_its_parts_in_order_and_the_verdicts_in_short(study):
    text = results.study(study)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    names = [f"## Page {name}" for name in results.PAGES]
    assert headings == ["## In short", "## What it does not show", "## Table 1", *names]
    assert "- Weak detector, erase: passes 1 of 1 modes; together **open**." in text
    said = "erase: hack / solve 25.0 / 50.0, vanilla 25.0 / 50.0; hack -50 [-60, -40] points, solve +10 [+0, +20]."
    differences = [line for line in text.splitlines() if line.endswith(said)]
    assert differences == [f"- More steps (72 steps), {said}", f"- Second base model (2 steps), {said}"]
    assert "3 jobs, 1.5 hours if one had run after the other, on a machine." in text
    assert all(f"![{figure}](study/{figure})" in text for figure in results.PAGES.values() if figure)


@pytest.mark.parametrize("name", results.SECTIONS)
def test_the_document_is_what_its_copies_say(name):
    folder = ROOT / "docs" / name
    page = (ROOT / "docs/results.md").read_text()
    assert replace_block(page, name, results.SECTIONS[name][0](folder)) == page


def test_the_readme_says_of_the_weak_detector_what_the_copies_say():
    readme = (ROOT / "README.md").read_text()
    assert replace_block(readme, "study", results.in_readme(ROOT / "docs/study")) == readme


def test_the_cost_counts_every_job(tmp_path):
    for name, seconds in (("benchmarks/train/a.tsv", 1800), ("second/benchmarks/base_model.tsv", 900)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    assert results.cost(tmp_path) == {"jobs": 2, "hours": pytest.approx(0.75)}
