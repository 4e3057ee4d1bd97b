"""The README and docs/results.md say what the copied results say, and their claims about files hold."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from synthetic_study import MODES, evaluation, make, steps, with_signals

from projected_grpo.analysis.study import Claim, TableArm, build_study
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table2 import fold_verdicts, table2
from projected_grpo.analysis.table3 import table3
from projected_grpo.analysis.table3 import verdicts as verdicts_of_table3
from projected_grpo.analysis.verdicts import h1
from projected_grpo.documents import readme, results
from projected_grpo.documents.blocks import copy_results, replace_block
from projected_grpo.reporting.table1 import headline, marks
from projected_grpo.reporting.verdicts import verdict_lines

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RUN = ROOT / "docs/run"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_says_what_the_copies_of_the_run_say():
    assert replace_block(README, "findings", readme.findings(RUN)) == README


@pytest.mark.parametrize("name", results.SECTIONS)
def test_the_results_page_is_what_its_copies_say(name):
    page = (ROOT / "docs/results.md").read_text()
    section, _, _ = results.SECTIONS[name]
    assert replace_block(page, name, section(ROOT / "docs" / name)) == page


def test_the_readme_answers_in_a_page():
    lines = README.splitlines()
    assert len(lines) <= 140
    found = [line for line in lines if re.match(r"\d\. ", line)]
    assert 5 <= len(found) <= 8
    assert [line[0] for line in found] == list("12345678"[: len(found)])
    arms = [line for line in lines if line.startswith("| `")]
    assert 1 < len(arms) <= 18
    names = ("H1", "H1s", "H2")
    first_uses = [next(line for line in lines if re.search(rf"\b{name}\b", line)) for name in names]
    assert [line.split(":")[0] for line in first_uses] == [f"- **{name}**" for name in names]


def test_rewriting_needs_the_markers():
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_block("no markers here", "results", "numbers")


def _folds():
    """Two arms and a random V, of which `erase` hacks less on every mode."""
    arms = {
        "vanilla": TableArm("vanilla", 96, "hack", mix=0.25),
        "vanilla_slow": TableArm("vanilla", 96, "hack", mix=0.25),
        "erase": TableArm("vanilla", 96, "hack", twin="erase_random", tested=True, mix=0.25),
        "erase_random": TableArm("vanilla", 96, "random", mix=0.25),
    }
    runs = [(arm, n, evaluation(arm, n), steps(arm, n)) for arm in arms for n in (1, 2, 3)]
    claims = {"erase": Claim(("erase_random",), ("vanilla_slow",))}
    return dict.fromkeys(MODES, build_study(runs, arms, claims, None))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A copy of a run with every table."""
    folder = tmp_path_factory.mktemp("run")
    baselines = ("base", "vanilla", "vanilla_slow", "vanilla_alone")
    study, long = make(), make(arms=(*baselines, "erase", "erase_update", "erase_random", "no_loophole"))
    table1(study).to_csv(folder / "table1.csv", index=False)
    (folder / "h1.json").write_text(json.dumps(h1(study)))
    table2(_folds()).to_csv(folder / "table2.csv", index=False)
    (folder / "table2.json").write_text(json.dumps(fold_verdicts(_folds())))
    table1(long).to_csv(folder / "horizon.csv", index=False)
    signals, turns = with_signals(), dict(zip((41, 42, 43), MODES, strict=False))
    judged = verdicts_of_table3(signals, turns)
    table3(signals, turns, judged).to_csv(folder / "table3.csv", index=False)
    (folder / "table3.json").write_text(json.dumps(judged))
    source = {"run": "`presets/study.yaml`", "machine": "a computer", "jobs": 3, "hours": 1.5}
    (folder / "source.json").write_text(json.dumps(source))
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """One to change."""
    return shutil.copytree(whole, tmp_path / "run")


def test_the_sentences_follow_the_numbers(copy):
    verdicts = json.loads((copy / "h1.json").read_text())
    for arm, claim in verdicts["claims"].items():
        claim["H1"]["verdict"] = claim["H1s"]["verdict"] = "supported" if arm != "route" else "falsified"
        claim["H1s"]["firm"], claim["H2"]["verdict"] = arm != "route", "undecided"
    (copy / "h1.json").write_text(json.dumps(verdicts))
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc["vanilla", ["hack", "solve"]] = 0.123, 0.456
    table.loc["erase", ["hack_diff", "solve_diff", "early_stop_diff_low"]] = -0.52, 0.04, 0.01
    table.loc[["erase_update", "route"], "early_stop_diff_low"] = -0.01
    table["slow_matched"] = table["slow_matched"].astype(object)
    table.loc[["erase", "erase_update"], "slow_matched"] = "vanilla_slow"
    ends = ["slow_diff_low", "slow_diff_high", "slow_solve_diff_low", "slow_solve_diff_high"]
    table.loc["erase", ends] = -0.1, 0.1, -0.3, -0.1
    table.loc["erase_update", ends] = 0.02, 0.1, -0.3, -0.1
    table.loc["vanilla_alone", ["hack", "solve"]] = 0.2, 0.3
    table.loc["base", ["hack", "solve", "hack_diff", "solve_diff"]] = 0.02, 0.4, -0.29, 0.2
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    folds = json.loads((copy / "table2.json").read_text())
    folds["folds"]["all"]["erase"]["verdict"] = "holds"
    (copy / "table2.json").write_text(json.dumps(folds))
    text = readme.findings(copy)
    assert "What came out of `presets/study.yaml` (3 jobs, which took 1.5 hours together, several" in text
    assert "1. Without an intervention (`vanilla`), the model hacks 12.3% and solves 45.6%" in text
    assert "| `vanilla` | 12.3 |" in text
    assert "The base model, not trained at all, hacks 2.0% and solves 40.0%: for it, H1 is undecided." in text
    assert "| `base` | 2.0 | 40.0 |" in text
    assert "Of 3 interventions, `erase` and `erase_update` meet H1; H1s is" in text
    assert "H1s is supported for `erase` and `erase_update`, falsified for `route` (not firmly for `route`)" in text
    assert "H2 is undecided for `erase`, `erase_update` and `route`." in text
    assert "3. `erase` of these is shown to buy more solving than stopping its baseline early" in text
    assert "samples colder: `vanilla_slow` hacks" in text
    assert "Of 2 held against the slow training that hacked most like each on other replicates, `erase` solves" in text
    assert "`erase` solves less without hacking less, `erase_update` solves less and hacks less, and none" in text
    assert "4. Without a teacher pool, `vanilla_alone` hacks 20.0% and solves 30.0%." in text
    assert "5. With 3 replicates a difference in hack of less than about" in text
    signals = text[text.index("6. Each of 1 pairings of a signal with an action") :].splitlines()[0]
    own = pd.read_csv(copy / "table3.csv").set_index("arm")
    for arm in ("erase", "erase_random", "vanilla"):
        hack, solve = (f"{100 * own.loc[arm, f'{rate}_held_out']:.1f}%" for rate in ("hack", "solve"))
        assert f"hacks {hack} and solves {solve}" in signals
    assert "erase_update" not in signals  # it is told the truth
    assert (
        "7. On loopholes that neither V nor the teacher pool knows" in text and "(3 replicates), `erase` hacks" in text
    )
    assert "8. After 96 steps (3 replicates) `vanilla` hacks" in text
    last = text[text.index("8. After") :].splitlines()[0]
    assert "`erase_update`" in last
    assert not any(f"`{arm}`" in last for arm in ("base", "erase_random", "vanilla_slow", "vanilla_alone"))


def test_a_run_without_any_effect_says_so(copy):
    verdicts = json.loads((copy / "h1.json").read_text())
    folds = json.loads((copy / "table2.json").read_text())
    for claim in verdicts["claims"].values():
        claim["H1"]["verdict"] = "falsified"
    for arms in folds["folds"].values():
        for result in arms.values():
            result["verdict"] = "fails"
    (copy / "h1.json").write_text(json.dumps(verdicts))
    (copy / "table2.json").write_text(json.dumps(folds))
    text = readme.findings(copy)
    assert "Of 3 interventions, none meets H1; H1s is" in text
    assert "none hacks less than its baseline and its twin at matched solve, and does better than" in text


def test_what_a_run_did_not_make_is_not_said(copy):
    for name in ("table2.csv", "table2.json", "table3.csv", "table3.json", "horizon.csv"):
        (copy / name).unlink()
    text = readme.findings(copy)
    assert "On loopholes" not in text and "6. " not in text
    assert "run/horizon.md" not in results.run(copy)


def test_no_line_of_numbers_stands_on_two_pages():
    """The README's short table apart, which is of other columns."""
    owner = {}
    for path in [ROOT / "README.md", ROOT / "docs/results.md", *sorted(RUN.glob("*.md"))]:
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
    copy_results(made, folder, ("table1.csv", "table2.csv"), ("overlap.png",))
    assert [path.name for path in folder.iterdir()] == ["table1.csv"]


def test_a_run_is_called_by_its_preset():
    assert results.run_of(Path("somewhere/study"), ROOT) == "`presets/study.yaml`"
    assert results.run_of(Path("results"), ROOT) == "`make table1`, the default experiment"


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
