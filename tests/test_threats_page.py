"""docs/threats.md: every line of method 9 for every arm that is judged, from the pages among the copies."""

import json
import re

import pandas as pd
from synthetic_run import judged
from workflow_harness import ROOT

from projected_grpo.documents.threats import COLUMNS, every_threat
from projected_grpo.reporting.checks import CHECKS
from projected_grpo.reporting.threats import THREATS


def answers(text, where, arm):
    """Return {head of a column: answer} of an arm in a setting."""
    part = text.split(f"## {where}\n")[1].split("\n## ")[0]
    (row,) = (line for line in part.splitlines() if line.startswith(f"| `{arm}` |"))
    return dict(zip(COLUMNS, row.strip("| ").split(" | ")[1:], strict=True))


def test_every_line_of_the_tables_is_there():
    asked = set(COLUMNS.values())
    of_tables = set(THREATS) - {
        "control",
        "best control",
        "chance",
    }  # of which the page has columns or a line of its own
    assert of_tables <= asked and asked - of_tables == {"twin", "others", "stops", "flags", "hides"}


def test_each_answer_is_that_of_the_page_where_it_is_decided(copy):
    judged(copy, "h1.json", {"erase": "open", "erase_update": "open"})
    judged(copy, "horizon.json", {}, shrinks={"erase": "present"})
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    assert table.at["erase", "twin"] == "erase_random"
    rows = [
        ("baseline", "erase", "vanilla", "absent"),
        ("control", "erase", "erase_random", "absent"),
        ("control", "erase", "erase_shuffled", "open"),
        ("control", "erase", "erase_nonhack", "present"),
        ("teacher", "erase", "erase_alone", "open"),
        ("baseline", "erase_update", "vanilla", "open"),
        ("chance", "vanilla", "shuffled", "present"),
    ]
    page = "\n".join(f"| {THREATS[row[0]][0]} | {row[1]} | {row[2]} | **{row[3]}** | 1.0 |" for row in rows)
    (copy / "table1.md").write_text(page)
    unknown = [("baseline", "vanilla", "absent"), ("held out", "vanilla", "absent")]
    unknown += [("held out slow", "vanilla_slow", "absent"), ("held out slow", "vanilla_cold", "present")]
    page = "\n".join(
        f"| {THREATS[line][0]} | erase | {other} | **{answer}** | 1.0 |" for line, other, answer in unknown
    )
    there = (
        f"| {CHECKS['flags'][0]} | erase | **fails** | of the exploited flagged 1.0% |"  # where a loophole is unknown
    )
    (copy / "table3.md").write_text(f"{page}\n{there}\n")
    flags = "means over the steps: exploited 5.0%, of the exploited flagged 35.1%, of the others flagged 0.5%"
    checks = [("hides", "erase", "**fails**", "1.0"), ("flags", "erase", "**holds**", flags)]
    checks += [("follows", "vanilla", "**open**", "1.0"), ("detects", "probe, held out modes", "**fails**", "1.0")]
    checks += [("leak", "route", "—", "0.1; lower by construction: not a result")]
    (copy / "checks.md").write_text(
        "".join(f"| {CHECKS[line][0]} | {' | '.join(cells)} |\n" for line, *cells in checks)
    )
    claims = json.loads((copy / "h1.json").read_text())["claims"]
    claims["erase"]["H1s"]["clauses"] = [
        {"clause": "early", "against": other, "answer": answer, "estimate": 0.1, "low": 0, "high": 0.2}
        for other, answer in (("vanilla", "fails"), ("vanilla_slow", "holds"), ("vanilla_cold", "open"))
    ]
    judged(copy, "h1.json", {"erase": "open", "erase_update": "open"}, claims=claims)
    text = every_threat(copy)
    found = answers(text, "With every loophole known", "erase")
    assert found == dict.fromkeys(COLUMNS, "not measured") | {
        "its baseline": "absent",
        "slow, stopped": "open",
        "its twin": "absent",
        "other controls": "present",
        "teacher pool": "open",
        "unknown loophole": "absent",
        "slow training there": "present",
        "more steps": "present",
        "unseen": "absent (35.1%)",
        "ever less seen": "present",
        "quarantine": "—",
    }
    other = answers(text, "With every loophole known", "erase_update")
    assert (other["its baseline"], other["its twin"], other["more steps"]) == ("open", "not measured", "not measured")
    conditional = ("teacher pool", "unseen", "ever less seen", "quarantine")
    assert [other[name] for name in conditional] == ["—"] * 4
    found = answers(text, "On an unknown loophole", "erase")
    share = pd.read_csv(copy / "table3.csv").set_index("arm").at["erase", "flag_recall/heldout"]
    assert (found["its baseline"], found["unseen"]) == ("absent", f"present (1.0%, unknown {100 * share:.1f}%)")
    assert f"- {THREATS['chance'][0]}, in the baselines' own runs: **present** for vanilla\n" in text
    assert f"- {CHECKS['follows'][0]}: **open** for vanilla\n" in text
    assert f"- {CHECKS['detects'][0]}: **fails** for probe (held out modes)\n" in text
    assert "by construction in `route`, and so not counted" in text


def test_every_arm_that_the_readme_names_in_its_answers_has_its_lines():
    page, readme = (ROOT / "docs/threats.md").read_text(), (ROOT / "README.md").read_text()
    judged_arms = set()
    for name in ("run/h1", "run/table3", "run/horizon", "confirmation/table3"):
        judged_arms |= json.loads((ROOT / f"docs/{name}.json").read_text())["outcomes"].keys()
    said = [line for line in readme.splitlines() if re.match(r"\d\. \*\*|\*\*In short\*\*|\| `", line)]
    named = {arm for line in said for arm in re.findall(r"`(\w+)`", line)} & judged_arms
    assert len(named) > 15 and all(f"\n| `{arm}` | " in page for arm in named)


def test_an_arm_without_slow_controls_is_not_said_to_beat_them(copy):
    claims = json.loads((copy / "h1.json").read_text())["claims"]
    claims["erase"]["H1s"]["clauses"] = [
        {"clause": "early", "against": "vanilla", "answer": "holds", "estimate": 0.1, "low": 0, "high": 0.2}
    ]
    judged(copy, "h1.json", {"erase": "open"}, claims=claims)
    assert answers(every_threat(copy), "With every loophole known", "erase")["slow, stopped"] == "not measured"
