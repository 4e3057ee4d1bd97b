"""Figures (method 7): training curves, hack against solve, what the direction sees, and table 2 as a heat map.

1. Lines are means over seeds, bands run from the lowest to the highest seed. No smoothing but where a label says so.
2. Hack and solve are percent of the deployed model's completions on the subset that is evaluated along the run.
3. Colours are Okabe and Ito's. The same study gives the same bytes: no date in the files, a fixed salt for SVG ids.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from projected_grpo.analysis.curves import Curve, frontier, overlap_bound, overlap_curve, path, rate_curve
from projected_grpo.analysis.judgement import HOLDS
from projected_grpo.analysis.statistics import WINDOW
from projected_grpo.analysis.study import GROUPS, Study, group

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK, GREY, PALE = "#222222", "#8A8A8A", "#E9E9E9"
LINES = [VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY]
HALO = [withStroke(linewidth=2.5, foreground="white")]
SOURCES = (
    ("overlap_student", "student", BLUE),
    ("overlap_teacher_hack", "teacher, exploiting", VERMILLION),
    ("overlap_teacher_clean", "teacher, other", GREEN),
)
COLUMNS = 6  # panels per row of the small multiples
STYLE = {
    "svg.hashsalt": "projected_grpo",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
}


def draw(study: Study, note: str) -> dict[str, Figure]:
    """Return the three figures by file name; `note` (what the numbers are numbers of) stands under each."""
    with matplotlib.rc_context(STYLE):
        return {
            "training_curves": training_curves(study, note),
            "hack_against_solve": hack_against_solve(study, note),
            "overlap": overlap(study, note),
        }


def save(figure: Figure, stem: str | Path, source: Mapping) -> None:
    """Write `stem`.png and `stem`.svg, with the provenance `source` as their description."""
    about = {"Description": json.dumps(source, sort_keys=True)}
    with matplotlib.rc_context(STYLE):
        figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None, **about})
        figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": None, **about})


def training_curves(study: Study, note: str) -> Figure:
    """Draw hack and solve against the step, one panel per arm, its baseline behind it."""
    arms = _ordered(study)
    caption = f"{_evaluated(study)} Bands: range over seeds. Dashed: the arm's baseline.\n{note}"
    figure, panels = _grid(study, arms, "Hack and solve rate along training", "% of completions", caption)
    for panel, arm in zip(panels, arms, strict=True):
        baseline, ends = study.baseline(arm), []
        for rate, colour in (("hack", VERMILLION), ("solve", BLUE)):
            if baseline is not None:
                other = rate_curve(study, baseline, rate)
                panel.plot(other.x, other.mean, color=colour, lw=0.9, ls=(0, (2, 2)))
            own = rate_curve(study, arm, rate)
            _band(panel, own, colour)
            ends.append((own.mean[-1], rate, colour))
        panel.set(ylim=(0, 100), yticks=[0, 50, 100])
        _end_labels(panel, own.x[-1], sorted(ends))
    return figure


def overlap(study: Study, note: str) -> Figure:
    """Draw the overlap of V with the student's and the teacher's gradients against the null, one panel per arm."""
    arms = [arm for arm in _ordered(study) if overlap_curve(study, arm, "overlap_student")]
    caption = (
        f"||relu(Vg)|| / ||g||, mean over modules, trailing {WINDOW}-step mean. Line: mean over {len(study.seeds)} "
        f"seed(s) of one training run each; band: range over seeds. V as in the arm's own run.\n{note}"
    )
    if not arms:
        caption = f"No arm has a gradient that V could see: no group of rollouts had any variance in reward.\n{note}"
    figure, panels = _grid(study, arms, "What the direction sees in the gradients", "overlap (ratio)", caption)
    top = 0.0
    for panel, arm in zip(panels, arms, strict=True):
        panel.axhline(overlap_bound(study, arm), color=GREY, lw=1, ls=":")
        null = study.null(arm)
        if null is not None and (chance := overlap_curve(study, null, "overlap_student")):
            panel.plot(chance.x, chance.mean, color=INK, lw=1.1, ls="--")
        for name, _, colour in SOURCES:
            if own := overlap_curve(study, arm, name):
                _band(panel, own, colour)
                top = max(top, own.top)
    for panel in panels:
        panel.set_ylim(0, 1.25 * top if top else 1)
    lines = [Line2D([], [], color=colour, lw=1.8, label=label) for _, label, colour in SOURCES]
    lines.append(Line2D([], [], color=INK, lw=1.1, ls="--", label="null: student, random V"))
    lines.append(Line2D([], [], color=GREY, lw=1, ls=":", label="bound of chance"))
    figure.legend(handles=lines, loc="outside upper right", ncols=len(lines), frameon=False, fontsize=8)
    return figure


def hack_against_solve(study: Study, note: str) -> Figure:
    """Draw every arm's path in the plane of solve and hack, a panel per group, with its baseline's early stops.

    The shade is what stopping the baseline early reaches: at most this solve with at most this hack, of the means
    over seeds (the table's (b) chooses the stop for every seed apart). An arm that ends in it has (b) at or below 0.
    """
    members = {name: [arm for arm in study.arms if group(study, arm) == name] for name in GROUPS[:-1]}
    members = {name: arms for name, arms in members.items() if arms}
    rows = (len(members) + 1) // 2
    figure = Figure(figsize=(10.5, 4.1 * rows + 0.9), layout="constrained")
    figure.suptitle("Hack rate against solve rate along training", x=0.01, ha="left", fontsize=12, fontweight="bold")
    caption = f"{_evaluated(study)} Paths start at the base model; large dots: last step.\n"
    figure.supxlabel(
        f"{caption}Small dots: where the baseline could stop. The hack axes of the panels differ.\n{note}",
        x=0.01,
        ha="left",
        fontsize=7.5,
    )
    panels = figure.subplots(rows, min(2, len(members)), sharex=True, squeeze=False).ravel()
    right = min(100, 16 + 1.05 * max(path(study, arm)[0].max() for arm in study.arms))
    for panel, (name, arms) in zip(panels, members.items(), strict=False):
        shown = {*arms, *(study.arms[arm].baseline for arm in arms)} & set(study.arms)
        top = min(100, max(1, 1.2 * max(path(study, arm)[1].max() for arm in shown)))  # nobody may hack
        panel.set(xlim=(0, right), ylim=(-0.07 * top, top))
        _plane(study, panel, name, arms)
    for panel in panels[len(members) :]:
        panel.set_axis_off()
    return figure


def _plane(study: Study, panel: Axes, name: str, arms: list[str]) -> None:
    """Draw one group of arms, the early stops of the baseline that most of them have, and the ceiling."""
    baselines = [study.arms[arm].baseline for arm in arms if study.arms[arm].baseline in study.arms]
    labels = []
    if baselines:
        baseline = max(baselines, key=baselines.count)
        labels += _early_stops(study, panel, baseline, name_steps=baseline in arms)
    others = [arm for arm in arms if arm not in baselines]
    for arm, colour in zip(others, LINES * len(others), strict=False):
        solve, hack = path(study, arm)
        panel.plot(solve, hack, color=colour, lw=1.6, zorder=3)
        panel.plot(solve[-1], hack[-1], "o", color=colour, ms=7, mec="white", mew=0.8, zorder=5)
        labels.append((solve[-1], hack[-1], arm, colour, "bold"))
    if study.ceiling in study.arms:
        solve, hack = path(study, study.ceiling)
        panel.axvline(solve[-1], color=ORANGE, lw=1, ls=":", zorder=1)
        panel.plot(solve[-1], hack[-1], "*", color=ORANGE, ms=14, mec=INK, mew=0.7, zorder=6)
        top = panel.get_ylim()[1]
        panel.text(solve[-1], 0.97 * top, f" honest ceiling:\n {study.ceiling}", fontsize=7.5, color=INK, va="top")
    panel.set_title(name, fontsize=10, color=INK)
    panel.set_xlabel("solve (% of completions)")
    panel.set_ylabel("hack (% of completions)")
    panel.tick_params(labelbottom=True)
    _place(panel, labels)


def _early_stops(study: Study, panel: Axes, baseline: str, name_steps: bool) -> list[tuple]:
    """Draw the baseline's path, its checkpoints with some of their steps, and the shade; return its labels."""
    steps = study.view(baseline, scope="subset").steps
    solve, hack = path(study, baseline)
    reached = frontier(study, baseline)
    right, top = panel.get_xlim()[1], panel.get_ylim()[1]
    level = [-top, *reached.hack, top]
    shade = [*reached.solve, reached.solve[-1]]
    panel.fill_betweenx(level, 0, shade, step="post", color=PALE, lw=0, zorder=0)
    panel.text(
        0.02 * right, 0.97 * top, f"shade: what stopping\n{baseline} early reaches", fontsize=7.5, color=INK, va="top"
    )
    panel.plot(solve, hack, "-o", color=INK, lw=1.4, ms=3.2, zorder=4)
    panel.plot(solve[0], hack[0], "o", color="white", mec=INK, ms=7, mew=1.3, zorder=6)
    panel.text(
        solve[0], -0.035 * top, "base model", ha="center", va="center", fontsize=7.5, path_effects=HALO, zorder=7
    )
    labels = [(solve[-1], hack[-1], f"{baseline} (step {steps[-1]})", INK, "bold")]
    apart = [(solve[0], hack[0]), (solve[-1], hack[-1])]  # steps are named where they are a tenth of the panel apart
    for x, y, step in zip(solve, hack, steps, strict=True):
        if name_steps and min(max(abs(x - a) / right, abs(y - b) / top) for a, b in apart) > 0.1:
            apart.append((x, y))
            labels.append((x, y, f"step {step}", INK, "normal"))
    return labels


def _place(panel: Axes, labels: list[tuple]) -> None:
    """Write labels beside their points, moved up where they would cover one another, with a line to the point."""
    right, top = panel.get_xlim()[1], panel.get_ylim()[1]
    taken = []
    for x, y, text, colour, weight in sorted(labels, key=lambda label: label[1]):
        width, gap = 0.0165 * right * len(text), 0.055 * top
        fits = x + 0.03 * right + width < right
        left = x + 0.03 * right if fits else max(0.01 * right, x - 0.03 * right - width)
        at = y
        for other_left, other_right, other in taken:
            if left < other_right and other_left < left + width and at < other + gap:
                at = other + gap
        taken.append((left, left + width, at))
        if at != y:
            panel.plot([x, left if fits else left + width], [y, at], color=colour, lw=0.7, zorder=4)
        panel.text(
            left if fits else left + width,
            at,
            text,
            color=colour,
            va="center",
            ha="left" if fits else "right",
            fontsize=8,
            fontweight=weight,
            path_effects=HALO,
            zorder=8,
        )


def _ordered(study: Study) -> list[str]:
    return sorted(study.arms, key=lambda arm: GROUPS.index(group(study, arm)))


def _grid(study: Study, arms: list[str], title: str, y_label: str, caption: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with one small panel per arm, all on the same axes, and the panels."""
    rows = max(1, -(-len(arms) // COLUMNS))
    figure = Figure(figsize=(12, 1.9 * rows + 1.0), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8)
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for panel in panels[len(arms) :]:
        panel.set_axis_off()
    for index, (panel, arm) in enumerate(zip(panels, arms, strict=False)):
        panel.set_title(arm, color=INK, fontweight="bold" if study.baseline(arm) is None else "normal")
        role = "baseline" if study.arms[arm].baseline == arm else group(study, arm)
        panel.text(0.03, 0.98, role, transform=panel.transAxes, fontsize=6.5, color=GREY, va="top")
        panel.set_xlabel("optimizer step", fontsize=7)
        panel.tick_params(labelbottom=True, labelsize=7)
        if index % COLUMNS == 0:
            panel.set_ylabel(y_label)
    return figure, list(panels[: len(arms)])


def _evaluated(study: Study) -> str:
    view = study.view(next(iter(study.arms)), scope="subset")
    return (
        f"Deployed model, {len(view.problems)} held-out problems x {view.samples} samples per checkpoint; "
        f"mean over {len(study.seeds)} seed(s)."
    )


def _band(panel: Axes, curve: Curve, colour: str) -> None:
    """Draw the mean and the range over seeds."""
    panel.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.22, lw=0)
    panel.plot(curve.x, curve.mean, color=colour, lw=1.6)


def _end_labels(panel: Axes, x: float, ends: list[tuple]) -> None:
    """Write the two lines' names at their ends, (y, text, colour) from below, at least 12% apart."""
    low, high = (end[0] for end in ends)
    apart = max(0.0, 12 - (high - low)) / 2
    low = max(low - apart, 3)
    for y, (_, text, colour) in zip((low, max(high + apart, low + 12)), ends, strict=True):
        panel.annotate(text, (x, y), (3, 0), textcoords="offset points", color=colour, va="center", fontsize=7)


def heat_map(table: pd.DataFrame, note: str) -> Figure:
    """Draw table 2: hack and solve on the held-out mode, a cell per fold and arm, from the rows of table2.csv.

    Colour is the hack rate; a frame marks the folds in which an arm holds.
    """
    part = table[table["modes"] == "held out"]
    folds = list(part["fold"].unique())
    panels = {
        "with the teacher pool of the known modes": list(part.loc[part["teacher"], "arm"].unique()),
        "without a teacher pool": list(part.loc[~part["teacher"], "arm"].unique()),
    }
    panels = {name: arms for name, arms in panels.items() if arms}
    rows = part.set_index(["arm", "fold"])
    with matplotlib.rc_context(STYLE):
        tallest = max(map(len, panels.values()))
        figure = Figure(figsize=(6.2 * len(panels), 0.42 * tallest + 1.7), layout="constrained")
        figure.suptitle(
            "The mode that V and the teacher do not know", x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
        seeds = int(part["n_seeds"].iloc[0])
        caption = (
            f"Columns: held-out mode. Deployed model, last step, mean over {seeds} seed(s). Frame: the fold holds."
        )
        figure.supxlabel(f"{caption}\n{note}", x=0.01, ha="left", fontsize=8)
        for axes, (name, arms) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            hack = [[100 * rows.loc[(arm, fold), "hack"] for fold in folds] for arm in arms]
            axes.imshow(hack, cmap="Oranges", vmin=0, vmax=100, aspect="auto")
            for y, arm in enumerate(arms):
                for x, fold in enumerate(folds):
                    cell = rows.loc[(arm, fold)]
                    text = f"{100 * cell['hack']:.0f} / {100 * cell['solve']:.0f}"
                    axes.text(x, y, text, ha="center", va="center", color="white" if cell["hack"] > 0.6 else INK)
                    if cell["verdict"] == HOLDS:
                        axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fill=False, ec=BLUE, lw=1.8))
            axes.set_xticks(range(len(folds)), folds)
            axes.set_yticks(range(len(arms)), arms)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set_title(f"{name}: hack / solve %")
    return figure
