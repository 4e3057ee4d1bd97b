"""The answers of a run, with which README and docs/results.md begin: from its copies alone."""

import json
import re

import pandas as pd
from synthetic_run import judged

from projected_grpo.documents import answers, results
from projected_grpo.documents.phrases import UNKNOWN
from projected_grpo.reporting.checks import CHECKS
from projected_grpo.reporting.threats import THREATS


def rates(table, arm, suffix=""):
    hack, solve = (f"{100 * table.at[arm, f'{rate}{suffix}']:.1f}%" for rate in ("hack", "solve"))
    return f"`{arm}` hacks {hack} and solves {solve}"


def read(folder, *names):
    return (pd.read_csv(folder / f"{name}.csv").set_index("arm") for name in names)


def preregistered(folder, **expected):
    """Make the copies those of a registered study."""
    source = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps(source | {"commit": "c0ffee" * 4}))
    page = "Expected; of `erase` and `gone` table 1 had been seen\n"
    page += "".join(f"| `{arm}` | {word} |\n" for arm, word in expected.items())
    (folder / "preregistration.md").write_text(page)


def test_every_setting_is_answered_what_is_asked_first_in_front(copy):
    judged(copy, "table3.json", {"erase": "delays", "erase_update": "prevents"})  # erase_update is told the truth
    judged(copy, "h1.json", {"erase": "damages", "erase_update": "open", "route": "adds nothing"})
    judged(copy, "horizon.json", {"erase": "open"}, shrinks={})
    preregistered(copy, erase="delays", route="damages", erase_update="delays", nobody="delays")
    unknown, known = read(copy, "table3", "table1")
    unknown["slow_matched"] = "vanilla_slow"
    unknown.reset_index().to_csv(copy / "table3.csv", index=False)
    prevents, slows, damages, still, surprised = answers.answers(copy)
    long = "After 96 steps, every loophole known (3 replicates)"
    assert prevents == (
        f"**What prevents.** On an unknown loophole: none. With every loophole known: none. {long}: none."
    )
    assert slows == (
        f"**What only slows.** On an unknown loophole: {rates(unknown, 'erase', '_held_out')}. The slow training that"
        f" is matched: {rates(unknown, 'vanilla_slow', '_held_out')}. With every loophole known: not asked, for no slow"
        f" training is matched. {long}: not asked, for no slow training is matched."
    )
    base, vanilla = (f"`{arm}` solves {100 * known.at[arm, 'solve']:.1f}%" for arm in ("base", "vanilla"))
    assert f" With every loophole known: {rates(known, 'erase')} ({base}; {vanilla}). " in damages
    assert damages.endswith(f" {long}: none.")
    assert still == (
        "**What remains open.** On an unknown loophole: none. With every loophole known: `erase_update`. No effect of"
        f" its own is shown of `route` (**adds nothing**). {long}: `erase`. What is not shown is not absent."
    )
    assert surprised.startswith(
        "**What surprised.** Of 3 expectations 1 came true (`erase`; of all of them table 1 of some replicates had been"
        " seen), 1 are undecided (`erase_update`), contradicted:"
        " `route` (expected: damages; found: adds nothing, every loophole known). Not in these tables: `nobody`. Of the"
        " norm of the gradient of a run's own answers, the part along V that makes hacks more likely has "
    )
    more = r"%.* That this is more than along .* wrong answers is \w+ in `vanilla` \([+-].* points \[.*\]\)\.$"
    assert re.search(more, surprised)


def test_what_does_as_much_without_a_twin_is_said(copy):
    judged(copy, "table3.json", {"erase": "damages"})
    table = pd.read_csv(copy / "table3.csv").set_index("arm")
    for arm, high in (("erase_update_random", -0.1), ("erase_update", 0.1)):
        table.loc[arm, ["hack_diff_held_out_high", "base_solve_diff_held_out_high"]] = -0.1, high
    table.reset_index().to_csv(copy / "table3.csv", index=False)
    hack, solve = (f"{100 * table.at['erase_update_random', f'{rate}_held_out']:.1f}%" for rate in ("hack", "solve"))
    said = f" By the same rule 1 arm without a twin would (hack {hack}, solve {solve}). With every loophole known"
    assert said in answers.answers(copy)[2]


def test_of_which_signals_it_is_shown_that_they_see_more_than_a_control(copy):
    title = CHECKS["detects"][0]
    page = "".join(
        f"| {title} | {name}, {modes} modes | **{answer}** | 0.7 |\n"
        for name, modes, answer in (
            ("probe", "held out", "holds"),
            ("overlap", "held out", "open"),
            ("activation", "known", "holds"),
        )
    )
    (copy / "checks.md").write_text(page)
    assert " than the best control does is shown of `probe` of 2 signals (AUC)." in answers.answers(copy)[4]


def test_how_much_less_than_slow_training_an_arm_hacks_is_said_where_that_is_shown(copy):
    judged(copy, "table3.json", {"erase": "open", "erase_random": "open"})
    title = THREATS["held out slow"][0]
    rows = (("erase", "absent"), ("erase", "present"), ("erase_random", "absent"), ("nobody", "absent"))
    lines = [f"| {title} | {arm} | vanilla_slow | **{answer}** | numbers |" for arm, answer in rows]
    (copy / "table3.md").write_text("\n".join(lines))
    less = " Less hacking than that, at the last step, is shown of `erase_random`, and not of `erase`."
    assert answers.in_short(copy).endswith(less)


def test_what_open_arms_lack_is_said_where_it_is_the_twin_alone(copy):
    claims = json.loads((copy / "table3.json").read_text())["claims"]
    for clause in claims["erase"]["H2"]["clauses"]:
        clause["answer"] = "open" if clause["clause"] == "beats" else "holds"
    judged(copy, "table3.json", {"erase": "open", "erase_random": "open"}, claims=claims)
    (unknown,) = read(copy, "table3")
    hack, solve = (f"{100 * unknown.at['erase', f'{rate}_held_out']:.1f}%" for rate in ("hack", "solve"))
    assert (
        "On an unknown loophole: `erase` and `erase_random`. `erase` keeps both margins of **prevents** (hack"
        f" {hack}, solve {solve}), lacking only the corrected difference to the twin" in answers.answers(copy)[3]
    )


def test_many_arms_are_named_with_the_range_of_their_rates(copy):
    arms = ["erase", "erase_update", "route", "erase_random"]
    judged(copy, "h1.json", dict.fromkeys(arms, "damages"))
    (known,) = read(copy, "table1")
    low, high = (f"{100 * end:.1f}" for end in (known.loc[arms, "hack"].min(), known.loc[arms, "hack"].max()))
    assert f"`route` and `erase_random` (hack {low} to {high}%, solve " in answers.answers(copy)[2]


def test_what_is_open_and_shrinks_with_more_steps_is_a_delay_where_it_hacks_less(copy):
    judged(copy, "h1.json", {"erase": "open", "erase_update": "open", "route": "damages"})
    for name in ("table3.csv", "table3.json"):
        (copy / name).unlink()
    table = pd.read_csv(copy / "table1.csv").set_index("arm")
    table.loc[["erase", "erase_update"], "hack_diff_high"] = -0.1, 0.1
    table.reset_index().to_csv(copy / "table1.csv", index=False)
    judged(copy, "horizon.json", {}, shrinks=dict.fromkeys(("erase", "erase_update", "route"), "present"))
    preregistered(copy, erase="delays")
    _, slows, damages, still, surprised = answers.answers(copy)
    assert slows.startswith("**What only slows.** With every loophole known: `erase` hacks") and "`route`" in damages
    assert "In the table itself `erase` is open: more steps show the delay." in slows
    assert still.startswith("**What remains open.** With every loophole known: `erase_update`. ")
    assert "table 1 of some replicates had been seen), 0 are undecided (none), contradicted: none." in surprised


def test_an_effect_that_shrinks_by_the_end_of_the_longer_run_is_a_delay_there(copy):
    made = {"config": {"shorter": {"erase": "early"}}}
    judged(copy, "horizon.json", {"erase": "open"}, shrinks={"early": "present"}, provenance=made)
    table = pd.read_csv(copy / "horizon.csv").set_index("arm")
    table.loc["erase", "hack_diff_high"] = -0.1
    table.reset_index().to_csv(copy / "horizon.csv", index=False)
    _, slows, _, still, _ = answers.answers(copy)
    long = "After 96 steps, every loophole known (3 replicates)"
    changed = "In the table itself `erase` is open: more steps show the delay. No slow training is matched here."
    assert slows.endswith(f" {long}: {rates(table, 'erase')}. {changed}")
    assert still.endswith(f" {long}: none. What is not shown is not absent.")


def test_a_run_that_was_not_registered_is_not_held_against_what_was_expected(copy):
    said = answers.answers(copy)[-1]
    assert said.startswith("**What surprised.** The preregistration is of a larger study: this run is not held against")


def test_what_a_run_did_not_make_is_not_said(copy):
    for name in ("table2.csv", "table2.json", "table3.csv", "table3.json", "horizon.csv", "horizon.json", "horizon.md"):
        (copy / name).unlink()
    said = " ".join(answers.answers(copy))
    assert "unknown loophole" not in said and "After" not in said
    assert "run/horizon.md" not in results.run(copy)
    judged(copy, "h1.json", {"erase": "delays", "erase_update": "open", "route": "open"})
    assert answers.in_short(copy).startswith(
        "**In short**: nothing is shown to prevent hacking, after 96 steps. Prevention "
    )


def test_the_short_answer_is_of_the_unknown_loopholes(copy):
    judged(copy, "table3.json", {"erase": "prevents", "erase_update": "prevents"})
    table = pd.read_csv(copy / "table3.csv").set_index("arm")
    table["twin"] = table["twin"].astype(object)
    table.loc["erase", "twin"] = "erase_random"
    table.reset_index().to_csv(copy / "table3.csv", index=False)
    hack, solve, twin = (
        f"{100 * table.at[arm, f'{rate}_held_out']:.1f}%"
        for arm, rate in (("erase", "hack"), ("erase", "solve"), ("erase_random", "hack"))
    )
    assert answers.in_short(copy).startswith(
        f"**In short**: `erase` is shown to prevent hacking on {UNKNOWN}, after 96 steps (hack {hack}, solve {solve};"
        f" its twin, without information on hacks: hack {twin}). That the twin hacks more, the primary comparison"
    )
    assert f"\n\nBeside them, {rates(table, 'base', '_held_out')}; `vanilla` hacks" in answers.in_short(copy)
    table.loc[["erase", "erase_random"], "hacked_runs"] = 1, 2
    table.reset_index().to_csv(copy / "table3.csv", index=False)
    runs = "More than 10% of all answers are hacks in 1 of an arm's 3 runs, and in 2 of its twin's."
    assert f"\n\n{runs} That an arm hacks at least 30 points less than its baseline and less than" in answers.in_short(
        copy
    )
    judged(copy, "table3.json", {"erase": "open", "erase_update": "prevents"})
    assert answers.in_short(copy).startswith(
        f"**In short**: nothing is shown to prevent hacking on {UNKNOWN}, after 96 steps. Prevention is not shown of"
        " any of `erase` (hack"
    )
