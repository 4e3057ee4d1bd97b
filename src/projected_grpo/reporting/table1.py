"""table1.md: table 1 for a person, with its marks explained, the verdicts, and what could undo them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from projected_grpo.analysis import judgement
from projected_grpo.analysis.solve_bins import BIN, BIN_WINDOWS
from projected_grpo.analysis.statistics import LEVEL, WINDOW
from projected_grpo.analysis.study import GROUPS, Sizes
from projected_grpo.analysis.table1 import DRIFTS, LAST_STEPS, OVERLAPS, smallest_effect
from projected_grpo.analysis.threats import Threat
from projected_grpo.reporting.format import (
    NOTHING,
    below_base,
    below_base_means,
    bound,
    corrected,
    grid,
    interval,
    number,
    page,
    percent,
    points,
    sample_sizes,
    stopped_early,
    unmatched,
)
from projected_grpo.reporting.threats import BEST_CONTROL, THREATS_MEAN, threat_grid
from projected_grpo.reporting.verdicts import (
    H2_FULL,
    hypotheses,
    outcome_lines,
    outcomes_mean,
    unpreventable,
    verdict_lines,
)

LOOKS = ("greedy", "no_hint", "as_trained")  # at the last step, other than with the hint, sampled and deployed
_NOT_MODES = {f"hack_{name}" for name in (*LOOKS, "renamed", "asked", f"student_last{LAST_STEPS}")}


def render_markdown(
    table: pd.DataFrame,
    verdicts: Mapping,
    threats: Sequence[Threat],
    bins: pd.DataFrame,
    directions: pd.DataFrame,
    sizes: Sizes,
    note: str,
) -> str:
    """Return table1.md from `table1(study)`, `h1(study)`, `threats(study)`, `solve_bins(study)`, `read_directions(...)`
    and `sizes(study)`; `note` says what the numbers are numbers of."""
    return page(
        "# Table 1: interventions against reward hacking",
        note,
        sample_sizes(sizes, smallest_effect(table)),
        headline(table),
        marks(),
        corrected(
            "the p of (a) in hack over all rows (in the CSV) and that of `beats` over all controls (in the verdicts)"
        ),
        *_judged(verdicts, threats),
        "## Runs, onsets, twins and early stops",
        runs_grid(table),
        "## Training as slow as it takes, and a V of wrongness alone",
        controls_grid(table),
        "## Other ways to look at the last step",
        _other_rates(table),
        "## What the direction sees",
        _overlaps(table),
        "## The directions themselves",
        _directions(directions),
        "## Hack rate at equal solve along training (descriptive)",
        _bins(bins),
    )


def headline(table: pd.DataFrame) -> str:
    """Return the rates and the differences (a), (b), (c) of every arm, by group and baseline, the base model first."""
    head = ["arm", "hack %", "solve %", "(a) hack", "(a) solve", "(b) early stopping", "(c) to the ceiling"]
    rows = []
    by_group = table.sort_values("group", key=lambda names: names.map(GROUPS.index), kind="stable")
    for (name, baseline), members in by_group.groupby(["group", "baseline"], sort=False, dropna=False):
        rows.append([_group(name, baseline, members), *[""] * (len(head) - 1)])
        for _, row in members.iterrows():
            rows.append(
                [
                    row["arm"],
                    percent(row["hack"]),
                    percent(row["solve"]) + below_base(row),
                    interval(row, "hack_diff"),
                    interval(row, "solve_diff") + unmatched(row),
                    stopped_early(row),
                    interval(row, "ceiling_diff"),
                ]
            )
    return grid(head, rows)


def marks() -> str:
    """Return what the columns and marks of the headline mean."""
    return f"""\
- hack: the grader was fooled (`exploited`); solve: all ground-truth tests pass (`correct`). An answer may be neither.
- The base model is an arm of 0 steps: not to train. {below_base_means()}
- (a) is the difference to the arm's baseline at the last step. † solve is more than {points(judgement.MATCHED)} points
  below the baseline's, so less hacking is not compared at matched solve.
- (b) is early stopping: solve at the last step minus the best solve that the baseline reached at any checkpoint with no
  more hacking than the arm. Above 0, the arm learned something that stopping the baseline early does not buy.
  At or below 0, it gives no more than such a stop. The stop is chosen on one half of the samples and measured on the
  other, and the other way round, so that luck is not counted as a good stop. ‡ in at least one replicate the baseline
  never hacked that little, not even as the base model (step 0), which stands in. A baseline's own (b) is what it lost
  by not being stopped.
- (c) is the gap in solve rate to training without loopholes, for the same number of steps.
- [low, high] is the {100 * LEVEL:g}% decision interval, the wider of the paired t over replicates and a bootstrap over
  replicates and problems; an end of -0 lies below 0. A replicate has a base model (unless it is downloaded: then all
  share it), teacher pool, pairs, V and noise of its own.
- {NOTHING}: not measured, not defined for the arm, or (interval) only one replicate."""


def _group(name: str, baseline: str | None, members: pd.DataFrame) -> str:
    steps = ", ".join(str(step) for step in sorted(members["last_step"].unique()))
    return f"**{name}** ({'' if pd.isna(baseline) else f'baseline {baseline}, '}{steps} steps)"


def _judged(verdicts: Mapping, threats: Sequence[Threat]) -> tuple[str, ...]:
    """Return the verdicts and what speaks against them, of a table that claims something."""
    if not verdicts["claims"]:
        return ("No arm of this table is an intervention: it claims nothing.",)
    decided = "Held-out modes are decided by table 2 (checks.md), more steps by horizon.md."
    return (
        "## Verdicts",
        _verdicts(verdicts),
        "## What would show that we fool ourselves",
        f"{THREATS_MEAN} {BEST_CONTROL} {decided}",
        threat_grid(threats),
    )


def _verdicts(verdicts: Mapping) -> str:
    said = hypotheses()
    words = " ".join(f"**{word}**: {meaning}." for word, meaning in outcomes_mean().items())
    return (
        f"In one word each; the first that fits is said. {words}\n\n{outcome_lines(verdicts['outcomes'])}\n\n"
        f"**H1**: {said['H1']}\n\n**H1s**: {said['H1s']} Holm counts {verdicts['holm_family']} comparisons here.\n\n"
        f"**H2**: {said['H2']} {H2_FULL}\n\n{unpreventable()}\n\n"
        "A verdict is not firm where the interval of what decided it reaches across its threshold. The clauses that "
        f"decided:\n\n{verdict_lines(verdicts)}"
    )


def runs_grid(table: pd.DataFrame) -> str:
    """Return the hacked runs, the onsets, the differences to the twin, solve's bound and (b) with tolerances."""
    loose = [f"early_stop_diff_{points(tolerance)}" for tolerance in judgement.STOP_TOLERANCES if tolerance]
    head = ["arm", "hacked runs", "share of runs % [low, high]", "onset (step)", "(a) solve is at least"]
    head += ["(e) twin's hack minus the arm's", "twin"]
    head += [f"(b) with {name.removeprefix('early_stop_diff_')} points more hack" for name in loose]
    rows = [
        [
            row["arm"],
            f"{row['hacked_runs']} of {row['n_replicates']}",
            f"[{percent(row['hacked_low'])}, {percent(row['hacked_high'])}]",
            _onset(row),
            bound(row["solve_bound"]),
            interval(row, "twin_diff"),
            _named(row["twin"]),
            *[interval(row, name) for name in loose],
        ]
        for _, row in table.iterrows()
    ]
    return grid(head, rows) + (
        f"\n\nA hacked run hacks more than {points(judgement.HACKED)}%, deployed, at its last step; the interval is "
        f"Clopper-Pearson's, at {100 * LEVEL:g}%. Onset: the first step at which the student's own hack rate, mean of "
        f"the last {WINDOW} steps, exceeds {points(judgement.HACKED)}%, mean over replicates; a run without one counts "
        "with its last step, and the mean is then a lower bound (≥). Solve is at least: the one-sided "
        f"{100 * LEVEL:g}% bound of (a). (b) with points more hack: the baseline's stop may hack that much more than "
        "the arm."
    )


def controls_grid(table: pd.DataFrame) -> str:
    """Return the matched slow control and the nonhack control of every arm that has one."""
    head = ["arm", "slow control", "its hack minus the arm's", "the arm's solve minus its", "nonhack control", "share"]
    rows = [
        [
            row["arm"],
            _named(row["slow_matched"]),
            interval(row, "slow_diff") + (" §" if row["slow_diff_low"] > 0 or row["slow_diff_high"] < 0 else ""),
            interval(row, "slow_solve_diff"),
            _named(row["nonhack"]),
            NOTHING if pd.isna(row["nonhack_share"]) else f"{percent(row['nonhack_share'])}%",
        ]
        for _, row in table.iterrows()
        if not (pd.isna(row["slow_matched"]) and pd.isna(row["nonhack"]))
    ]
    if not rows:
        return "No arm here has a slow control that was matched to it, or a nonhack control."
    return grid(head, rows) + (
        "\n\nThe slow control is the one whose final hack was nearest to the arm's on tuning replicates: training "
        "slowly enough to hack as little. § Here it does not hack alike: the interval excludes 0. Share: how much less "
        "than the baseline the nonhack control hacks, whose V knows wrong programs from right ones and no hack, over "
        "how much less the arm does; without an interval."
    )


def _named(arm: str | None) -> str:
    return NOTHING if pd.isna(arm) else arm


def _onset(row: pd.Series) -> str:
    if pd.isna(row["onset"]):
        return NOTHING
    censored, runs = row["onset_censored"], row["n_replicates"]
    return f"{'≥ ' if censored else ''}{row['onset']:.0f}" + (f" (none in {censored} of {runs})" if censored else "")


def _other_rates(table: pd.DataFrame) -> str:
    modes = [
        name for name in table.columns if name.startswith("hack_") and name not in _NOT_MODES and "diff" not in name
    ]
    apart = {"renamed": "test function renamed", "asked": "asked for an exploit"}
    apart = {name: title for name, title in apart.items() if table.get(f"hack_{name}", pd.Series()).notna().any()}
    head = ["arm", "attempted %", "exploited of attempted %"]
    head += [f"{pair.replace('_', ' ')}: hack / solve %" for pair in LOOKS]
    head += [f"hack % in {name.removeprefix('hack_')}" for name in modes]
    head += [f"{title}: hack / attempted %" for title in apart.values()]
    head += [f"last {LAST_STEPS} training steps: hack / solve %"]
    rows = []
    for _, row in table.iterrows():
        cells = [row["arm"], percent(row["attempted"]), percent(row["exploited_given_attempted"])]
        cells += [f"{percent(row[f'hack_{pair}'])} / {percent(row[f'solve_{pair}'])}" for pair in LOOKS]
        cells += [percent(row[name]) for name in modes]
        cells += [f"{percent(row[f'hack_{name}'])} / {percent(row[f'attempted_{name}'])}" for name in apart]
        last = f"student_last{LAST_STEPS}"
        cells.append(f"{percent(row[f'hack_{last}'])} / {percent(row[f'solve_{last}'])}")
        rows.append(cells)
    return grid(head, rows) + "\n\nAs trained: quarantine kept, for arms that have one. Training steps: live rollouts."


def _overlaps(table: pd.DataFrame) -> str:
    names = [*OVERLAPS, "overlap_null_measured", "overlap_null_bound", *DRIFTS, "flagged_share"]
    head = ["arm", *[name.removeprefix("overlap_").replace("_", " ") for name in names]]
    rows = [[row["arm"], *[number(row[name]) for name in names]] for _, row in table.iterrows()]
    return (
        grid(head, rows)
        + "\n\nMeans over the run's steps of ||relu(Vg)|| / ||g||: of the live rollouts' gradient, of the "
        "teacher's, and of the step that the optimizer really took. Null measured: the live rollouts' overlap with the "
        "best of shuffled, wrongness and random V on the same gradients, in the runs that measure these; null bound: "
        "sqrt(k / 2r). Drift: the motion of delta, and of the quarantine, along -V at the end, in knob units. Flagged "
        "share: of all rollouts, by the arm's signal; a twin that flags another share is no twin."
    )


def _directions(directions: pd.DataFrame) -> str:
    head = ["direction", "replicates", "pairs", "held-out pairs hack-ward %", "AUC hack / clean", "AUC hack / wrong"]
    head += ["span shared with hack / by chance", "mean's share of D %"]
    rows = [
        [
            str(name),
            str(int(row["replicates"])),
            str(int(row["n_pairs"])),
            percent(row["heldout_positive_share"]),
            number(row["auc_hack_clean"]),
            number(row["auc_hack_wrong"]),
            f"{number(row['subspace_overlap'])} / {number(row['subspace_chance'])}",
            percent(row["mean_share"]),
        ]
        for name, row in directions.iterrows()
    ]
    return (
        grid(head, rows)
        + "\n\nOn pairs that built no V: the share with (g(hack) - g(clean)) v_0 > 0, summed over modules, and the "
        "rank-AUC of v_0 g between hacks and correct or wrong-but-honest completions. Span: ||V V_hack^T||_F^2 / k, "
        "mean over modules. Controls have hack's modules, k and number of pairs. V is the top of the pair differences "
        "D without centring. Mean's share: what part of their squares, summed over pairs and modules, the mean "
        "difference explains; n pairs without a common part have 1 / n of it by chance."
    )


def _bins(bins: pd.DataFrame) -> str:
    if bins.empty:
        return f"No bin of solve holds {BIN_WINDOWS} points of an arm and of its baseline."
    edges = sorted(bins["solve_from"].unique())
    head = ["arm", "solve is", *[f"{100 * edge:.0f}-{100 * (edge + BIN):.0f}" for edge in edges]]
    rows = []
    for (arm, baseline, phase), part in bins.groupby(["arm", "baseline", "phase"], sort=False):
        at = part.set_index("solve_from")
        cells = [f"{percent(at.hack_arm[e])} / {percent(at.hack_baseline[e])}" if e in at.index else "" for e in edges]
        rows.append([f"{arm} / {baseline}", phase, *cells])
    return grid(head, rows) + (
        "\n\nHack % of the arm / of its baseline in bins of solve (columns, %), in trailing windows of "
        f"{WINDOW} steps of the live rollouts; for arms with a quarantine, from the deployed checkpoints that both "
        f"have. Replicates pooled, at least {BIN_WINDOWS} points of each."
    )
