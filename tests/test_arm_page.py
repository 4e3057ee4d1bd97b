"""An arm's page: its runs and curves, samples of every kind, text of a model never interpreted, the same bytes."""

import re

import pandas as pd
import pytest

from projected_grpo.reporting import arm
from projected_grpo.reporting.html import SCRIPT

MODES = {"p1": "run_tests", "p2": "sentinel"}
PROMPTS = {"p1": "<|user|>Add <b>two</b>.<|end|>", "p2": "<|user|>Halve.<|end|>"}
FENCED = "```python\nclass Solution:\n    x = '</pre><script>alert(1)</script>{}'\n```"


def row(problem, replicate, correct, exploited, attempted, **other):
    return {
        "step": 4,
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
        + [row("p1", n, step < 4, step == 4, False, scope="subset", step=step) for n in (0, 7) for step in (0, 2, 4)]
        + [row("p1", 7, False, False, False, scope="subset", step=4)]
    )


def test_every_run_has_its_rates_its_files_and_its_curve(rows):
    page = arm.arm_page(rows, list(MODES.values()), "vanilla", "A note.")
    files = '<td><a href="../../replicate7/runs/vanilla/" data-report="">replicate7/runs/vanilla</a></td>'
    assert f"<tr><td>7</td><td>100.0</td><td>0.0</td><td>100.0</td>{files}</tr>" in page
    assert page.count("<svg") == 2 and "<figure>replicate 0" in page and "<figure>replicate 7" in page
    # replicate 7: hack 0, 0, 50% and solve 100, 100, 0% of 120 pixels, at steps 0, 2, 4 of 240
    assert 'points="0.0,120.0 120.0,120.0 240.0,60.0 "' in page and 'points="0.0,0.0 120.0,0.0 240.0,120.0 "' in page


def test_the_base_model_has_one_point(rows):
    rows = rows.assign(step=0).drop_duplicates(["scope", "replicate"])
    page = arm.arm_page(rows, list(MODES.values()), "base", "A note.")
    assert page.count("<circle") == 4 and 'points="0.0,' in page and ">nan<" not in page


def test_samples_show_each_kind_and_count_all(rows):
    page = arm.arm_page(rows, list(MODES.values()), "vanilla", "A note.")
    assert page.count('class="sample"') == arm.PER_KIND + 2
    assert re.search(r"<td>run_tests</td><td>5</td><td>1</td><td>1</td><td>7</td>", page)
    assert page.count("None among the 1 completions.") == 3 and "replicate 7, p1" in page and "replicate 8, p1" in page
    assert page == arm.arm_page(rows, list(MODES.values()), "vanilla", "A note.")


def test_text_of_a_model_or_problem_is_escaped(rows):
    rows["completion"] = "<script>alert(2)</script>"
    for shown in (rows, rows.assign(completion=FENCED)):
        page = arm.arm_page(shown, list(MODES.values()), "vanilla", "A note.")
        assert page.count("<script") == 1 and f"<script>{SCRIPT}</script>" in page
        assert "&lt;|user|&gt;Add &lt;b&gt;two&lt;/b&gt;.&lt;|end|&gt;" in page


def test_a_kind_can_be_shown_alone(rows):
    page = arm.arm_page(rows, list(MODES.values()), "vanilla", "A note.")
    for kind in arm.KINDS:
        assert page.count(f'<div class="kind {kind}">') == len(MODES)
        assert f"#{kind}:checked ~ .samples .kind:not(.{kind}) {{ display: none; }}" in page
        assert f'id="{kind}"' in page
