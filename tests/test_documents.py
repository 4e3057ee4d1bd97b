"""The README and docs/results.md say what the copied results say, and their claims about files hold."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from synthetic_study import MODES, evaluation, make, steps, with_signals, write_run

from projected_grpo.analysis.study import Claim, TableArm, build_study, read_study
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table2 import fold_verdicts, table2
from projected_grpo.analysis.table3 import table3
from projected_grpo.analysis.table3 import verdicts as verdicts_of_table3
from projected_grpo.analysis.verdicts import h1
from projected_grpo.documents import readme, results, sentences
from projected_grpo.documents.blocks import copy_results, replace_block
from projected_grpo.documents.unseen import unseen
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
    words = ("prevents", "damages", "adds nothing", "delays", "open")
    assert [line.split(":")[0] for line in lines if line.startswith("- **")] == [f"- **{word}**" for word in words]


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
    (folder / "horizon.json").write_text(json.dumps(h1(long) | {"shrinks": {}}))
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


def judged(folder, table, outcomes, **more):
    """Write other outcomes for a table."""
    verdicts = json.loads((folder / table).read_text())
    (folder / table).write_text(json.dumps(verdicts | {"outcomes": outcomes} | more))


def test_the_sentences_follow_the_numbers(copy):
    judged(copy, "h1.json", {"erase": "prevents", "erase_update": "delays", "route": "open"})
    judged(copy, "table3.json", {"erase": "damages", "erase_update": "prevents"})
    judged(copy, "horizon.json", {"erase": "adds nothing"}, shrinks={"erase": "present", "erase_update": "open"})
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc["vanilla", ["hack", "solve"]] = 0.123, 0.456
    table.loc["erase", ["hack", "solve"]] = 0.05, 0.5
    table.loc["erase_random", ["hack", "solve"]] = 0.6, 0.1
    table["twin"] = table["twin"].astype(object)
    table.loc["erase", "twin"] = "erase_random"
    table.loc["vanilla_alone", ["hack", "solve"]] = 0.2, 0.3
    table.loc["base", ["hack", "solve", "hack_diff", "solve_diff"]] = 0.02, 0.4, -0.29, 0.2
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    text = readme.findings(copy)
    assert "What came out of `presets/study.yaml` (3 jobs, 1.5 hours summed over jobs, on a computer)" in text
    assert "1. Without an intervention (`vanilla`), the model hacks 12.3% and solves 45.6%" in text
    assert "| `vanilla` | 12.3 |" in text
    assert "; the base model, not trained at all, hacks 2.0% and solves 40.0%; trained where nothing" in text
    assert "| `base` | 2.0 | 40.0 |" in text
    assert (
        "2. Where pairs, signals and teacher pool know every loophole: **prevents**: `erase` hacks 5.0% and solves"
        " 50.0%, its twin hacks 60.0% and solves 10.0%" in text
    )
    assert "; **delays**: `erase_update`; **open**: `route`." in text
    unknown = "3. On a loophole that pairs, signals and teacher pool do not know, another one in turn in 3 replicates:"
    assert f"{unknown} **prevents**: none; **damages**: `erase`. Whether an arm's twin" in text  # the other is told all
    answer = pd.read_csv(copy / "table3.csv").set_index("arm").loc["erase", "primary"]
    said = {"holds": "holds for {}, fails for none, and is open for none", "fails": "holds for none, fails for {}, and"}
    assert f"at matched solve: it {said[answer].format('`erase`')}" in text
    long = pd.read_csv(copy / "horizon.csv").set_index("arm").loc["vanilla"]
    assert (
        f"4. After 96 steps (3 replicates) `vanilla` hacks {100 * long['hack']:.1f}% and solves"
        f" {100 * long['solve']:.1f}%: **prevents**: none; **adds nothing**: `erase`. The effect shrinks with more"
        " steps in `erase`." in text
    )
    assert "5. Training that only learns more slowly or samples colder: `vanilla_slow` hacks" in text
    assert re.search(r"^5\. .*\. Without a teacher pool, `vanilla_alone` hacks 20\.0% and solves 30\.0%\.$", text, re.M)
    assert re.search(r"6\. V makes up \d+\.\d% of the norm of `vanilla`'s live gradient, and the best", text)
    assert "7. With 3 replicates the interval of a difference in hack reaches about" in text


def test_the_conclusions_are_of_the_unknown_loopholes_and_of_what_was_expected(copy):
    judged(copy, "table3.json", {"erase": "prevents", "erase_update": "open"})
    judged(copy, "horizon.json", {}, shrinks={"route": "present"})
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    rows["twin"] = rows["twin"].astype(object)
    rows.loc["erase", "twin"] = "erase_random"
    rows.loc["erase", ["hack_held_out", "solve_held_out"]] = 0.01, 0.5
    rows.loc["erase_random", ["hack_held_out", "solve_held_out"]] = 0.7, 0.25
    rows.reset_index().to_csv(copy / "table3.csv", index=False)
    judged(copy, "h1.json", {"erase": "open", "route": "open"})
    said = sentences.conclusions(copy, {"erase": "delays", "route": "damages", "nobody": "delays"})
    assert [re.match(r"\*\*([\w ]+)\.\*\*", sentence)[1] for sentence in said] == [
        "The primary comparison",
        "What prevents",
        "What only slows",
        "What only damages",
        "What remains open",
        "What surprised",
    ]
    assert "`erase` hacks 1.0% and solves 50.0%, its twin hacks 70.0% and solves 25.0% (" in said[1]
    assert said[2] == "**What only slows.** none. The effect shrinks with more steps in none."  # of route nobody asks
    assert said[3] == "**What only damages.** none." and "**What remains open.** none. With 3" in said[4]
    assert said[5] == (
        "**What surprised.** Of 2 expectations 0 came true; otherwise: `erase` (expected: delays; found: prevents);"
        " `route` (expected: damages; found: delays, every loophole known). Not in these tables: `nobody`."
    )
    for name in ("table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    judged(copy, "h1.json", {"erase": "delays", "route": "open"})
    said = sentences.conclusions(copy, {})
    assert said[0].startswith("**What prevents.** Where pairs, signals and teacher pool know every loophole (`vanilla`")
    assert "`erase` hacks" in said[1] and said[3].startswith("**What remains open.** `route`. With")
    assert said[4].endswith("Nothing was registered for this run.")


def test_what_nobody_had_seen_is_said_of_the_interventions_alone(copy):
    made = {
        "replicates": [4, 5],
        "outcomes": {"erase": "delays", "erase_update": "open"},
        "primary": {"erase": "holds"},
    }
    (copy / "unseen.json").write_text(json.dumps(made))
    said = sentences.conclusions(copy, {})
    assert said[1] == (
        "**What nobody had seen.** On replicates 4, 5 alone that comparison holds for `erase`, fails for none, and is"
        " open for none; in one word, delays: `erase`."  # erase_update is told the truth
    )


def test_what_the_unseen_replicates_say_is_what_table_3_of_them_alone_says(tmp_path):
    study, turns = with_signals(), dict(zip((41, 42, 43), MODES, strict=False))
    arms = ("base", "vanilla", "vanilla_slow", "erase", "erase_random")
    for arm in arms:
        for n in turns:
            write_run(tmp_path, arm, n)
    spec = {arm: dataclasses.asdict(study.arms[arm]) for arm in arms}
    claims = {"erase": dataclasses.asdict(study.claims["erase"])}
    config = {"arms": spec, "modes": turns, "claims": claims, "ceiling": None}
    (tmp_path / "table3.json").write_text(json.dumps({"provenance": {"config": config}}))
    made = unseen(tmp_path, [42, 43])
    own, alone = {n: turns[n] for n in (42, 43)}, read_study(tmp_path, spec, [42, 43], claims, None)
    judged = verdicts_of_table3(alone, own)
    answers = table3(alone, own, judged).set_index("arm")["primary"]
    assert made == {"replicates": [42, 43], "outcomes": judged["outcomes"], "primary": {"erase": answers["erase"]}}
    assert list(made["outcomes"]) == ["erase"] and answers["erase"] in ("holds", "open", "fails")


def test_what_is_open_and_shrinks_with_more_steps_is_a_delay_where_it_hacks_less(copy):
    judged(copy, "h1.json", {"erase": "open", "erase_update": "open", "route": "damages"})
    for name in ("table3.csv", "table3.json"):
        (copy / name).unlink()
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc[["erase", "erase_update"], "hack_diff_high"] = -0.1, 0.1
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    judged(copy, "horizon.json", {}, shrinks=dict.fromkeys(("erase", "erase_update", "route"), "present"))
    said = sentences.conclusions(copy, {"erase": "delays"})
    assert said[1].startswith("**What only slows.** `erase` hacks") and "`route`" in said[2]
    assert said[3].startswith("**What remains open.** `erase_update`.") and "1 came true; otherwise: none." in said[4]
    text = readme.findings(copy)
    assert "**delays**: `erase`;" in text and "**open**: `erase_update`." in text  # the README says the same


def test_the_preregistered_expectations_are_read_from_their_page():
    expected = sentences.expectations((ROOT / "docs/preregistration.md").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert len(expected) == 8 and expected["probe_drop"] == "prevents" and expected["detector_drop"] == "adds nothing"
    assert expected.keys() <= config["arms"].keys()


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


def test_what_a_run_did_not_make_is_not_said(copy):
    for name in ("table2.csv", "table2.json", "table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    text = readme.findings(copy)
    assert "On a loophole" not in text and "More steps" not in text and "6. " not in text
    assert "run/horizon.md" not in results.run(copy)


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
    pd.DataFrame({"hack": [0.0, 0.125]}).to_csv(made.parent / "table1.csv")
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/results.md"
    page.write_text("<!-- smollm2: from docs/smollm2 -->\n<!-- end of smollm2 -->\n")
    results.main("smollm2", made.parent, None, tmp_path)
    assert "a file of 5 rollouts, of which 2 exploit. No arm's final hack rate is above 12.5%." in page.read_text()
    assert (tmp_path / "docs/smollm2/teacher_pool.json").is_file()


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
    (root / "docs/preregistration.md").write_text("| `erase` | damages |\n| `route` | damages |\n")
    monkeypatch.setattr(results, "registered_commit", lambda folder: "1234567890abcdef")
    monkeypatch.setattr(results, "unseen_replicates", lambda folder: [2])
    monkeypatch.setattr(results, "unseen", lambda folder, n: {"replicates": n, "outcomes": {}, "primary": {}})
    monkeypatch.setattr(results, "page_at", lambda folder, commit: "| `erase` | prevents |\n")
    path = str(root / "presets/study.yaml") if preset == "absolute" else preset
    results.main("run", made, path, root)
    page = (root / "docs/results.md").read_text()
    assert "This is `presets/study.yaml`, run whole" in page and "It was run at commit 1234567890ab" in page
    assert "Of 1 expectations " in page and "On replicates 2 alone" in page
    assert page == replace_block(page, "run", results.run(root / "docs/run"))  # from docs/run alone


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
