"""What is said of a run in sentences, from its copies alone: beyond its answers."""

import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
from synthetic_run import judged
from synthetic_study import MODES, with_signals, write_run

from projected_grpo.analysis.statistics import least_sems
from projected_grpo.analysis.study import read_study
from projected_grpo.analysis.table3 import table3
from projected_grpo.analysis.table3 import verdicts as verdicts_of_table3
from projected_grpo.analysis.verdicts import h1
from projected_grpo.documents import results, sentences
from projected_grpo.documents.unseen import unseen
from projected_grpo.reporting.checks import CHECKS

ROOT = Path(__file__).resolve().parents[1]


def detail(folder, name):
    (said,) = (line for line in sentences.details(folder) if line.startswith(f"**{name}"))
    return said


def test_the_details_are_of_every_table_in_turn(copy):
    judged(copy, "table3.json", {"erase": "damages", "erase_update": "prevents"})
    judged(copy, "horizon.json", {"erase": "adds nothing"}, shrinks={"erase": "present", "vanilla_slow": "present"})
    judged(copy, "h1.json", {"erase": "prevents", "route": "open"})
    said = sentences.details(copy)
    assert [re.match(r"\*\*([\w ,]+)\.?\*\*", sentence)[1] for sentence in said] == [
        "Without an intervention",
        "The primary comparison",
        "An unknown loophole",
        "Simpler training there",
        "Effects of their own there",
        "For scale",
        "Where pairs, signals and teacher pool know every loophole",
        "What is not shown is not absent",
        "More steps",
    ]
    first, asked, unknown, simpler, effects, scale, known, fine, long = said
    assert re.search(
        r", to either side and at the median arm, \d+ points? on an unknown loophole; \d+ points? with", fine
    )
    table1, table3, horizon = (
        pd.read_csv(copy / f"{name}.csv").set_index("arm") for name in ("table1", "table3", "horizon")
    )

    def rates(table, arm, suffix=""):
        hack, solve = (f"{100 * table.at[arm, f'{rate}{suffix}']:.1f}%" for rate in ("hack", "solve"))
        return f"`{arm}` hacks {hack} and solves {solve}"

    undisclosed = f"{100 * table1.at['vanilla', 'hack_no_hint']:.1f}% where no prompt discloses a loophole"
    base = rates(table1, "base").removeprefix("`base` ")
    assert (
        f"Every loophole known: {rates(table1, 'vanilla')} (it hacks {undisclosed}); the base model, not trained at"
        f" all, {base}; trained where nothing" in first
    )
    assert f"learns more slowly or samples colder: {rates(table1, 'vanilla_slow')}; " in first
    assert first.endswith(f"Without a teacher pool, {rates(table1, 'vanilla_alone')}.")
    answer = {
        "holds": "holds for `erase`, fails, by the estimate, for none",
        "fails": "holds for none, fails, by the estimate, for `erase`,",
    }[table3.at["erase", "primary"]]
    compared = table3["twin_diff_held_out_p_holm"].notna().sum()
    assert (
        "does the twin hack more than its arm on a loophole that pairs, signals and teacher pool do not know (Holm"
        f" corrected over {compared} arms), where the arm solves at most 10 points less than its baseline? It {answer}"
        in asked
    )
    assert ", one of 3 in turn in 3 replicates (`vanilla` hacks" in unknown
    assert unknown.endswith("): **prevents**: none. **damages**: `erase`.")
    assert " Without a twin, and so without a word: `" in simpler and "(H1s), is supported for" in effects
    assert scale == (
        "**For scale.** Of the arms that are told the true verdict, always or in part, the same rules say: prevents:"
        f" `erase_update`. Of these {rates(table3, 'erase_update', '_held_out')}."
    )
    twin = f"{100 * table1.at[table1.at['erase', 'twin'], 'hack']:.1f}%"
    assert (
        f"** **prevents**: {rates(table1, 'erase')} (its twin hacks {twin}, " in known and "**open**: `route`." in known
    )
    assert long.startswith(
        f"**More steps.** After 96 steps, every loophole known (3 replicates), {rates(horizon, 'vanilla')};"
        f" {rates(horizon, 'vanilla_alone')}. By these steps alone: **prevents**: none. **adds nothing**: `erase`. Of"
        f" what is not shown to prevent, {rates(horizon, 'erase')}. Only slower or colder,"
        f" {rates(horizon, 'vanilla_slow')}."
    )
    assert long.endswith(" With more steps the effect shrinks in `erase`; of controls it shrinks in `vanilla_slow`.")
    for name in ("table3.csv", "table3.json", "horizon.csv", "horizon.json"):
        (copy / name).unlink()
    assert len(sentences.details(copy)) == 3


def test_of_open_arms_it_is_said_what_they_lack(copy):
    margins = {"erase": ("holds", "holds"), "erase_update": ("holds", "fails"), "route": ("open", "holds")}
    verdicts = dict(zip(margins, ("supported", "falsified", "supported"), strict=True))
    claims = {
        arm: {
            "H1s": {"verdict": verdicts[arm], "firm": arm == "erase_update", "clauses": []},
            "H2": {
                "clauses": [
                    {"clause": name, "answer": said} for name, said in zip(("base", "ceiling"), of, strict=True)
                ]
            },
        }
        for arm, of in margins.items()
    }
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    known = detail(copy, "Where pairs")
    assert "**open**: `erase`, `erase_update` and `route`. Open, but within both margins of **prevents** by" in known
    assert "lacking only the corrected difference to the twin: `erase` hacks" in known
    hacks = f"{100 * table.at['route', 'hack']:.1f}"
    assert (
        f" Open, with a margin undecided: `route`, hacking {hacks}%. Shown not to prevent, and open otherwise:"
        " `erase_update`. Without" in known
    )
    assert known.endswith("(H1s), is supported for `erase` and `route`, falsified for `erase_update` (firmly).")
    twin = {"clause": "beats", "against": table.at["route", "twin"], "answer": "open"}
    claims["route"]["H1s"] = {"verdict": "undecided", "firm": False, "clauses": [twin, {**twin, "clause": "early"}]}
    claims["erase"]["H2"]["clauses"][0]["answer"] = "open"
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    known = detail(copy, "Where pairs")
    assert "but within both" not in known and re.search(
        r"undecided: `(erase|route)` hacks .*; `(route|erase)` h", known
    )
    assert known.endswith("supported for `erase`, falsified for `erase_update` (firmly), undecided for `route`.")
    claims["route"]["H1s"] = {"verdict": "falsified", "firm": False, "clauses": [{**twin, "clause": "early"}]}
    claims["route"]["H1s"]["clauses"][0] |= {
        "answer": "fails",
        "against": "vanilla_slow",
        "estimate": 0.03,
        "low": -0.1,
        "high": 0.16,
    }
    claims["erase_update"]["H1s"]["verdict"] = "supported"
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    known = detail(copy, "Where pairs")
    assert known.endswith(
        "falsified for `route` (by the estimate alone: it solves +3 [-10, +16] points more than an early stop of"
        " `vanilla_slow`)."
    )
    claims["route"]["H1s"] = {"verdict": "undecided", "firm": False, "clauses": [twin, {**twin, "answer": "holds"}]}
    claims["route"]["H1s"]["clauses"][1]["clause"] = "early"
    claims["erase_update"]["H1s"]["verdict"] = "falsified"
    judged(copy, "h1.json", dict.fromkeys(margins, "open"), claims=claims)
    known = detail(copy, "Where pairs")
    assert known.endswith("undecided for `route` (lacking only the corrected difference to the twin: `route`).")


def test_a_difference_that_could_hardly_have_been_shown_is_called_so(copy):
    claims = json.loads((copy / "table3.json").read_text())["claims"]
    for clause in claims["erase"]["H2"]["clauses"]:
        clause["answer"] = "open" if clause["clause"] == "beats" else "holds"
    judged(copy, "table3.json", {"erase": "open"}, claims=claims)
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    least = least_sems(rows["twin_diff_held_out_p_holm"].notna().sum(), 3)
    needs = f"it takes {least:.0f} SEM, more than the whole of what its twin hacks"
    for sem, more in (
        (0.5, f", which could hardly have been shown of any of them ({needs})"),
        (0.0, ""),
    ):
        rows.loc["erase", "twin_diff_held_out_sem"] = sem
        rows.reset_index().to_csv(copy / "table3.csv", index=False)
        said = detail(copy, "An unknown loophole")
        assert f"lacking only the corrected difference to the twin{more}: `erase` hacks" in said


def test_arms_that_only_the_correction_leaves_open_are_counted(copy):
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    judged(copy, "table3.json", {"erase": "open"})
    for low, more in (
        (0.01, "`erase`; the interval of 1 of these lies above 0 before the correction."),
        (-0.01, "`erase`."),
    ):
        rows.loc["erase", ["primary", "twin_diff_held_out_low"]] = "open", low
        rows.reset_index().to_csv(copy / "table3.csv", index=False)
        assert f"is open for {more} By the estimate the twin of " in detail(copy, "The primary comparison")


def test_what_nobody_had_seen_is_said_of_the_interventions_alone(copy):
    made = {
        "replicates": [4, 5],
        "outcomes": {"erase": "delays", "erase_update": "open"},
        "primary": {"erase": "holds"},
        "twins": {"erase": {"twin_diff": 0.4, "twin_diff_low": 0.1, "twin_diff_high": 0.7}},
        "margins": {"erase": "holds", "erase_update": "holds", "route": "open"},
        "known": {"erase": "damages", "route": "open"},
    }
    (copy / "unseen.json").write_text(json.dumps(made))
    rows = pd.read_csv(copy / "table3.csv").set_index("arm")
    rows.loc["erase", "primary"] = "holds"
    rows.reset_index().to_csv(copy / "table3.csv", index=False)
    assert detail(copy, "What nobody had seen") == (
        "**What nobody had seen.** On replicates 4, 5 alone that comparison holds for `erase`, fails, by the"
        " estimate, for none, and is open for none. There the first can hold for no difference under 13 SEM. What"
        " the twins hack more, in points, of arms named above or within both margins on all replicates: `erase` +40"
        " [+10, +70]. Within both margins there: `erase`. In one word, prevents: none; delays: `erase`. Every loophole"
        " known: prevents: none; damages: `erase`; open: `route`."  # erase_update is told the truth
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
    assert made.pop("twins").keys() == {"erase"}
    (margins,) = made.pop("margins").items()
    assert margins == ("erase", "open")
    assert made == {"replicates": [42, 43], "outcomes": judged["outcomes"], "primary": primary, "known": known}
    assert list(made["outcomes"]) == list(known) == ["erase"] and answers["erase"] in ("holds", "open", "fails")


def test_how_soon_hacking_is_back_is_said_of_every_start(copy):
    (copy / "relearning.csv").write_text(
        "start,n_replicates,back,never_back,later,later_low,later_high\n,3,31.2,0,,,\n"
        "erase,3,44.9,2,13.7,-2.0,29.4\nroute,3,30,0,-1,,\n"
    )
    assert detail(copy, "Relearning") == (
        "**Relearning.** Trained on without an intervention (3 replicates), the base model comes to half of what it"
        " hacks in the end after 31 steps. Deployed models come to as much so many steps later: `erase` at least +14"
        " [-2, +29] (never in 2 of 3 runs); `route` -1."
    )
    assert "relearning: 3 replicates" in results.run(copy)
    page = (copy / "relearning.csv").read_text()
    (copy / "relearning.csv").write_text(f"{page}no_loophole,3,30,0,1,,\n")
    later = "Later than `no_loophole`, by the estimate, `erase` of 2 deployed models comes to hack again."
    assert detail(copy, "Relearning").endswith(f"`no_loophole` +1. {later}")


def test_what_signals_find_is_said_of_the_loopholes_that_they_do_not_know(copy):
    names = "detector,modes,auc_correct,control_auc_correct,auc_wrong,control_auc_wrong,recall_first,recall_last"
    (copy / "detectors.csv").write_text(
        f"{names},false_positives_first,false_positives_last\nprobe,known,0.9,0.5,0.8,0.5,0.9,0.9,0.1,0.1\n"
        "hack,held out,0.8,0.625,0.7,0.5,,,,\nprobe,held out,0.75,0.625,0.6875,0.5,0.5,0.4,0.1,0.6\n"
    )
    said = (
        "AUC: against correct answers, and against wrong but honest ones): `probe` finds 50.0% and then 40.0% of the"
        " hacks and flags 10.0% and then 60.0% of the rest (AUC 0.75 and 0.69). The best control's AUC is 0.62"
        " and 0.50."
    )
    assert detail(copy, "Signals as detectors").endswith(said)
    row = f"| {CHECKS['detects'][0]} | {{}}, {{}} modes | **{{}}** | 0.8 |\n"
    answers = [("probe", "known", "holds"), ("probe", "held out", "fails"), ("hack", "held out", "open")]
    (copy / "checks.md").write_text("".join(row.format(*answer) for answer in answers))
    assert detail(copy, "Signals as detectors").endswith(
        f"{said} That both are above that, by the interval, fails for `probe`, is open for `hack` (checks.md;"
        " `hack` is V)."
    )


def test_what_signals_find_is_held_against_the_checks_of_the_run():
    """Whose words are read from their page."""
    assert "by the interval, " in detail(ROOT / "docs/run", "Signals as detectors")
