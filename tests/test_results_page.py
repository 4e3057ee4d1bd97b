"""docs/results.md: how it is put together."""

import pytest

from projected_grpo import results_page


def test_a_section_is_a_page_one_level_lower():
    assert results_page._demoted("# A\n\ntext # not a heading\n## B\n") == "## A\n\ntext # not a heading\n### B"


def test_the_cost_counts_every_job(tmp_path):
    for name, seconds in (("benchmarks/train/a.tsv", 1800), ("second/benchmarks/base_model.tsv", 900)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    assert results_page.cost(tmp_path) == {"jobs": 2, "hours": pytest.approx(0.75)}
