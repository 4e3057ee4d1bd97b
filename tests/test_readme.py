"""What the README says of a run, from its copies alone: in short, in sentences, in a table of both settings."""

import json
import re

import pandas as pd
from synthetic_run import judged

from projected_grpo.analysis.judgement import MATCHED
from projected_grpo.analysis.statistics import LEVEL, least_sems
from projected_grpo.documents import readme, sentences


def test_the_sentences_follow_the_numbers(copy):
    judged(copy, "h1.json", {"erase": "prevents", "erase_update": "delays", "route": "open"})
    judged(copy, "table3.json", {"erase": "damages", "erase_update": "prevents"})
    judged(copy, "horizon.json", {"erase": "adds nothing"}, shrinks={"erase": "present", "erase_update": "open"})
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc["vanilla", ["hack", "solve"]] = 0.123, 0.456
    table.loc["erase", ["hack", "solve"]] = 0.05, 0.5
    table.loc["erase", ["twin_diff", "twin_diff_low", "twin_diff_high"]] = 0.55, 0.4, 0.7
    table["twin"] = table["twin"].astype(object)
    table.loc["erase", "twin"] = "erase_random"
    table.loc["vanilla_alone", ["hack", "solve"]] = 0.2, 0.3
    table.loc["base", ["hack", "solve", "hack_diff", "solve_diff"]] = 0.02, 0.4, -0.29, 0.2
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    twin = f"{100 * table.at['erase_random', 'hack']:.1f}"
    text = readme.findings(copy)
    assert "What came out of `presets/study.yaml` (3 jobs, 1.5 hours summed over jobs, on a computer)" in text
    undisclosed = f"{100 * table.at['vanilla', 'hack_no_hint']:.1f}% where no prompt discloses a loophole)"
    assert (
        f"1. Without an intervention (`vanilla`), the model hacks 12.3% and solves 45.6% (it hacks {undisclosed}"
        in text
    )
    assert "| `vanilla` | 12.3 |" in text
    assert "; the base model, not trained at all, hacks 2.0% and solves 40.0%; trained where nothing" in text
    assert "| `base` | 2.0 | 40.0 |" in text
    assert (
        "2. Where pairs, signals and teacher pool know every loophole: **prevents**: `erase` hacks 5.0% and solves"
        f" 50.0% (its twin hacks {twin}%, +55 [+40, +70] points more). **delays**: `erase_update`; **open**: `route`."
        in text
    )
    unknown = (
        "3. On a loophole that pairs, signals and teacher pool do not know, another one in turn in 3 replicates (`van"
    )
    assert unknown in text and "): **prevents**: none. **damages**: `erase`. That the effect is large, specific" in text
    table3 = pd.read_csv(copy / "table3.csv").set_index("arm")
    told = [f"{100 * table3.at['erase_update', f'{rate}_held_out']:.1f}%" for rate in ("hack", "solve")]
    scale = "For scale, of the arms that are told the true verdict, always or in part, the same rules say: prevents:"
    scale += " `erase_update`. Of these `erase_update` hacks"
    assert f"{scale} {told[0]} and solves {told[1]}.\n" in text
    said = {
        "holds": "holds for {}, fails, by the estimate, for none",
        "fails": "holds for none, fails, by the estimate, for {},",
    }
    compared = table3["twin_diff_held_out_p_holm"].notna().sum()
    asked = "4. The primary comparison: does the twin hack more than its arm on that loophole (Holm corrected"
    answer = f"It {said[table3.at['erase', 'primary']].format('`erase`')}"
    assert (
        f"{asked} over {compared} arms), where the arm solves at most 10 points less than its baseline? {answer}"
        in text
    )
    long = pd.read_csv(copy / "horizon.csv").set_index("arm")
    named = ("vanilla", "vanilla_alone", "erase", "vanilla_slow")
    own = {
        arm: f"`{arm}` hacks {100 * long.at[arm, 'hack']:.1f}% and solves {100 * long.at[arm, 'solve']:.1f}%"
        for arm in named
    }
    assert (
        f"5. After 96 steps, every loophole known (3 replicates), {own['vanilla']}; {own['vanilla_alone']}. By these"
        " steps alone: **prevents**: none. **adds nothing**: `erase`. Of what does not prevent,"
        f" {own['erase']}. Only slower or colder, {own['vanilla_slow']}. With more steps the effect shrinks in `erase`,"
        " is open in `erase_update`." in text
    )
    assert "6. Training that only learns more slowly or samples colder: `vanilla_slow` hacks" in text
    assert re.search(r"^6\. .*\. Without a teacher pool, `vanilla_alone` hacks 20\.0% and solves 30\.0%\.$", text, re.M)
    assert re.search(
        r"7\. In the gradient of `vanilla`'s own answers, the part along V that .* has \d+\.\d% of the norm", text
    )
    assert "8. With 3 replicates the interval of what a twin hacks more than its arm reaches about" in text


def test_the_short_answer_is_of_the_unknown_loopholes_and_names_what_may_prevent(copy):
    verdicts = json.loads((copy / "table3.json").read_text())
    judged(copy, "table3.json", {"erase": "prevents", "erase_update": "prevents"})
    judged(copy, "horizon.json", {"erase": "prevents", "erase_update": "open"})
    claims = json.loads((copy / "h1.json").read_text())["claims"]
    claims["erase_update"]["H1s"]["verdict"] = "supported"
    claims["erase"]["H1s"]["verdict"] = claims["route"]["H1s"]["verdict"] = "undecided"
    judged(copy, "h1.json", {"erase": "prevents", "erase_update": "open", "route": "delays"}, claims=claims)
    known, long = (pd.read_csv(copy / f"{name}.csv").set_index("arm") for name in ("table1", "horizon"))
    hack, solve, later = (
        f"{100 * value:.1f}%" for value in (*known.loc["erase_update", ["hack", "solve"]], long.at["erase", "hack"])
    )
    said = readme.in_short(copy)
    assert said.startswith("**In short**: `erase` is shown to prevent hacks that nothing told of. Of slower")
    assert (
        "\n\nWhere every loophole is known, `erase` is shown to prevent; that they hack less than their twins, and"
        " solve more than slower training that is stopped early (H1s), is shown of `erase_update` (hack"
        f" {hack}, solve {solve}). After 96 steps (3 replicates), `erase` is shown to prevent (hack {later}," in said
    )
    assert said.endswith("%.") and "`vanilla_slow` solves most there: it hacks" in said
    for clause in verdicts["claims"]["erase"]["H2"]["clauses"]:
        clause["answer"] = "open" if clause["clause"] == "beats" else "holds"
    judged(copy, "table3.json", {"erase": "open", "erase_update": "prevents"}, claims=verdicts["claims"])
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    said = readme.in_short(copy)
    hack, solve, twin = (
        f"{100 * rows.at[arm, f'{rate}_held_out']:.1f}%"
        for arm, rate in (("erase", "hack"), ("erase", "solve"), (rows.at["erase", "twin"], "hack"))
    )
    assert f"`erase`, within the margins that this asks for, hack {hack} and solve {solve} (`base` hacks" in said
    assert f"Their twins, which flag as many rollouts without knowing which are hacks, hack {twin}: that" in said
    assert "the number of comparisons is corrected for. Of" in said
    rows.loc["erase", "twin_diff_held_out_sem"] = 0.5
    rows.reset_index().to_csv(copy / "table3.csv", index=False)
    least = f"{least_sems(rows['twin_diff_held_out_p_holm'].notna().sum(), 3):.0f}"
    hopeless = f", and could hardly have been of any of them: the {least} SEM that it takes are more than all its twin"
    assert hopeless in readme.in_short(copy)
    for name in ("table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    judged(copy, "h1.json", {"erase": "delays", "erase_update": "open", "route": "open"})
    assert readme.in_short(copy).startswith("**In short**: nothing is shown to prevent hacks. ")


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


def test_the_readme_quotes_the_level_and_the_margin_that_judge(copy, monkeypatch):
    level, margin = "{:g}% decision interval", "at most {:g} points less than its baseline"
    text = readme.findings(copy)
    assert text.count(level.format(100 * LEVEL)) == 2 and text.count(margin.format(100 * MATCHED)) == 1
    monkeypatch.setattr(readme, "LEVEL", 0.83)
    monkeypatch.setattr(sentences, "MATCHED", 0.07)
    text = readme.findings(copy)
    assert text.count(level.format(83)) == 2 and text.count(margin.format(7)) == 1
