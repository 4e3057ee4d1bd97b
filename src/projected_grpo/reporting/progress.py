"""How far a grid of runs has come, as a table for the terminal and as a page; the numbers come from watch.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from projected_grpo.command import extra
from projected_grpo.reporting.colours import RATES
from projected_grpo.reporting.html import page as html_page
from projected_grpo.reporting.html import template

STATES = ("done", "trained", "training", "waiting")
MARKS = {"done": "+", "trained": "t", "waiting": "-"}
SILENT = 10  # minutes
LEGEND = (
    f"replicate:step, ! nothing written for {SILENT} min, {MARKS['trained']} trained and not evaluated, "
    f"{MARKS['done']} done, {MARKS['waiting']} waiting"
)
BARS = "▁▂▃▄▅▆▇█"
BARS_WIDE = 12
WIDTH, HEIGHT = 150, 44  # of a curve on the page, in pixels


@dataclass(frozen=True)
class Progress:
    """One run: its state, the last of its `last` steps that is known, seconds per step, minutes since anything was
    written, and hack and solve of its live rollouts at every step, as fractions."""

    arm: str
    replicate: int
    state: str
    step: int
    last: int
    seconds: float | None = None
    silent: float | None = None
    hack: Sequence[float] = ()
    solve: Sequence[float] = ()


@dataclass(frozen=True)
class Grid:
    """All runs, in the order of the tables, and the minutes left for all of them at so many at a time, if they can be
    told."""

    results: str
    runs: Sequence[Progress]
    left: float | None
    at_a_time: int


def summary(grid: Grid) -> str:
    """Return the state of the whole grid in a line."""
    counts = [f"{sum(run.state == state for run in grid.runs)} {state}" for state in STATES]
    left = "" if grid.left is None else f"; about {grid.left:.0f} min left, {grid.at_a_time} at a time"
    return f"{grid.results}: of {len(grid.runs)} runs {', '.join(counts)}{left}"


def table(grid: Grid):
    """Return a rich Table: a row per arm, those in training first, with its replicates, the curve and rates of the
    one that is furthest, and the minutes left of the one in training that needs most."""
    with extra("watch"):
        from rich.table import Table
    above = {"title": summary(grid), "title_justify": "left", "caption": LEGEND, "caption_justify": "left"}
    shown = Table(**above, box=None, pad_edge=False, collapse_padding=True)
    shown.add_column("arm", no_wrap=True)
    shown.add_column("replicates", min_width=14)
    shown.add_column("hack so far", no_wrap=True, min_width=BARS_WIDE)
    for name in ("hack", "solve", "min"):
        shown.add_column(name, justify="right", no_wrap=True)
    by_arm = {run.arm: [other for other in grid.runs if other.arm == run.arm] for run in grid.runs}
    for arm, runs in sorted(by_arm.items(), key=lambda item: all(run.state != "training" for run in item[1])):
        first = max(runs, key=lambda run: len(run.hack))
        rates = [f"{100 * values[-1]:.0f}" if values else "" for values in (first.hack, first.solve)]
        shown.add_row(arm, " ".join(map(mark, runs)), sparkline(first.hack, first.last), *rates, remaining(runs))
    return shown


def mark(run: Progress) -> str:
    """Return the replicate with its state in a few letters, as LEGEND explains them."""
    if run.state == "training":
        return f"{run.replicate}:{run.step}/{run.last}{'!' if is_silent(run) else ''}"
    return f"{run.replicate}{MARKS[run.state]}"


def is_silent(run: Progress) -> bool:
    """Whether a training has written nothing for so long that it may have ended."""
    return run.state == "training" and run.silent > SILENT


def remaining(runs: Sequence[Progress]) -> str:
    """Return the longest time that a training of these has left."""
    left = [(run.last - run.step) * run.seconds / 60 for run in runs if run.state == "training" and run.seconds]
    return f"{max(left):.0f}" if left else ""


def sparkline(values: Sequence[float], last: int) -> str:
    """Return fractions in [0, 1] over `last` steps as bars, BARS_WIDE of them for a whole run: each is the last step of
    its share of the run."""
    bars = ""
    for i in range(BARS_WIDE):
        start, end = i * last // BARS_WIDE, (i + 1) * last // BARS_WIDE
        part = values[start : max(start + 1, end)]
        bars += BARS[min(len(BARS) - 1, int(len(BARS) * part[-1]))] if part else ""
    return bars


_BODY = template(
    """<meta http-equiv="refresh" content="30">
<p>{{ summary }}. Curves: <span style="color: {{ colours.hack }}">hack</span> and
<span style="color: {{ colours.solve }}">solve</span> of the live rollouts in training, from 0 to 100%, over all steps
of the run.</p>
<table><tr><th>arm</th>{% for n in replicates %}<th>replicate {{ n }}</th>{% endfor %}</tr>
{% for arm, cells in arms.items() %}
<tr><td>{{ arm }}</td>{% for n in replicates %}<td>{% if n in cells %}
<svg width="{{ width }}" height="{{ height }}" style="border-bottom: 1px solid #ccc">
{% for colour, points in cells[n].lines %}
<polyline points="{{ points }}" fill="none" stroke="{{ colour }}"/>
{% endfor %}
</svg><br>{{ cells[n].text }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}
</table>
"""
)


def page(grid: Grid) -> str:
    """Return the page: a row per arm, a column per replicate, in each cell the curves so far and the state."""
    arms: dict[str, dict] = {}
    for run in grid.runs:
        lines = [(RATES["hack"], _points(run.hack, run.last)), (RATES["solve"], _points(run.solve, run.last))]
        text = f"{run.state} {run.step}/{run.last}" if run.state == "training" else run.state
        if is_silent(run):
            text += f", silent for {run.silent:.0f} min"
        if left := remaining([run]):
            text += f", {left} min left"
        arms.setdefault(run.arm, {})[run.replicate] = {"lines": lines, "text": text}
    replicates = sorted({run.replicate for run in grid.runs})
    body = _BODY.render(
        summary=summary(grid), replicates=replicates, arms=arms, colours=RATES, width=WIDTH, height=HEIGHT
    )
    return html_page("Progress", body)


def _points(values: Sequence[float], last: int) -> str:
    """Return the corners of a curve of fractions, in pixels of the picture."""
    return " ".join(
        f"{WIDTH * (i + 1) / last:.1f},{HEIGHT - 1 - (HEIGHT - 2) * value:.1f}" for i, value in enumerate(values)
    )
