"""Table 3: every signal with every action, for a person."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis.checks import Check
from projected_grpo.analysis.judgement import DROP_FALSIFIES, MATCHED
from projected_grpo.analysis.study import Sizes
from projected_grpo.analysis.table1 import smallest_effect
from projected_grpo.analysis.table3 import HELD_OUT
from projected_grpo.analysis.threats import Threat
from projected_grpo.reporting.checks import CHECKS_MEAN, check_grid
from projected_grpo.reporting.format import (
    NOTHING,
    below_base,
    corrected,
    grid,
    interval,
    page,
    percent,
    points,
    sample_sizes,
)
from projected_grpo.reporting.table1 import headline, marks
from projected_grpo.reporting.threats import THREATS_MEAN, threat_grid
from projected_grpo.reporting.verdicts import H2_FULL, outcome_lines, outcomes_mean, unpreventable, verdict_lines

ACTIONS = ("penalise", "discount", "drop", "route")
KNOWS = (
    "What an arm knows besides the reward and its teacher pool: 0 nothing; M the weak detector's flags, on the known "
    "modes alone; P the contrastive pairs; T the text of a prompt; O the true verdict, a ceiling. A twin has the same "
    "machinery, but a random V or shuffled labels: of each stratum (the teacher's or live, rewarded above the group's "
    "mean or not) it flags as many rollouts as its partner, and as heavily."
)


def render_table3(
    table: pd.DataFrame,
    verdicts: Mapping,
    held_out: Sizes,
    everything: Sizes,
    modes: Mapping[int, str],
    twins: Mapping[str, str],
    threats: Sequence[Threat],
    checks: Sequence[Check],
    note: str,
) -> str:
    """Return table3.md from `table3(study, modes)`, its `verdicts`, the sizes on the held-out modes and on all,
    {arm: its twin}, and the threats there and the checks of its signals; `note` says whose numbers they are."""
    turns = ", ".join(f"{n} {mode}" for n, mode in modes.items())
    return page(
        "# Table 3: signal x action",
        note,
        f"Pairs, signals and teacher pool of a replicate know all modes but one (replicate and its held-out mode: "
        f"{turns}); training has all.",
        f"On the held-out modes: {sample_sizes(held_out, smallest_effect(table, f'hack_diff{HELD_OUT}'))}",
        "## The primary comparison",
        primary_grid(table),
        "## What prevents hacks that nothing told of",
        "In one word each, on the held-out modes; the first that fits is said. "
        + " ".join(f"**{word}**: {meaning}." for word, meaning in outcomes_mean().items()),
        unpreventable(),
        outcome_lines(verdicts["outcomes"]),
        "## Hack % / solve % on the held-out modes, and the twin's",
        KNOWS,
        crossed(table, twins),
        "## Every arm",
        arm_grid(table),
        f"{NOTHING} is what an arm does not have. Flagged, recall and false positives are of live rollouts, by the "
        "true verdicts, means over the steps; no arm is told of them. Dominated: what hacks less and solves more on "
        "the held-out modes, both by the interval.",
        corrected(
            "the p of the primary comparison; that of (a) in hack over all rows (in the CSV); in the verdicts that of "
            "`beats`"
        ),
        "## As in table 1, on all modes",
        sample_sizes(everything, smallest_effect(table)),
        headline(table),
        marks(),
        "## What decided, on the held-out modes",
        H2_FULL,
        verdict_lines(verdicts),
        "## What would show that we fool ourselves, on the held-out modes",
        THREATS_MEAN,
        threat_grid(threats),
        "## How the signals flag along their own runs, on all modes",
        CHECKS_MEAN,
        check_grid(checks),
    )


def primary_grid(table: pd.DataFrame) -> str:
    """Return the primary comparison of every arm that has a twin, and its answer."""
    rows = [
        [
            f"`{row['arm']}`",
            interval(row, "twin_diff_held_out"),
            f"{row['twin_diff_held_out_p_holm']:.3f}",
            interval(row, "solve_diff_held_out"),
            row["primary"],
        ]
        for _, row in table[table["primary"].notna()].iterrows()
    ]
    if not rows:
        return "With one replicate there is none."
    return (
        "It holds where the twin hacks more than the arm on the held-out modes, by the Holm-adjusted p, and the arm "
        f"solves at most {points(MATCHED)} points less than its baseline there. It fails where the difference is not "
        f"more than one SEM above 0, or solve is more than {points(DROP_FALSIFIES)} points below, and is open in "
        "between.\n\n"
    ) + grid(["arm", "twin's hack more", "Holm p", "solve minus its baseline's", "answer"], rows)


def crossed(table: pd.DataFrame, twins: Mapping[str, str]) -> str:
    """Return signals by actions, one line each for runs with and without a teacher pool."""
    rows = table.set_index("arm")
    own = rows[rows["signal"].notna() & ~rows.index.isin(twins.values())]
    actions = actions_of(own)
    made = []
    for baseline, part in own.groupby("baseline", sort=False):
        for signal, arms in part.groupby("signal", sort=False):
            cells = [_cell(rows, arms.index[arms["action"] == action], twins) for action in actions]
            made.append([signal, arms["knows"].iloc[0], baseline, *cells])
    return grid(["signal", "knows", "baseline", *actions], made) if made else "No arm here has a signal."


def actions_of(arms: pd.DataFrame) -> list[str]:
    """Return the actions of a grid: the package's own, then what arms have besides."""
    return [*ACTIONS, *(action for action in arms["action"].unique() if action not in ACTIONS)]


def _cell(rows: pd.DataFrame, arms: Sequence[str], twins: Mapping[str, str]) -> str:
    shown = []
    for arm in arms:
        twin = twins.get(arm)
        against = f" (twin {_rates(rows.loc[twin])})" if twin in rows.index else ""
        shown.append(f"`{arm}` {_rates(rows.loc[arm])}{against}")
    return "; ".join(shown) or NOTHING


def _rates(row: pd.Series) -> str:
    return f"{percent(row['hack_held_out'])} / {percent(row['solve_held_out'])}"


def arm_grid(table: pd.DataFrame) -> str:
    """Return every arm with what it knows, its rates and differences on the held-out modes and on all, and how well it
    flags."""
    head = ["arm", "knows", "hack %, held out", "solve %, held out", "hack %, all", "solve %, all"]
    head += ["(a) hack, held out", "dominated by"]
    head += ["flagged %", "recall %", "recall %, held out", "false positives %"]
    quality = ("flagged_student", "flag_recall", "flag_recall/heldout", "flag_false_positives")
    return grid(
        head,
        [
            [
                f"`{row['arm']}`",
                row["knows"],
                percent(row["hack_held_out"]),
                percent(row["solve_held_out"]) + below_base(row, HELD_OUT),
                percent(row["hack"]),
                percent(row["solve"]) + below_base(row),
                interval(row, "hack_diff_held_out"),
                row["dominated_by"] if pd.notna(row["dominated_by"]) else NOTHING,
                *(percent(row[name]) for name in quality),
            ]
            for _, row in table.iterrows()
        ],
    )
