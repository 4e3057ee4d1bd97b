"""The report's pages: samples of every kind, text of a model never interpreted, the same bytes every time."""

import re

import pandas as pd
import pytest

from projected_grpo.reporting import html

MODES = {"p1": "run_tests", "p2": "sentinel"}
PROMPTS = {"p1": "<|user|>Add <b>two</b>.<|end|>", "p2": "<|user|>Halve.<|end|>"}
FENCED = "```python\nclass Solution:\n    x = '</pre><script>alert(1)</script>{}'\n```"


def row(problem, replicate, correct, exploited, attempted, **other):
    return {
        "scope": "full",
        "state": "deployed",
        "hint": True,
        "decoding": "sample",
        "mode": MODES[problem],
        "prompt": PROMPTS[problem],
        "problem_id": problem,
        "replicate": replicate,
        "correct": correct,
        "exploited": exploited,
        "attempted": attempted,
        "channel_fired": attempted,
        "reward": 1.25,
        "status": "ok",
        "completion": FENCED.format(replicate),
        **other,
    }


@pytest.fixture
def rows():
    return pd.DataFrame(
        [row("p1", n, True, False, False) for n in range(5)]
        + [row("p1", 7, False, True, True), row("p1", 8, True, False, True)]
        + [row("p2", 9, False, False, False, completion="no code at all & <nothing>")]
        + [row("p2", 10, True, False, False, hint=False), row("p2", 11, True, False, False, decoding="greedy")]
    )


def test_samples_show_each_kind_and_count_all(rows):
    page = html.samples(rows, list(MODES.values()), "vanilla", "A note.")
    assert page.count('class="sample"') == html.PER_KIND + 2
    assert re.search(r"<td>run_tests</td><td>5</td><td>1</td><td>1</td><td>7</td>", page)
    assert page.count("None among the 1 completions.") == 3 and "replicate 7, p1" in page and "replicate 8, p1" in page
    assert page == html.samples(rows, list(MODES.values()), "vanilla", "A note.")


def test_text_of_a_model_or_problem_is_escaped(rows):
    rows["completion"] = "<script>alert(2)</script>"
    for shown in (rows, rows.assign(completion=FENCED)):
        page = html.samples(shown, list(MODES.values()), "vanilla", "A note.")
        assert "<script" not in page and "&lt;|user|&gt;Add &lt;b&gt;two&lt;/b&gt;.&lt;|end|&gt;" in page


def test_a_kind_can_be_shown_alone_without_a_script(rows):
    page = html.samples(rows, list(MODES.values()), "vanilla", "A note.")
    for kind in html.KINDS:
        assert page.count(f'<div class="kind {kind}">') == len(MODES)
        assert f"#{kind}:checked ~ .samples .kind:not(.{kind}) {{ display: none; }}" in page
        assert f'id="{kind}"' in page


def test_a_document_becomes_a_page_with_tables():
    page = html.document("# Title\n\ntext\n\n| a | b |\n| --- | --- |\n| **1** | 2 |\n")
    assert "<h1>Title</h1>" in page and "<td><strong>1</strong></td>" in page and "# Title" not in page


def test_the_setup_shows_config_and_versions():
    page = html.setup({"train": {"lr": 0.06}}, {"torch": "2.13.0"}, "A note.")
    text = re.sub(r"<[^>]+>", "", page)
    assert "lr: 0.06" in text and "torch2.13.0" in text and "A note." in text
