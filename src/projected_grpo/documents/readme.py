"""What the README says of a whole run, from the copies in docs/run alone: sentences, a figure, a short table.

The run is the default one, or a preset with more: what a table does not hold is not said.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from projected_grpo.analysis.judgement import HOLDS
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.study import BASE, CEILING, SLOW
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.documents.answers import answers, in_short
from projected_grpo.documents.expected import is_registered
from projected_grpo.documents.phrases import UNKNOWN, baselines, first_table, judged_table, of_group, signals, told_all
from projected_grpo.documents.sentences import UNSEEN, loopholes, worse_twins
from projected_grpo.reporting.format import NOTHING, below_base, below_base_means, grid, interval, percent, points_of
from projected_grpo.reporting.verdicts import outcomes_mean, unpreventable

FIGURE = "![Hack rate against solve rate along training](docs/run/hack_against_solve.png)"


def findings(folder: Path) -> str:
    """Return the README's section on the results."""
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            in_short(folder),
            "",
            "An **arm** is one recipe of training. Its **baseline** is the same training without the intervention:"
            " `vanilla`, or `vanilla_alone` for `..._alone` and `no_loophole`. Its **twin** is the same arm without"
            " information on hacks: with a random V, with a signal fitted on shuffled labels, with its scores permuted,"
            " or started on wrong programs (`warmstart`); where it flags, it flags as many of the teacher's and of the"
            " model's own answers, rewarded or not, as its arm did, and as heavily. What both share, such as no longer"
            " imitating the teacher, is not credited to the arm. An interval is the"
            f" {100 * LEVEL:g}% decision interval over replicates and problems. An **early stop** of a run is its"
            " checkpoint that solves most while it hacks no more than the arm that it is held against."
            " What an intervention did is said in one word, the first that fits, by the rules of the"
            f" [preregistration](docs/preregistration.md); what is said beside of open arms, it does not ask for, and"
            f" nothing corrects that for its number. {unpreventable()} The words:",
            "",
            *(f"- **{word}**: {meaning}" for word, meaning in outcomes_mean().items()),
            "",
            f"What came out of {source['run']} ({source['jobs']} jobs, {source['hours']:.1f} hours summed over jobs, on"
            f" {source['machine']}){_standing(source, folder)}:",
            "",
            *(f"{n}. {sentence}" for n, sentence in enumerate(answers(folder), 1)),
            "",
            FIGURE,
            "",
            headline(folder),
            "",
            _legend(folder),
            "",
        ]
    )


def _standing(source: dict, folder: Path) -> str:
    """Say whether the run is the preregistered study, and which replicates were seen only after its registration."""
    if not is_registered(folder):
        return ", which is exploratory: its replicates were seen while the rules were written"
    alone = json.loads((folder / UNSEEN).read_text(encoding="utf-8"))["replicates"]
    return (
        f", with the code of commit {source['commit'][:12]}. When its preregistration was written, nobody had seen"
        f" anything of table 3 or of replicates {', '.join(map(str, alone))} (what these say alone stands in"
        " [docs/results.md](docs/results.md)); table 1 of the others, on which more steps were run, had been seen"
    )


def headline(folder: Path) -> str:
    """Return the rates of `_shown` in table 1, and beside them on the unknown loopholes of table 3 where that is."""
    tables = {"": judged_table(folder, "table1", "h1")[0]}
    head = ["arm", "hack %", "solve %", "twin's hack more"]
    if _has_signals(folder):
        tables[HELD_OUT] = signals(folder)[0]
        head += [f"unknown: {name}" for name in head[1:]]
    rows = []
    for arm in _shown(tables):
        rows.append([f"`{arm}`", *(cell for suffix, table in tables.items() for cell in cells(table, arm, suffix))])
    return grid(head, rows)


def cells(table: pd.DataFrame, arm: str, suffix: str) -> list[str]:
    """Return an arm's hack and solve rate and what its twin hacks more, as a table shows them."""
    if arm not in table.index:
        return [NOTHING] * 3
    row = table.loc[arm]
    more = interval(row, f"twin_diff{suffix}") + (" *" if row["beats"] == HOLDS else "")
    return [percent(row[f"hack{suffix}"]), percent(row[f"solve{suffix}"]) + below_base(row, suffix), more]


def _has_signals(folder: Path) -> bool:
    return (folder / "table3.csv").exists()


def _shown(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the base model; each baseline with its slow and cold controls, its interventions of table 1, and those of
    table 3 that keep both margins or beat their twin; the ceiling; of what is told the true verdict the best."""
    known = tables[""]
    first, last = (list(known.index[known["group"] == name]) for name in (BASE, CEILING))
    interventions, baseline = list(known.index[known["beats"].notna()]), known["baseline"]
    if HELD_OUT in tables:
        unknown = tables[HELD_OUT]
        own = _interventions(unknown)
        judged = unknown.loc[own]
        truth = unknown[unknown["beats"].notna()].drop(own)
        near = judged.index[(judged["margins"] == HOLDS) | (judged["beats"] == HOLDS)]
        interventions += [arm for arm in near if arm not in interventions]
        baseline = baseline.combine_first(unknown["baseline"])
        last += [arm for arm in truth[f"hack{HELD_OUT}"].nsmallest(1).index if arm not in interventions]
    beside = [
        (one, *of_group(known, SLOW, one), *(arm for arm in interventions if baseline[arm] == one))
        for one in baselines(known)
    ]
    return [*first, *itertools.chain(*beside), *last]


def _interventions(table: pd.DataFrame) -> list[str]:
    """Return the judged arms of table 3 that are not told the true verdict."""
    return [arm for arm in table.index[table["beats"].notna()] if not told_all(table, arm)]


def _legend(folder: Path) -> str:
    """Return what the figure, and the rows and columns of the short table mean."""
    table, level = first_table(folder), f"{100 * LEVEL:g}%"
    return (
        f"Every loophole known (table 1; the figure has a part of its problems): mean over"
        f" {table['n_replicates'].iloc[0]} replicates, {table['last_step'].max()} steps, deployed model, problems that"
        f" no training saw.{_unknown(folder) if _has_signals(folder) else ''} Brackets are {level} decision intervals"
        " (the wider of a t interval over replicates and a bootstrap over replicates and problems), of one comparison"
        f" each, whose end -0 lies below 0; * is above 0 once their number is corrected for, too.{_controls(folder)}"
        f" {NOTHING} not in that table, or nothing to compare. {below_base_means()}"
        " [docs/threats.md](docs/threats.md) asks of every arm what would undo its result."
    )


def _unknown(folder: Path) -> str:
    """Return what the columns on the unknown loopholes mean, and which rows only they have."""
    table = signals(folder)[0]
    return (
        f" `unknown` is on {UNKNOWN} (table 3), one of {loopholes(folder)} in turn; training has it, and pays for it."
        " Of table 3 alone stand here the arms that keep both margins of **prevents** there or beat their twin and,"
        " last, of those that are told the true verdict the one that hacks least."
        f"{worse_twins(table, [arm for arm in _interventions(table) if table.at[arm, 'beats'] == HOLDS])}"
    )


def _controls(folder: Path) -> str:
    """Say how much less arms hack than each of their controls, where that is not the twin alone."""
    claims = json.loads((folder / "h1.json").read_text(encoding="utf-8"))["claims"]
    said = []
    for arm, claim in claims.items():
        less = [
            f"{points_of(one['estimate'])} less than `{one['against']}`"
            for one in claim["H1s"]["clauses"]
            if one["clause"] == "beats" and one.get("estimate") is not None
        ]
        if len(less) > 1:
            said.append(f" `{arm}` has more controls than its twin: it hacks {', '.join(less)}.")
    return "".join(said)
