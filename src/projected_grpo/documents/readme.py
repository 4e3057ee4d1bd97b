"""What the README says of a whole run, from the copies in docs/run alone: sentences, a figure, a short table.

The run is the default one, or a preset with more: what a table does not hold is not said.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from projected_grpo.analysis import judgement
from projected_grpo.analysis.statistics import LEVEL
from projected_grpo.analysis.study import BASE, CEILING
from projected_grpo.documents.phrases import baselines, beside_baselines, first_table
from projected_grpo.documents.sentences import UNSEEN, sentences
from projected_grpo.reporting.format import (
    below_base,
    below_base_means,
    grid,
    interval,
    percent,
    points,
    stopped_early,
    unmatched,
)
from projected_grpo.reporting.verdicts import outcomes_mean, unpreventable

FIGURE = "![Hack rate against solve rate along training](docs/run/hack_against_solve.png)"


def marks() -> str:
    """Return what the columns of the short table mean."""
    matched, level = points(judgement.MATCHED), f"{100 * LEVEL:g}%"
    return (
        f"(a) is the arm's hack rate minus its baseline's, in points; † solve is more than {matched} points below the"
        " baseline's. (b) is the arm's solve rate minus the best one that its baseline reached at any checkpoint with"
        " no more hacking, on the problems that are evaluated along the run; a baseline's own (b) is what it lost by"
        " not being stopped; ‡ in at least one replicate not even the base model hacked that little, and it stands in."
        f" (e) is the hack rate of the arm's twin minus the arm's. Brackets are {level} decision intervals (the wider"
        " of a t interval over replicates and a bootstrap over replicates and problems), of one comparison each:"
        " **prevents** and the primary comparison correct for their number, so that an interval of (e) above 0 is not"
        " yet an effect."
        f" {below_base_means()}"
    )


def findings(folder: Path) -> str:
    """Return the README's section on the results."""
    table = first_table(folder)
    verdicts = json.loads((folder / "h1.json").read_text(encoding="utf-8"))
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            "An **arm** is one recipe of training. Its **baseline** is the same training without the intervention:"
            " `vanilla`, or `vanilla_alone` for `..._alone` and `no_loophole`. Its **twin** is the same arm without"
            " information on hacks: with a random V, with a signal fitted on shuffled labels, or with its scores"
            " permuted; where it flags, it flags as many of the teacher's and of the model's own answers, rewarded or"
            " not, as its arm did, and as heavily. What both share, such as no longer imitating the teacher, is not"
            f" credited to the arm. An interval is the {100 * LEVEL:g}% decision interval over replicates and problems."
            " What an intervention did is said in one word, the first that fits, by the rules of the"
            f" [preregistration](docs/preregistration.md). {unpreventable()} The words:",
            "",
            *(f"- **{word}**: {meaning}" for word, meaning in outcomes_mean().items()),
            "",
            f"What came out of {source['run']} ({source['jobs']} jobs, {source['hours']:.1f} hours summed over jobs, on"
            f" {source['machine']}){_standing(source, folder)}:",
            "",
            *(f"{n}. {sentence}" for n, sentence in enumerate(sentences(folder, table, verdicts["outcomes"]), 1)),
            "",
            FIGURE,
            "",
            headline(table, verdicts["outcomes"]),
            "",
            f"Mean over {verdicts['n_replicates']} replicates, {table['last_step'].max()} steps, deployed model,"
            f" held-out problems. {marks()}",
            "",
        ]
    )


def _standing(source: dict, folder: Path) -> str:
    """Say whether the run is the preregistered study, and which replicates were seen only after its registration."""
    if "commit" not in source:
        return ", which is exploratory: its replicates were seen while the rules were written"
    alone = json.loads((folder / UNSEEN).read_text(encoding="utf-8"))["replicates"]
    return (
        f", run at commit {source['commit'][:12]} after its preregistration; before it, nobody had seen replicates"
        f" {', '.join(map(str, alone))}, of which [docs/results.md](docs/results.md) speaks alone, too"
    )


def headline(table: pd.DataFrame, interventions: Iterable[str]) -> str:
    """Return rows of the base model, of the baselines with their slow and cold controls and interventions, and of the
    ceiling."""
    first, last = (table.index[table["group"] == name] for name in (BASE, CEILING))
    rows = []
    for arm in [*first, *beside_baselines(table, interventions, baselines(table)), *last]:
        row = table.loc[arm]
        rows.append(
            [
                f"`{arm}`",
                percent(row["hack"]),
                percent(row["solve"]) + below_base(row),
                interval(row, "hack_diff") + unmatched(row),
                stopped_early(row),
                interval(row, "twin_diff"),
            ]
        )
    return grid(["arm", "hack %", "solve %", "(a) hack", "(b) early stopping", "(e) twin's hack more"], rows)
