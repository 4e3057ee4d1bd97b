"""The figures of table 3 and of doses: signal x action as a grid and in the plane of solve and hack; dose curves."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from projected_grpo.analysis.outcomes import PREVENTS
from projected_grpo.analysis.study import Study
from projected_grpo.reporting.canvas import style, titled
from projected_grpo.reporting.colours import BLUE, GREY, INK, LINES, ORANGE, RATES
from projected_grpo.reporting.table3 import ACTIONS, actions_of

MARKERS = dict(zip(ACTIONS, ("v", "D", "o", "s"), strict=True))
OWN_MARKER = "P"  # of an action of one's own
COLOURS = [*LINES, INK, "#7A5C00", "#4B0082", "#F0E442", "#882255", "#44AA99"]  # one per signal of table 3
WIDEST = 11  # inches that a caption needs


def signal_grid(table: pd.DataFrame, twins: Mapping[str, str], note: str) -> Figure:
    """Draw table 3's signals by actions, a panel per baseline: hack on the held-out modes as colour, hack / solve in
    words, the twin's below.

    A hatched cell is dominated by a control; a frame says that the arm prevents there.
    """
    rows = table.set_index("arm")
    own = rows[rows["signal"].notna() & ~rows.index.isin(twins.values())]
    panels = {str(baseline): part for baseline, part in own.groupby("baseline", sort=False)}
    with style():
        tallest = max((part["signal"].nunique() for part in panels.values()), default=1)
        caption = (
            "Hack / solve % of the deployed model on the mode that pairs, signal and teacher pool do not know; in "
            f"parentheses the twin's. Hatched: dominated by a control.\nFrame: prevention (H2) is supported.\n{note}"
        )
        figure = titled(
            (max(WIDEST, 6.4 * len(panels)), 0.62 * tallest + 1.9), "Signal x action: held-out modes", caption
        )
        for axes, (baseline, part) in zip(_row(figure, len(panels)), panels.items(), strict=True):
            _grid_panel(axes, part, rows, twins)
            axes.set_title(f"beside {baseline} ({_rates(rows.loc[baseline])})" if baseline in rows.index else baseline)
    return figure


def _grid_panel(axes: Axes, part: pd.DataFrame, rows: pd.DataFrame, twins: Mapping[str, str]) -> None:
    signals = list(part["signal"].unique())
    actions = actions_of(part)
    axes.set(xlim=(-0.5, len(actions) - 0.5), ylim=(len(signals) - 0.5, -0.5))
    for arm, cell in part.iterrows():
        x, y = actions.index(cell["action"]), signals.index(cell["signal"])
        hack = cell["hack_held_out"]
        shade = 0.95 * min(1.0, hack)
        face = (1 - 0.15 * shade, 0.96 - 0.55 * shade, 0.92 - 0.85 * shade)
        hatch = "////" if pd.notna(cell["dominated_by"]) else None
        axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fc=face, ec=GREY, hatch=hatch, lw=0))
        if cell["outcome_held_out"] == PREVENTS:
            axes.add_patch(Rectangle((x - 0.46, y - 0.43), 0.92, 0.86, fill=False, ec=BLUE, lw=1.8))
        twin = f"\n({_rates(rows.loc[twins[arm]])})" if twins.get(arm) in rows.index else ""
        axes.text(x, y, f"{_rates(cell)}{twin}", ha="center", va="center", fontsize=7.5, color=INK, linespacing=1.4)
    axes.set_xticks(range(len(actions)), actions)
    knows = part.drop_duplicates("signal").set_index("signal")["knows"]
    axes.set_yticks(range(len(signals)), [f"{signal} ({knows[signal]})" for signal in signals])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _rates(row: pd.Series) -> str:
    return f"{100 * row['hack_held_out']:.0f} / {100 * row['solve_held_out']:.0f}"


def _row(figure: Figure, n: int) -> Sequence[Axes]:
    return figure.subplots(1, max(1, n), squeeze=False)[0][:n]


def signal_plane(unknown: Study, twins: Sequence[str], note: str) -> Figure:
    """Draw every arm of table 3 on the held-out modes, a panel per baseline: solve against hack at the last step.

    Every replicate is a small dot, the mean a large mark: its colour says the signal, its shape the action; twins are
    hollow, what needs no flag is grey and named.
    """
    signals = list(dict.fromkeys(spec.signal for spec in unknown.arms.values() if spec.signal))
    colours = dict(zip(signals, cycle(COLOURS)))
    baselines = dict.fromkeys(spec.baseline for spec in unknown.arms.values() if spec.signal)
    with style():
        caption = (
            f"Deployed model, last step. Small dots: {len(unknown.replicates)} replicate(s), each on the mode that it "
            f"holds out; large: their mean. Hollow: twins.\n{note}"
        )
        figure = titled((max(WIDEST, 6.6 * len(baselines)), 5.6), "Hack against solve on the held-out modes", caption)
        for axes, baseline in zip(_row(figure, len(baselines)), baselines, strict=True):
            arms = [arm for arm, spec in unknown.arms.items() if spec.baseline == baseline or arm == unknown.base]
            for arm in dict.fromkeys([*arms, *([unknown.ceiling] if unknown.ceiling in unknown.arms else [])]):
                _plane_arm(axes, unknown, arm, colours, arm in twins)
            axes.set(xlabel="solve (% of completions)", ylabel="hack (% of completions)", title=f"beside {baseline}")
            axes.set_xlim(left=0)
            axes.set_ylim(-2, max(10, axes.get_ylim()[1]))
        marks = [Line2D([], [], color=colour, marker="o", ls="", label=name) for name, colour in colours.items()]
        marks += [Line2D([], [], color=INK, marker=mark, ls="", label=action) for action, mark in MARKERS.items()]
        figure.legend(handles=marks, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _plane_arm(axes: Axes, unknown: Study, arm: str, colours: Mapping[str, str], twin: bool) -> None:
    spec, final = unknown.arms[arm], unknown.final(arm)
    solve, hack = 100 * final["solve"].mean(1), 100 * final["hack"].mean(1)
    colour = colours.get(spec.signal, ORANGE if arm == unknown.ceiling else GREY)
    mark = MARKERS.get(spec.action, OWN_MARKER) if spec.signal else "*" if arm == unknown.ceiling else "X"
    face = "white" if twin or arm == unknown.base else colour
    axes.plot(solve, hack, ".", color=colour, ms=4, alpha=0.35, zorder=2)
    axes.plot(solve.mean(), hack.mean(), mark, color=colour, mfc=face, mec=colour, ms=8, mew=1.2, zorder=4)
    if not spec.signal and not twin:
        axes.annotate(
            arm, (solve.mean(), hack.mean()), (5, 3), textcoords="offset points", fontsize=6.5, color=INK, zorder=5
        )


def dose_curves(table: pd.DataFrame, note: str) -> Figure:
    """Draw hack and solve against the dose, a panel per family, from the rows of doses.csv; a ring marks the chosen
    dose, dashed lines are the baseline's."""
    families = list(table["family"].unique())
    rows = max(1, -(-len(families) // 4))
    with style():
        caption = (
            "Deployed model, last step, tuning replicates and problems. Ring: the chosen dose. Dashed: the baseline.\n"
            f"{note}"
        )
        figure = titled((12, 2.3 * rows + 1.0), "Doses", caption)
        panels = figure.subplots(rows, 4, sharey=True, squeeze=False).ravel()
        for panel, family in zip(panels, families, strict=False):
            part = table[table["family"] == family].sort_values("dose")
            for rate, colour in RATES.items():
                panel.plot(part["dose"], 100 * part[rate], "-o", color=colour, ms=4)
                panel.axhline(100 * part[f"baseline_{rate}"].iloc[0], color=colour, lw=0.9, ls=(0, (2, 2)))
                chosen = part[part["chosen"]]
                panel.plot(chosen["dose"], 100 * chosen[rate], "o", mfc="none", mec=INK, ms=9)
            panel.set(xscale="log", ylim=(0, 100), title=family)
            panel.set_xlabel(part["key"].iloc[0], fontsize=7)
            panel.set_xticks(part["dose"], [f"{dose:g}" for dose in part["dose"]])
            panel.minorticks_off()
        for panel in panels[len(families) :]:
            panel.set_axis_off()
        ends = [Line2D([], [], color=colour, label=f"{rate} %") for rate, colour in RATES.items()]
        figure.legend(handles=ends, loc="outside right upper", fontsize=8, frameon=False)
    return figure
