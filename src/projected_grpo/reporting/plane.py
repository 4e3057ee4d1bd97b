"""Every arm's path in the plane of solve and hack, with what stopping its baseline early reaches."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from projected_grpo.analysis.curves import frontier, last_of_replicates, path
from projected_grpo.analysis.study import ALONE, BASE, CEILING, GROUPS, Study, group, is_main
from projected_grpo.reporting.canvas import HALO, INK, LINES, ORANGE, PALE, evaluated, titled


def hack_against_solve(study: Study, note: str) -> Figure:
    """Draw every arm's path in the plane of solve and hack, a panel per group, and one for all that was trained without
    a teacher pool, with its baseline's early stops.

    Every replicate is a small dot at its last step, the mean a large one; the base model is a point in every panel.
    An arm's path is of its own checkpoints, of which a baseline has more. The shade is what stopping the baseline early
    reaches: at most this solve with at most this hack, of the means over replicates, chosen and measured on the same
    samples (the table's (b) chooses the stop for every replicate apart and measures it on other samples).
    """
    drawn = [name for name in GROUPS if name not in (BASE, CEILING)]
    place = {arm: group(study, arm) for arm in study.arms}
    place |= {arm: ALONE for arm, name in place.items() if name in drawn and not is_main(study, arm)}
    members = {name: [arm for arm in study.arms if place[arm] == name] for name in drawn}
    members = {name: arms for name, arms in members.items() if arms}
    rows = (len(members) + 1) // 2
    caption = (
        f"{evaluated(study)} Paths start at the base model. Large dots: last step; faint: its replicates.\n"
        f"Dots on its path: where the baseline could stop. The hack axes of the panels differ.\n{note}"
    )
    figure = titled((10.5, 4.1 * rows + 0.9), "Hack rate against solve rate along training", caption, small=7.5)
    panels = figure.subplots(rows, min(2, len(members)), sharex=True, squeeze=False).ravel()
    right = min(100, 16 + 1.05 * max(_furthest(study, arm)[0] for arm in study.arms))
    for panel, (name, arms) in zip(panels, members.items(), strict=False):
        shown = {*arms, *(study.arms[arm].baseline for arm in arms)} & set(study.arms)
        top = min(100, max(1, 1.2 * max(_furthest(study, arm)[1] for arm in shown)))  # nobody may hack
        panel.set(xlim=(0, right), ylim=(-0.07 * top, top))
        _plane(study, panel, name, arms)
    for panel in panels[len(members) :]:
        panel.set_axis_off()
    return figure


def _furthest(study: Study, arm: str) -> tuple[float, float]:
    """Return the highest solve and hack of an arm's path and of its replicates."""
    ends = zip(path(study, arm), last_of_replicates(study, arm), strict=True)
    solve, hack = (max(*along, *last) for along, last in ends)
    return solve, hack


def _replicates(study: Study, panel: Axes, arm: str, colour: str) -> None:
    panel.plot(*last_of_replicates(study, arm), "o", color=colour, ms=3.6, alpha=0.45, mew=0, zorder=3)


def _plane(study: Study, panel: Axes, name: str, arms: list[str]) -> None:
    """Draw one group of arms, the early stops of the baseline that most of them have, and the ceiling."""
    baselines = [study.arms[arm].baseline for arm in arms if study.arms[arm].baseline in study.arms]
    labels, blocks = [], []
    if baselines:
        baseline = max(baselines, key=baselines.count)
        labels += _early_stops(study, panel, baseline, name_steps=baseline in arms)
        blocks.append(_block(panel, 0, 0.92 * panel.get_ylim()[1], letters=len(baseline) + 14, lines=2))
    others = [arm for arm in arms if arm not in baselines]
    for arm, colour in zip(others, LINES * len(others), strict=False):
        solve, hack = path(study, arm)
        panel.plot(solve, hack, color=colour, lw=1.6, zorder=3)
        _replicates(study, panel, arm, colour)
        panel.plot(solve[-1], hack[-1], "o", color=colour, ms=7, mec="white", mew=0.8, zorder=5)
        labels.append((solve[-1], hack[-1], arm, colour, "bold"))
        blocks.append(_marker(panel, solve[-1], hack[-1], 7))
    if study.base is not None:
        (solve,), (hack,) = path(study, study.base)
        panel.plot(solve, hack, "o", color="white", mec=INK, ms=7, mew=1.3, zorder=6)
        low = -0.035 * panel.get_ylim()[1]
        panel.text(solve, low, "base model", ha="center", va="center", fontsize=7.5, path_effects=HALO, zorder=7)
        blocks += [_marker(panel, solve, hack, 7), _block(panel, solve, low, letters=-10)]
    if study.ceiling in study.arms:
        solve, hack = path(study, study.ceiling)
        _replicates(study, panel, study.ceiling, ORANGE)
        panel.axvline(solve[-1], color=ORANGE, lw=1, ls=":", zorder=1)
        panel.plot(solve[-1], hack[-1], "*", color=ORANGE, ms=14, mec=INK, mew=0.7, zorder=6)
        top = panel.get_ylim()[1]
        panel.text(solve[-1], 0.97 * top, f" honest ceiling:\n {study.ceiling}", fontsize=7.5, color=INK, va="top")
        blocks.append(_block(panel, solve[-1], 0.9 * top, letters=16, lines=3))
        blocks.append(_marker(panel, solve[-1], hack[-1], 14))
    panel.set_title(name, fontsize=10, color=INK)
    panel.set_xlabel("solve (% of completions)")
    panel.set_ylabel("hack (% of completions)")
    panel.tick_params(labelbottom=True)
    _place(panel, labels, blocks)


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
    _replicates(study, panel, baseline, INK)
    labels = [(solve[-1], hack[-1], f"{baseline} (step {steps[-1]})", INK, "bold")]
    apart = [(solve[0], hack[0]), (solve[-1], hack[-1])]  # steps are named where they are a tenth of the panel apart
    for x, y, step in zip(solve, hack, steps, strict=True):
        if name_steps and min(max(abs(x - a) / right, abs(y - b) / top) for a, b in apart) > 0.1:
            apart.append((x, y))
            labels.append((x, y, f"step {step}", INK, "normal"))
    return labels


def _marker(panel: Axes, x: float, y: float, points: float) -> tuple[float, float, float, float]:
    """Return what a marker of this size covers: left, right, low, high."""
    width, height = 0.0017 * points * panel.get_xlim()[1], 0.0026 * points * panel.get_ylim()[1]
    return x - width, x + width, y - height, y + height


def _block(panel: Axes, x: float, y: float, letters: int, lines: int = 1) -> tuple[float, float, float, float]:
    """Return what a text covers that begins at x, or (`letters` below 0) has its middle there, as `_marker` does."""
    width, height = 0.0165 * panel.get_xlim()[1] * abs(letters), 0.0275 * panel.get_ylim()[1] * lines
    left = x if letters > 0 else x - width / 2
    return left, left + width, y - height, y + height


def _place(panel: Axes, labels: list[tuple], blocks: list[tuple]) -> None:
    """Write labels beside their points, as near as the blocks and one another leave room, with a line to the point."""
    right, top = panel.get_xlim()[1], panel.get_ylim()[1]
    step = 0.0275 * top
    shifts = sorted((sign * number * step for number in range(40) for sign in (1, -1)), key=abs)
    for x, y, text, colour, weight in sorted(labels, key=lambda label: label[1]):
        width = 0.0165 * right * len(text)
        fits = x + 0.03 * right + width < right
        left = x + 0.03 * right if fits else max(0.01 * right, x - 0.03 * right - width)
        places = (_block(panel, left, y + shift, len(text)) for shift in shifts if -step < y + shift < top - step)
        place = next((place for place in places if not any(_cover(place, block) for block in blocks)), None)
        place = place or _block(panel, left, y, len(text))
        blocks = [*blocks, place]
        at = (place[2] + place[3]) / 2
        if abs(at - y) > step / 2:
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


def _cover(one: tuple, other: tuple) -> bool:
    """Whether two blocks overlap."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
