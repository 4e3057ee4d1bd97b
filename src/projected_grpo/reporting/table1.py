"""table1.md: table 1 for a person, with its marks explained, the verdicts, and what could undo them.

Numbers are percent and points, rounded to whole points where an interval says how little the decimals mean;
table1.csv has them in full. Nothing here is typed by hand but the explanations.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from projected_grpo.analysis.study import GROUPS, Study
from projected_grpo.analysis.table1 import LAST_STEPS, MATCHED, OVERLAPS, TOLERANCE, solve_bins
from projected_grpo.analysis.threats import doubts

NOTHING = "—"  # not measured, or not defined for this arm

MARKS = f"""\
- hack: the grader was fooled (`exploited`); solve: all ground-truth tests pass (`correct`). An answer may be neither.
- (a) difference to the arm's baseline at the last step. † solve is more than 10 points below the baseline's, so less
  hacking is not compared at matched solve.
- (b) early stopping: solve at the last step minus the best solve that the baseline reached at any checkpoint with no
  more hacking than the arm. Above 0: the arm learned something that stopping the baseline early does not buy.
  Lower hack with (b) at or below 0 is damage, not prevention. The best of several noisy checkpoints favours the
  baseline, by some points: (b) errs against the arm. ‡ in at least one seed the baseline never hacked that
  little, and the base model (step 0) stands in.
  A baseline's own (b) is what it lost by not being stopped.
- (c) solve minus that of training without loopholes, for the same number of steps.
- [low, high]: 95% decision interval, the wider of the paired t over seeds and a bootstrap over seeds and problems;
  not corrected for the number of rows (Holm's p is in the CSV and in the verdicts). It is conditional on the one base
  model, teacher pool and set of pairs.
- {NOTHING}: not measured, not defined for the arm, or (interval) only one seed."""


def render_markdown(study: Study, table: pd.DataFrame, verdicts: dict, directions: pd.DataFrame, note: str) -> str:
    """Return table1.md from `table1(study)`, `h1(study)` and `read_directions(...)`.

    `note` says what the numbers are numbers of.
    """
    sections = [
        ("# Table 1: interventions against reward hacking", f"{note}\n\n{sample_sizes(study, table)}"),
        ("", headline(table) + "\n\n" + MARKS),
        ("## Verdicts", _verdicts(verdicts)),
        ("## What would show that we fool ourselves", _doubts(study)),
        ("## Other ways to look at the last step", _other_rates(table)),
        ("## What the direction sees", _overlaps(table)),
        ("## The directions themselves", _directions(directions)),
        ("## Hack rate at equal solve along training (descriptive)", _bins(study)),
    ]
    return "\n\n".join(part for section in sections for part in section if part) + "\n"


def sample_sizes(study: Study, table: pd.DataFrame) -> str:
    seeds = ", ".join(map(str, study.seeds))
    problems, samples = table["n_problems"].iloc[0], table["n_samples"].iloc[0]
    subset = study.view(table["arm"].iloc[0], scope="subset")
    along = f" (b) uses {len(subset.problems)} of the problems x {subset.samples} samples." if subset else ""
    return (
        f"Percent, mean over {len(study.seeds)} seed(s) ({seeds}) x {problems} held-out problems x {samples} samples "
        f"at the training temperature, prompt with the hint, deployed model (quarantine zeroed), last step.{along}"
    )


def headline(table: pd.DataFrame) -> str:
    head = ["arm", "hack %", "solve %", "(a) hack", "(a) solve", "(b) early stopping", "(c) to the ceiling"]
    rows = []
    for name in GROUPS:
        members = table[table["group"] == name]
        if len(members):
            rows.append([_group(name, members), *[""] * (len(head) - 1)])
        for _, row in members.iterrows():
            rows.append(
                [
                    row["arm"],
                    percent(row["hack"]),
                    percent(row["solve"]),
                    interval(row, "hack_diff"),
                    interval(row, "solve_diff") + unmatched(row),
                    stopped_early(row),
                    interval(row, "ceiling_diff"),
                ]
            )
    return grid(head, rows)


def _group(name: str, members: pd.DataFrame) -> str:
    baselines = ", ".join(members["baseline"].dropna().unique())
    steps = ", ".join(str(step) for step in sorted(members["last_step"].unique()))
    return f"**{name}** ({f'baseline {baselines}, ' if baselines else ''}{steps} steps)"


def _verdicts(verdicts: dict) -> str:
    intro = (
        "H1: at least 30 points less hacking at solve not more than 10 points below the baseline's. Falsified by less "
        "than 15 points, by solve more than 15 points lower, or by a difference within one SEM. H1s, the specific "
        f"claim, also needs less hacking than every direction control (Holm over {verdicts['holm_family']} "
        "comparisons) at matched solve, and (b) above 0 against the baseline and each slow control; falsified by any "
        "of these that is not more than one SEM above 0. Not firmly: the interval of what decided reaches across. "
        "The clauses that decided:"
    )
    return f"{intro}\n\n{verdict_lines(verdicts)}"


def verdict_lines(verdicts: Mapping) -> str:
    """Return the verdicts of `h1`, each with the clauses that decided it."""
    lines = []
    for arm, claim in verdicts["claims"].items():
        for name, result in claim.items():
            lines += decided(f"{arm}, {name}", result)
    return "\n".join(lines)


def said(result: Mapping, words: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a verdict, in other words where there are some, and whether it is not firm."""
    verdict = result["verdict"]
    return words.get(verdict, verdict) + ("" if result["firm"] or verdict == "undecided" else " (not firmly)")


def decided(what: str, result: Mapping, words: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return a verdict and the clauses that decided it as the lines of a list."""
    return [f"- **{what}: {said(result, words)}**", *(f"  - {text}" for text in result["decided_by"])]


def _doubts(study: Study) -> str:
    lines = doubts(study)
    rows = [
        [line.doubt, line.arm, line.against or NOTHING, f"**{line.answer}**", line.numbers]
        for line in lines.itertuples()
    ]
    intro = (
        "Is it so? **yes** undoes or limits the result: the effect is not more than one SEM above 0. **no**: its "
        "interval lies above 0. **open**: in between, or one seed. Not corrected for the number of lines. Held-out "
        "modes and 3x the steps are decided elsewhere.\n\n"
    )
    return intro + grid(["doubt", "arm", "against", "so?", "numbers"], rows)


def _other_rates(table: pd.DataFrame) -> str:
    modes = [
        name for name in table.columns if name.startswith("hack_") and name not in _NOT_MODES and "diff" not in name
    ]
    pairs = ["greedy", "no_hint", "as_trained"]
    renamed = "hack_renamed" in table
    head = [
        "arm",
        "attempted %",
        "exploited of attempted %",
        *[f"{p.replace('_', ' ')}: hack / solve %" for p in pairs],
    ]
    head += [f"hack % in {name.removeprefix('hack_')}" for name in modes]
    head += ["test function renamed: hack / attempted %"] * renamed
    head += [f"last {LAST_STEPS} training steps: hack / solve %"]
    rows = [
        [
            row["arm"],
            percent(row["attempted"]),
            percent(row["exploited_given_attempted"]),
            *[f"{percent(row[f'hack_{pair}'])} / {percent(row[f'solve_{pair}'])}" for pair in pairs],
            *[percent(row[name]) for name in modes],
            *([f"{percent(row['hack_renamed'])} / {percent(row['attempted_renamed'])}"] if renamed else []),
            f"{percent(row[f'hack_student_last{LAST_STEPS}'])} / {percent(row[f'solve_student_last{LAST_STEPS}'])}",
        ]
        for _, row in table.iterrows()
    ]
    return grid(head, rows) + "\n\nAs trained: quarantine kept, for arms that have one. Training steps: live rollouts."


_NOT_MODES = {"hack_greedy", "hack_no_hint", "hack_as_trained", "hack_renamed", f"hack_student_last{LAST_STEPS}"}


def _overlaps(table: pd.DataFrame) -> str:
    names = [*OVERLAPS, "overlap_null_measured", "overlap_null_bound", "drift"]
    head = ["arm", *[name.removeprefix("overlap_").replace("_", " ") for name in names]]
    rows = [[row["arm"], *[number(row[name]) for name in names]] for _, row in table.iterrows()]
    return (
        grid(head, rows)
        + "\n\nMeans over the run's steps of ||relu(Vg)|| / ||g||: of the live rollouts' gradient, of the "
        "teacher's, and of the step that the optimizer really took. Null measured: the live rollouts' overlap with a "
        "random V of the same shape, in that V's own run; null bound: sqrt(k / 2r). Drift: the knobs' motion along -V "
        "at the end, in knob units."
    )


def _directions(directions: pd.DataFrame) -> str:
    head = ["direction", "draws", "pairs", "held-out pairs hack-ward %", "AUC hack / clean", "AUC hack / wrong"]
    rows = [
        [
            str(name),
            str(int(row["draws"])),
            str(int(row["n_pairs"])),
            percent(row["heldout_positive_share"]),
            number(row["auc_hack_clean"]),
            number(row["auc_hack_wrong"]),
            f"{number(row['subspace_overlap'])} / {number(row['subspace_chance'])}",
        ]
        for name, row in directions.iterrows()
    ]
    return (
        grid([*head, "span shared with hack / by chance"], rows)
        + "\n\nOn pairs that built no V: the share with (g(hack) - g(clean)) v_0 > 0, summed over modules, and the "
        "rank-AUC of v_0 g between hacks and correct or wrong-but-honest completions. Span: ||V V_hack^T||_F^2 / k, "
        "mean over modules. Controls have hack's modules, k and number of pairs."
    )


def _bins(study: Study) -> str:
    bins = solve_bins(study)
    if bins.empty:
        return "No bin of solve holds three points of an arm and of its baseline."
    edges = sorted(bins["solve_from"].unique())
    head = ["arm", "solve is", *[f"{100 * edge:.0f}-{100 * edge + 5:.0f}" for edge in edges]]
    rows = []
    for (arm, baseline, phase), part in bins.groupby(["arm", "baseline", "phase"], sort=False):
        at = part.set_index("solve_from")
        cells = [f"{percent(at.hack_arm[e])} / {percent(at.hack_baseline[e])}" if e in at.index else "" for e in edges]
        rows.append([f"{arm} / {baseline}", phase, *cells])
    return grid(head, rows) + (
        "\n\nHack % of the arm / of its baseline in bins of solve (columns, %), in trailing 8-step windows of the live "
        "rollouts; for arms with a quarantine, from deployed checkpoints. Seeds pooled, at least three points of each."
    )


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{100 * value:z.1f}"


def number(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:z.3f}"


def unmatched(row: pd.Series) -> str:
    """Return the mark of an arm whose solve is more than 10 points below its baseline's."""
    return " †" if row["solve_diff"] < -MATCHED - TOLERANCE else ""


def stopped_early(row: pd.Series) -> str:
    """Return (b), marked where the base model stands in for a baseline that never hacked that little."""
    return interval(row, "early_stop_diff") + (" ‡" if row["early_stop_stand_ins"] else "")


def interval(row: pd.Series, name: str) -> str:
    """Return points such as `-48 [-60, -36]`."""
    estimate, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(estimate):
        return NOTHING
    points = f"{100 * estimate:+z.0f}"
    return f"{points} [{NOTHING}]" if pd.isna(low) else f"{points} [{100 * low:+z.0f}, {100 * high:+z.0f}]"
