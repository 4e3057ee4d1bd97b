"""What is said of a run in sentences, from its copies alone: README's, the conclusions, and what was expected."""

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
from projected_grpo.documents.blocks import replace_block
from projected_grpo.documents.unseen import unseen

ROOT = Path(__file__).resolve().parents[1]


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
    table.loc["erase", ["twin_diff", "twin_diff_low", "twin_diff_high"]] = 0.55, 0.4, 0.7
    table["twin"] = table["twin"].astype(object)
    table.loc["erase", "twin"] = "erase_random"
    table.loc["vanilla_alone", ["hack", "solve"]] = 0.2, 0.3
    table.loc["base", ["hack", "solve", "hack_diff", "solve_diff"]] = 0.02, 0.4, -0.29, 0.2
    table.reset_index().to_csv(copy / "table1.csv", index=False)
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
        " 50.0% (its twin hacks +55 [+40, +70] points more). **delays**: `erase_update`; **open**: `route`." in text
    )
    unknown = (
        "3. On a loophole that pairs, signals and teacher pool do not know, another one in turn in 3 replicates (`van"
    )
    assert unknown in text and "): **prevents**: none. **damages**: `erase`. That the effect is large, specific" in text
    table3 = pd.read_csv(copy / "table3.csv").set_index("arm")
    told = [f"{100 * table3.at['erase_update', f'{rate}_held_out']:.1f}%" for rate in ("hack", "solve")]
    scale = (
        "For scale, what is told the true verdict, by the same rules: prevents: `erase_update`; `erase_update` hacks"
    )
    assert f"{scale} {told[0]} and solves {told[1]}.\n" in text
    said = {"holds": "holds for {}, fails for none, and is open for none", "fails": "holds for none, fails for {}, and"}
    compared = table3["twin_diff_held_out_p_holm"].notna().sum()
    asked = "4. The primary comparison: does the twin hack more than its arm on that loophole (Holm corrected"
    answer = f"It {said[table3.at['erase', 'primary']].format('`erase`')}"
    assert (
        f"{asked} over {compared} arms), where the arm solves at most 10 points less than its baseline? {answer}"
        in text
    )
    long = pd.read_csv(copy / "horizon.csv").set_index("arm").loc["vanilla"]
    assert (
        f"5. After 96 steps, every loophole known (3 replicates), `vanilla` hacks {100 * long['hack']:.1f}% and solves"
        f" {100 * long['solve']:.1f}%. By these steps alone: **prevents**: none. **adds nothing**: `erase`. With more"
        " steps the effect shrinks in `erase`, is open in `erase_update`." in text
    )
    assert "6. Training that only learns more slowly or samples colder: `vanilla_slow` hacks" in text
    assert re.search(r"^6\. .*\. Without a teacher pool, `vanilla_alone` hacks 20\.0% and solves 30\.0%\.$", text, re.M)
    assert re.search(
        r"7\. In the gradient of `vanilla`'s own answers, the part along V that .* has \d+\.\d% of the norm", text
    )
    assert "8. With 3 replicates the interval of what a twin hacks more than its arm reaches about" in text


def test_the_conclusions_are_of_the_unknown_loopholes_and_of_what_was_expected(copy):
    judged(copy, "table3.json", {"erase": "prevents", "erase_update": "open"})
    judged(copy, "horizon.json", {}, shrinks={"route": "present", "vanilla_slow": "present", "erase": "absent"})
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    rows["twin"] = rows["twin"].astype(object)
    rows.loc["erase", "twin"] = "erase_random"
    rows.loc["erase", ["hack_held_out", "solve_held_out"]] = 0.01, 0.5
    rows.loc["erase", [f"twin_diff_held_out{end}" for end in ("", "_low", "_high")]] = 0.69, 0.5, 0.88
    rows.reset_index().to_csv(copy / "table3.csv", index=False)
    judged(copy, "h1.json", {"erase": "open", "route": "open"})
    said = sentences.conclusions(copy, {"erase": "delays", "route": "damages", "nobody": "delays"})
    assert [re.match(r"\*\*([\w ,]+)\.?\*\*", sentence)[1] for sentence in said] == [
        "The primary comparison",
        "What prevents",
        "What only slows",
        "What only damages",
        "What remains open",
        "Where pairs, signals and teacher pool know every loophole",
        "More steps",
        "What surprised",
    ]
    assert "`erase` hacks 1.0% and solves 50.0% (its twin hacks +69 [+50, +88] points more)." in said[1]
    assert said[2:4] == ["**What only slows.** none.", "**What only damages.** none."]
    assert said[4].startswith("**What remains open.** ") and " With 3 replicates the interval of what" in said[4]
    assert "**prevents**: none. **delays**: `route`; **open**: `erase`. " in said[5]
    assert " In the table itself `route` is open: more steps show the delay. That the effect is large" in said[5]
    assert said[6].endswith(
        " With more steps the effect shrinks in `route`, does not shrink in `erase`; of controls it shrinks in"
        " `vanilla_slow`."
    )
    assert said[7] == (
        "**What surprised.** Of 2 expectations 0 came true (none), 0 are undecided (none), otherwise came out: `erase`"
        " (expected: delays; found: prevents); `route` (expected: damages; found: delays, every loophole known)."
        " Not in these tables: `nobody`."
    )
    for name in ("table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    judged(copy, "h1.json", {"erase": "delays", "route": "open"})
    said = sentences.conclusions(copy, {})
    assert said[0].startswith("**What prevents.** Where pairs, signals and teacher pool know every loophole (`vanilla`")
    assert "`erase` hacks" in said[1] and said[3].startswith("**What remains open.** `route`; for want")
    assert said[4].endswith("The preregistration is of a larger study: this run is not held against it.")
    said = sentences.conclusions(copy, {"erase": "delays", "route": "prevents"})
    assert "Of 2 expectations 1 came true (`erase`), 1 are undecided (`route`), otherwise came out: none." in said[4]


def test_of_open_arms_it_is_said_what_they_lack(copy):
    margins = {"erase": ("holds", "holds"), "erase_update": ("holds", "fails"), "route": ("open", "holds")}
    verdicts = dict(zip(margins, ("supported", "falsified", "supported"), strict=True))
    claims = {
        arm: {
            "H1s": {"verdict": verdicts[arm]},
            "H2": {
                "clauses": [
                    {"clause": name, "answer": said} for name, said in zip(("base", "ceiling"), of, strict=True)
                ]
            },
        }
        for arm, of in margins.items()
    }
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    _, known, *_ = sentences.sentences(copy, pd.read_csv(copy / "table1.csv").set_index("arm", drop=False), {})
    assert "**open**: `erase`, `erase_update` and `route`. Open, but within both margins of **prevents** by" in known
    assert "lacking the corrected difference to the twin alone: `erase` hacks" in known
    assert (
        " Open, with a margin undecided: `route`. Open, with a margin missed by the interval: `erase_update`." in known
    )
    assert known.endswith("(H1s) is supported for `erase` and `route`, falsified for `erase_update`.")
    claims["erase"]["H2"]["clauses"][0]["answer"] = "open"
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    _, known, *_ = sentences.sentences(copy, pd.read_csv(copy / "table1.csv").set_index("arm", drop=False), {})
    assert "but within both" not in known and re.search(
        r"undecided: `(erase|route)` hacks .*; `(route|erase)` h", known
    )


def test_arms_that_only_the_correction_leaves_open_are_counted(copy):
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    judged(copy, "table3.json", {"erase": "open"})
    for low, more in (
        (0.01, "`erase`; the interval of 1 of these lies above 0 before the correction."),
        (-0.01, "`erase`."),
    ):
        rows.loc["erase", ["primary", "twin_diff_held_out_low"]] = "open", low
        rows.reset_index().to_csv(copy / "table3.csv", index=False)
        said = sentences.conclusions(copy, {})
        assert f"is open for {more} With" in said[0]


def test_what_nobody_had_seen_is_said_of_the_interventions_alone(copy):
    made = {
        "replicates": [4, 5],
        "outcomes": {"erase": "delays", "erase_update": "open"},
        "primary": {"erase": "holds"},
        "known": {"erase": "damages", "route": "open"},
    }
    (copy / "unseen.json").write_text(json.dumps(made))
    said = sentences.conclusions(copy, {})
    assert said[1] == (
        "**What nobody had seen.** On replicates 4, 5 alone that comparison holds for `erase`, fails for none, and is"
        " open for none; in one word, delays: `erase`."  # erase_update is told the truth
        " Every loophole known: damages: `erase`; open: `route`."
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
    for name in ("h1.json", "table3.json"):
        (tmp_path / name).write_text(json.dumps({"provenance": {"config": config}}))
    made = unseen(tmp_path, [42, 43])
    own, alone = {n: turns[n] for n in (42, 43)}, read_study(tmp_path, spec, [42, 43], claims, None)
    judged = verdicts_of_table3(alone, own)
    answers = table3(alone, own, judged).set_index("arm")["primary"]
    known = h1(alone)["outcomes"]
    primary = {"erase": answers["erase"]}
    assert made == {"replicates": [42, 43], "outcomes": judged["outcomes"], "primary": primary, "known": known}
    assert list(made["outcomes"]) == list(known) == ["erase"] and answers["erase"] in ("holds", "open", "fails")


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
    assert said[3].startswith("**What remains open.** `erase_update`; for want of a twin nothing is said of ")
    assert " 1 came true (`erase`), 0 are undecided (none), otherwise came out: none." in said[-1]
    text = readme.findings(copy)
    assert "**delays**: `erase`;" in text and "**open**: `erase_update`." in text  # the README says the same


def test_how_soon_hacking_is_back_is_said_of_every_start(copy):
    (copy / "relearning.csv").write_text(
        "start,n_replicates,back,never_back,later,later_low,later_high\n,3,31.2,0,,,\n"
        "erase,3,44.9,2,13.7,-2.0,29.4\nroute,3,30,0,-1,,\n"
    )
    (said,) = (line for line in sentences.conclusions(copy, {}) if "Relearning" in line)
    assert said == (
        "**Relearning.** Trained on without an intervention (3 replicates), the model is back at half of what it hacks"
        " in the end after 31 steps from the base model; from `erase`'s deployed model after at least 45 (+14 [-2,"
        " +29], never in 2 of 3 runs); from `route`'s deployed model after 30 (-1)."
    )
    assert "relearning: 3 replicates" in results.run(copy)


def test_what_a_run_did_not_make_is_not_said(copy):
    for name in ("table2.csv", "table2.json", "table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    text = readme.findings(copy)
    assert "On a loophole" not in text and "More steps" not in text and "6. " not in text
    assert "run/horizon.md" not in results.run(copy)


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
    words = ("outcomes", "primary", "known")
    monkeypatch.setattr(results, "unseen", lambda folder, n: {"replicates": n, **{key: {} for key in words}})
    monkeypatch.setattr(results, "page_at", lambda folder, commit: "| `erase` | prevents |\n")
    monkeypatch.setattr(results, "pack", lambda made, rows, replicates: rows.mkdir())
    path = str(root / "presets/study.yaml") if preset == "absolute" else preset
    results.main("run", made, path, root)
    page = (root / "docs/results.md").read_text()
    assert "This is `presets/study.yaml`, run whole" in page and "It was run at commit 1234567890ab" in page
    assert "Of 1 expectations " in page and "On replicates 2 alone" in page
    front = (root / "README.md").read_text()
    assert "run at commit 1234567890ab after its preregistration; before it, nobody had seen replicates 2, of" in front
    assert page == replace_block(page, "run", results.run(root / "docs/run"))  # from docs/run alone
