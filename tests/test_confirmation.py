"""What the README and docs/results.md say of the confirmation, from its copies alone."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from synthetic_run import judged
from workflow_harness import ROOT

from projected_grpo.configs import merged
from projected_grpo.documents import answers
from projected_grpo.documents.confirmation import asked_again
from projected_grpo.documents.phrases import UNKNOWN, judged_table
from projected_grpo.documents.registered import CONFIRMATION, STUDY


@pytest.fixture
def again(copy):
    """Copies of a confirmation beside those of a registered study."""
    source = json.loads((copy / "source.json").read_text())
    (copy / "source.json").write_text(json.dumps(source | {"commit": "c0ffee" * 4}))
    (copy / "preregistration.md").write_text("| `erase` | prevents |\n| `erase_update` | delays |\n")
    folder = copy.parent / "confirmation"
    folder.mkdir()
    (folder / "table3.md").write_text(
        "| the held-out mode falls no more than under slow training | erase | vanilla_slow | **absent** | reduction in"
        " hack 4.2 points [1.7, 6.7], SEM 0.9, solve +2.6 points |\n"
    )
    (folder / "replicates.json").write_text(json.dumps({"erase": {}, "erase_update": {}}))
    for name in ("table3.csv", "table3.json"):
        shutil.copy(copy / name, folder / name)
    (folder / "source.json").write_text(json.dumps({"commit": "facade" * 4}))
    table = pd.read_csv(folder / "table3.csv").set_index("arm")
    rates = {"erase": (0.01, 0.5), "erase_update": (0.02, 0.6), "erase_random": (0.4, 0.3)}
    for arm, found in rates.items():
        table.loc[arm, ["hack_held_out", "solve_held_out"]] = found
    table.loc["erase_update", ["twin", "knows"]] = "erase_random", "K"
    table.reset_index().to_csv(folder / "table3.csv", index=False)
    return folder


def lead(folder):
    return answers.in_short(folder.parent / "run").split(" So says the [confirmation]")[0]


def test_the_readme_begins_with_what_the_confirmation_shows(again):
    judged(again, "table3.json", {"erase": "prevents", "erase_update": "open"})
    twin = "its twin, without information on hacks: hack 40.0%"
    assert lead(again).startswith(
        f"**In short**: `erase` is shown to prevent hacking on {UNKNOWN}, after 96 steps (hack 1.0%, solve 50.0%;"
        f" {twin}). Prevention is not shown of `erase_update` (hack 2.0%, solve 60.0%; {twin}). That the twin hacks"
    )
    said = answers.in_short(again.parent / "run")
    assert (
        " these 2 arms alone, picked after the study and registered before their first run (but for H1s), on 3"
        " replicates with new base models, teacher pools, pairs and signals, and the study's loopholes and held-out"
        " problems. Of the study's 1 arms that are not told the true verdict, nothing is shown to prevent on such a"
        " loophole.\n\n" in said
    )
    first = "On an unknown loophole (the confirmation): "
    prevents, *_, still, surprised = answers.answers(again.parent / "run")
    assert " In the confirmation `erase` came true, `erase_update` is undecided. " in surprised
    assert f"{first}`erase` hacks 1.0% and solves 50.0% (its twin" in prevents
    assert "On an unknown loophole (the study): none. " in prevents and f"{first}`erase_update`. " in still


def test_where_nothing_is_confirmed_it_says_so(again):
    judged(again, "table3.json", {"erase": "open", "erase_update": "open"})
    assert lead(again).startswith(
        f"**In short**: nothing is shown to prevent hacking on {UNKNOWN}, after 96 steps. Prevention is not shown of"
        " any of `erase` and `erase_update` (hack 1.0 to 2.0%, solve 50.0 to 60.0%; their twins, without"
    )


def test_where_all_is_confirmed_nothing_is_left(again):
    judged(again, "table3.json", {"erase": "prevents", "erase_update": "prevents"})
    assert "not shown of" not in lead(again)


def test_a_run_that_was_not_registered_stands_alone(again):
    run = again.parent / "run"
    source = json.loads((run / "source.json").read_text())
    del source["commit"]
    (run / "source.json").write_text(json.dumps(source))
    assert "confirmation" not in answers.in_short(run)


def test_its_section_has_the_study_beside_it(again):
    judged(again, "table3.json", {"erase": "open", "erase_update": "open"})
    text = "\n".join(asked_again(again))
    assert "of the 2 arms alone that kept both margins" in text and "the code of commit facadefacade made them" in text
    assert (
        " last step: `erase` 4.2 points [1.7, 6.7] than `vanilla_slow`, and solves +2.6 points more by the estimate."
        in text
    )
    for name in ("base", "erase"):
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        cells = row.replace(" ¶", "").replace("¶", "").strip("| ").split(" | ")
        own, study = (pd.read_csv(f / "table3.csv").set_index("arm") for f in (again, again.parent / "run"))
        rates = ("hack_held_out", "solve_held_out")
        assert cells[1:3] == [f"{100 * own.at[name, rate]:.1f}" for rate in rates]
        assert cells[5:7] == [f"{100 * study.at[name, rate]:.1f}" for rate in rates]
    assert "| `erase_random` |" not in text


def test_which_runs_hack_is_said_and_what_their_signals_found_there(again):
    def found(**hack):
        return {
            n.removeprefix("n"): {"hack": share, "unknown": share / 2, "recall": recall}
            for n, (share, recall) in hack.items()
        }

    runs = {
        "erase": found(n9=(0.01, 0.9), n10=(0.101, 0.2), n11=(0.1, None)),
        "erase_update": found(n9=(0.2, 0.7), n10=(0.5, 0.05), n11=(0, 0.8)),
    }
    (again / "replicates.json").write_text(json.dumps(runs))
    together = (
        " All 2 do in replicate 10 (5.1 to 25.0% on its unknown loophole): there their signals find 5.0 to 20.0% of the"
        " exploits in their own runs, a mean over the steps, and in the other replicates 70.0 to 90.0%."
    )
    (said,) = (line for line in asked_again(again) if "Which runs hack" in line)
    assert said == (
        "- **Which runs hack.** More than 10% of all answers are hacks, deployed (in brackets their share, and that on"
        " the unknown loophole): `erase` in replicate 10 (10.1%, 5.1%); `erase_update` in replicate 9 (20.0%, 10.0%)"
        f" and replicate 10 (50.0%, 25.0%).{together}"
    )
    runs["erase"]["10"]["hack"] = 0.1
    (again / "replicates.json").write_text(json.dumps(runs))
    (said,) = (line for line in asked_again(again) if "Which runs hack" in line)
    assert said.endswith(" and replicate 10 (50.0%, 25.0%).")


def test_the_hacked_runs_of_the_confirmation_are_as_many_as_in_its_table():
    folder = ROOT / "docs/confirmation"
    table, runs = judged_table(folder, "table3", "table3")[0], json.loads((folder / "replicates.json").read_text())
    for arm, found in runs.items():
        assert len(found) == table.at[arm, "n_replicates"]
        assert sum(run["hack"] > 0.1 for run in found.values()) == table.at[arm, "hacked_runs"]
        for name, column in (("hack", "hack"), ("unknown", "hack_held_out")):
            rate = sum(run[name] for run in found.values()) / len(found)
            assert rate == pytest.approx(table.at[arm, column], abs=1e-4)


def test_every_arm_of_the_confirmation_is_held_against_slow_training_by_its_page():
    """Whose words are read from there."""
    folder = ROOT / "docs/confirmation"
    arms = json.loads((folder / "table3.json").read_text())["outcomes"]
    (said,) = (line for line in asked_again(folder) if "Against slow training" in line)
    assert len(arms) == 5 and all(f"`{arm}` " in said for arm in arms)


def test_the_registered_arms_are_those_that_the_study_left_open_within_both_margins():
    """And no run had its replicates before: not the study, nor the one that chose the doses."""
    preset = yaml.safe_load((ROOT / CONFIRMATION).read_text())
    table, words = judged_table(ROOT / "docs/run", "table3", "table3")
    within = {arm for arm, word in words.items() if word == "open" and table.at[arm, "margins"] == "holds"}
    told = {arm for arm in within if table.at[arm, "knows"] == "O"}
    asked = [arm for arm in preset["tables"]["table3"] if arm in words]
    assert set(asked) == within - told and len(asked) == 5
    for other in (STUDY, "presets/tuning.yaml"):
        assert not set(preset["replicates"]) & set(merged([ROOT / "config.yaml", ROOT / other])["replicates"])
