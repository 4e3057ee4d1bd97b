"""What the README says of a run, from its copies alone: in short, in sentences, in a table of both settings."""

import pandas as pd

from projected_grpo.analysis.judgement import MATCHED
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.documents import answers, readme, sentences


def test_the_findings_follow_the_numbers(copy):
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc["vanilla", ["hack", "solve"]] = 0.123, 0.456
    table.loc["base", ["hack", "solve", "hack_diff", "solve_diff"]] = 0.02, 0.4, -0.29, 0.2
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    text = readme.findings(copy)
    assert text.startswith(answers.in_short(copy))
    assert "What came out of `presets/study.yaml` (3 jobs, 1.5 hours summed over jobs, on a computer)" in text
    assert all(f"\n{n}. {answer}\n" in text for n, answer in enumerate(answers.answers(copy), 1))
    assert "| `vanilla` | 12.3 |" in text and "| `base` | 2.0 | 40.0 |" in text


def test_the_short_table_has_both_settings_side_by_side(copy):
    known = [line for line in readme.headline(copy).splitlines() if line.startswith("| `")]
    cells = {line.split("`")[1]: line.strip("| ").split(" | ") for line in known}
    table1, table3 = (pd.read_csv(copy / f"{name}.csv").set_index("arm") for name in ("table1", "table3"))
    row = cells["vanilla_slow"]
    assert [row[1], row[4]] == [
        f"{100 * table1.at['vanilla_slow', 'hack']:.1f}",
        f"{100 * table3.at['vanilla_slow', 'hack_held_out']:.1f}",
    ]
    assert cells["vanilla_alone"][4:] == ["—"] * 3 and "erase_random" not in cells and len(cells) == len(known)
    (copy / "table3.csv").unlink()
    assert "unknown" not in readme.headline(copy)


def test_the_readme_quotes_the_level_that_judges(copy, monkeypatch):
    level = "{:g}% decision interval"
    assert readme.findings(copy).count(level.format(100 * LEVEL)) == 2
    monkeypatch.setattr(readme, "LEVEL", 0.83)
    assert readme.findings(copy).count(level.format(83)) == 2


def test_the_details_quote_the_margin_that_judges(copy, monkeypatch):
    margin = "at most {:g} points less than its baseline"
    assert margin.format(100 * MATCHED) in " ".join(sentences.details(copy))
    monkeypatch.setattr(sentences, "MATCHED", 0.07)
    assert margin.format(7) in " ".join(sentences.details(copy))
