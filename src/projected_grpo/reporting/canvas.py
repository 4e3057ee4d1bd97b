"""What the figures share: style, panels, captions, replicates, labels; their colours are those of colours.py."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from projected_grpo.analysis.curves import Curve
from projected_grpo.analysis.study import GROUPS, Study, group
from projected_grpo.reporting.colours import GREY, INK
from projected_grpo.reporting.colours import LINES as LINES  # plane.py has its colours from here
from projected_grpo.reporting.colours import ORANGE as ORANGE
from projected_grpo.reporting.colours import PALE as PALE

HALO = [withStroke(linewidth=2.5, foreground="white")]
COLUMNS = 6  # panels per row of the small multiples
TITLE, FITS = 8.5, 25  # size of a panel's title, and how many letters of it fit
STYLE = {
    "svg.hashsalt": "projected_grpo",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in matplotlib's own style with STYLE on it, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def titled(size: tuple[float, float], title: str, caption: str, small: float = 8) -> Figure:
    """Return an empty figure of a size in inches with its title above and its caption, in letters of `small`, below."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=small)
    return figure


def ordered(study: Study) -> list[str]:
    return sorted(study.arms, key=lambda arm: GROUPS.index(group(study, arm)))


def panel_grid(
    study: Study, arms: list[str], title: str, labels: tuple[str, str], caption: str
) -> tuple[Figure, list[Axes]]:
    """Return `small_multiples`, a panel per arm with its role, and a baseline's name in bold."""
    bold = [arm for arm in arms if study.baseline(arm) is None]
    figure, panels = small_multiples(arms, title, labels, caption, bold)
    for panel, arm in zip(panels, arms, strict=True):
        role = "baseline" if study.arms[arm].baseline == arm else group(study, arm)
        panel.text(0.03, 0.98, role, transform=panel.transAxes, fontsize=6.5, color=GREY, va="top")
    return figure, panels


def small_multiples(
    names: Sequence[str], title: str, labels: tuple[str, str], caption: str, bold: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one small panel per name, all on the same axes (labels of x and y), and the panels."""
    rows = max(1, -(-len(names) // COLUMNS))
    figure = titled((12, 1.9 * rows + 1.0), title, caption)
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    for index, (panel, name) in enumerate(zip(panels, names, strict=False)):
        weight = "bold" if name in bold else "normal"
        panel.set_title(name, color=INK, fontweight=weight, fontsize=TITLE * min(1, FITS / len(name)))
        panel.set_xlabel(labels[0], fontsize=7)
        panel.tick_params(labelbottom=True, labelsize=7)
        if index % COLUMNS == 0:
            panel.set_ylabel(labels[1])
    return figure, list(panels[: len(names)])


def evaluated(study: Study) -> str:
    view = study.view(next(iter(study.arms)), scope="subset")
    return (
        f"Deployed model, {len(view.problems)} held-out problems x {view.samples} samples per checkpoint; "
        f"mean over {len(study.replicates)} replicate(s)."
    )


def replicates(panel: Axes, curve: Curve, colour: str) -> None:
    """Draw the mean and, thin, every replicate."""
    for values in curve.replicates:
        panel.plot(curve.x, values, color=colour, lw=0.6, alpha=0.5)
    panel.plot(curve.x, curve.mean, color=colour, lw=1.6)


def end_labels(panel: Axes, x: float, ends: list[tuple]) -> None:
    """Write the two lines' names at their ends, (y, text, colour) from below, at least 12% apart."""
    low, high = (end[0] for end in ends)
    apart = max(0.0, 12 - (high - low)) / 2
    low = max(low - apart, 3)
    for y, (_, text, colour) in zip((low, max(high + apart, low + 12)), ends, strict=True):
        panel.annotate(text, (x, y), (3, 0), textcoords="offset points", color=colour, va="center", fontsize=7)
