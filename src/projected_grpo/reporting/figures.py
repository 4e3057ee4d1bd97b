"""Figures (method 7): training curves, hack against solve, profiles, what the direction sees, and table 2's heat map.

1. Thick lines are means over replicates, thin ones the replicates. No smoothing but where a label says so.
2. Hack and solve are percent of the deployed model's completions on the subset that is evaluated along the run.
3. Colours are Okabe and Ito's. The same study gives the same bytes: no date in the files, a fixed salt for SVG ids.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from projected_grpo.analysis.curves import overlap_bound, overlap_curve, profile, rate_curve
from projected_grpo.analysis.judgement import HOLDS
from projected_grpo.analysis.statistics import WINDOW
from projected_grpo.analysis.study import MEASURED, Study
from projected_grpo.reporting.canvas import end_labels, evaluated, ordered, panel_grid, replicates, style, titled
from projected_grpo.reporting.colours import BLUE, GREEN, GREY, INK, RATES, VERMILLION
from projected_grpo.reporting.plane import hack_against_solve

SOURCES = (
    ("overlap_student", "student", BLUE),
    ("overlap_teacher_hack", "teacher, exploiting", VERMILLION),
    ("overlap_teacher_clean", "teacher, other", GREEN),
)


def draw(study: Study, note: str, names: Sequence[str] = ()) -> dict[str, Figure]:
    """Return the four figures, or some of them, by file name; `note` (what the numbers are numbers of) stands under
    each."""
    drawing = {
        "training_curves": training_curves,
        "hack_against_solve": hack_against_solve,
        "overlap": overlap,
        "profile": profiles,
    }
    with style():
        return {name: drawing[name](study, note) for name in names or drawing}


def save(figure: Figure, stem: str | Path, source: Mapping) -> None:
    """Write `stem`.png and `stem`.svg, with the provenance `source` as their description."""
    about = {"Description": json.dumps(source, sort_keys=True)}
    with style():
        figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None, **about})
        figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": None, **about})


def training_curves(study: Study, note: str) -> Figure:
    """Draw hack and solve against the step, one panel per arm, its baseline behind it at its own, denser checkpoints.

    The base model has no curve; its rates are where every other one begins.
    """
    arms = [arm for arm in ordered(study) if arm != study.base]
    caption = f"{evaluated(study)} Thin: the replicates. Dashed: the arm's baseline. Step 0: the base model.\n{note}"
    figure, panels = panel_grid(
        study, arms, "Hack and solve rate along training", ("optimizer step", "% of completions"), caption
    )
    for panel, arm in zip(panels, arms, strict=True):
        baseline, ends = study.baseline(arm), []
        for rate, colour in RATES.items():
            if baseline is not None:
                other = rate_curve(study, baseline, rate)
                panel.plot(other.x, other.mean, color=colour, lw=0.9, ls=(0, (2, 2)))
            own = rate_curve(study, arm, rate)
            replicates(panel, own, colour)
            ends.append((own.mean[-1], rate, colour))
        panel.set(ylim=(0, 100), yticks=[0, 50, 100])
        end_labels(panel, own.x[-1], sorted(ends))
    return figure


def overlap(study: Study, note: str) -> Figure:
    """Draw the overlap of V with the student's and the teacher's gradients, one panel per arm; where the run measured V
    of other kinds, the best of them is the null."""
    arms = [arm for arm in ordered(study) if overlap_curve(study, arm, "overlap_student")]
    caption = (
        f"||relu(Vg)|| / ||g||, mean over modules, trailing {WINDOW}-step mean. Line: mean over "
        f"{len(study.replicates)} replicate(s); thin: the replicates. V as in the arm's own run.\n{note}"
    )
    if not arms:
        caption = f"No arm has a gradient that V could see: no group of rollouts had any variance in reward.\n{note}"
    figure, panels = panel_grid(
        study, arms, "What the direction sees in the gradients", ("optimizer step", "overlap (ratio)"), caption
    )
    top = 0.0
    for panel, arm in zip(panels, arms, strict=True):
        panel.axhline(overlap_bound(study, arm), color=GREY, lw=1, ls=":")
        if best := study.best_control(arm):
            chance = overlap_curve(study, arm, MEASURED + best)
            panel.plot(chance.x, chance.mean, color=INK, lw=1.1, ls="--")
        for name, _, colour in SOURCES:
            if own := overlap_curve(study, arm, name):
                replicates(panel, own, colour)
                top = max(top, own.top)
    for panel in panels:
        panel.set_ylim(0, 1.25 * top if top else 1)
    lines = [Line2D([], [], color=colour, lw=1.8, label=label) for _, label, colour in SOURCES]
    lines.append(Line2D([], [], color=INK, lw=1.1, ls="--", label="student, the best control's V"))
    lines.append(Line2D([], [], color=GREY, lw=1, ls=":", label="bound of chance"))
    figure.legend(handles=lines, loc="outside upper right", ncols=len(lines), frameon=False, fontsize=8)
    return figure


def profiles(study: Study, note: str) -> Figure:
    """Draw the share of an arm's replicates that hack above every rate, its baseline behind it, a dot per replicate."""
    arms = ordered(study)
    caption = (
        f"Share of {len(study.replicates)} replicate(s) whose hack rate at the last step, deployed, on all held-out "
        f"problems, is above the rate on the x axis. Dots: the replicates. Dashed: the arm's baseline.\n{note}"
    )
    labels = ("hack (% of completions)", "% of replicates above")
    figure, panels = panel_grid(study, arms, "Performance profile", labels, caption)
    for panel, arm in zip(panels, arms, strict=True):
        baseline = study.baseline(arm)
        if baseline is not None:
            other = profile(study, baseline)
            panel.step(other.hack, other.above, where="post", color=INK, lw=0.9, ls=(0, (2, 2)))
        own = profile(study, arm)
        panel.step(own.hack, own.above, where="post", color=VERMILLION, lw=1.6)
        panel.plot(own.replicates, [0] * len(own.replicates), "o", color=VERMILLION, ms=4, mew=0, alpha=0.6)
        panel.set(xlim=(-2, 100), xticks=[0, 50, 100], ylim=(-6, 124), yticks=[0, 50, 100])
    return figure


def heat_map(table: pd.DataFrame, note: str) -> Figure:
    """Draw table 2: hack and solve on the held-out mode, a cell per fold and arm, from the rows of table2.csv.

    Colour is the hack rate; a frame marks the folds in which an arm holds. The base model is the first row of a panel.
    """
    part = table[table["modes"] == "held out"]
    folds = list(part["fold"].unique())
    trained = part["last_step"] > 0
    base = list(part.loc[~trained, "arm"].unique())
    panels = {
        "with the teacher pool of the known modes": list(part.loc[trained & part["teacher"], "arm"].unique()),
        "without a teacher pool": list(part.loc[trained & ~part["teacher"], "arm"].unique()),
    }
    panels = {name: [*base, *arms] for name, arms in panels.items() if arms}
    rows = part.set_index(["arm", "fold"])
    with style():
        tallest = max(map(len, panels.values()))
        replicates = int(part["n_replicates"].iloc[0])
        caption = (
            f"Columns: held-out mode. Deployed model, last step, mean over {replicates} replicate(s). "
            "Frame: the fold holds."
        )
        size = 6.2 * len(panels), 0.42 * tallest + 1.7
        figure = titled(size, "The mode that V and the teacher do not know", f"{caption}\n{note}")
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
