"""Every arm's path in the plane of solve and hack, with what stopping its baseline early reaches."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from projected_grpo.analysis.curves import frontier, last_of_replicates, path
from projected_grpo.analysis.study import BASE, CEILING, GROUPS, Study, group
from projected_grpo.reporting.canvas import HALO, INK, LINES, ORANGE, PALE, evaluated


def hack_against_solve(study: Study, note: str) -> Figure:
    """Draw every arm's path in the plane of solve and hack, a panel per group, with its baseline's early stops.

    Every replicate is a small dot at its last step, the mean a large one; the base model is a point in every panel.
    An arm's path is of its own checkpoints, of which a baseline has more. The shade is what stopping the baseline early
    reaches: at most this solve with at most this hack, of the means over replicates, chosen and measured on the same
    samples (the table's (b) chooses the stop for every replicate apart and measures it on other samples).
    """
    drawn = [name for name in GROUPS if name not in (BASE, CEILING)]
    members = {name: [arm for arm in study.arms if group(study, arm) == name] for name in drawn}
    members = {name: arms for name, arms in members.items() if arms}
    rows = (len(members) + 1) // 2
    figure = Figure(figsize=(10.5, 4.1 * rows + 0.9), layout="constrained")
    figure.suptitle("Hack rate against solve rate along training", x=0.01, ha="left", fontsize=12, fontweight="bold")
    caption = f"{evaluated(study)} Paths start at the base model. Large dots: last step; faint: its replicates.\n"
    figure.supxlabel(
        f"{caption}Dots on its path: where the baseline could stop. The hack axes of the panels differ.\n{note}",
        x=0.01,
        ha="left",
        fontsize=7.5,
    )
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
    labels = []
    if baselines:
        baseline = max(baselines, key=baselines.count)
        labels += _early_stops(study, panel, baseline, name_steps=baseline in arms)
    others = [arm for arm in arms if arm not in baselines]
    for arm, colour in zip(others, LINES * len(others), strict=False):
        solve, hack = path(study, arm)
        panel.plot(solve, hack, color=colour, lw=1.6, zorder=3)
        _replicates(study, panel, arm, colour)
        panel.plot(solve[-1], hack[-1], "o", color=colour, ms=7, mec="white", mew=0.8, zorder=5)
        labels.append((solve[-1], hack[-1], arm, colour, "bold"))
    if study.base is not None:
        (solve,), (hack,) = path(study, study.base)
        panel.plot(solve, hack, "o", color="white", mec=INK, ms=7, mew=1.3, zorder=6)
        low = -0.035 * panel.get_ylim()[1]
        panel.text(solve, low, "base model", ha="center", va="center", fontsize=7.5, path_effects=HALO, zorder=7)
    if study.ceiling in study.arms:
        solve, hack = path(study, study.ceiling)
        _replicates(study, panel, study.ceiling, ORANGE)
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
    _replicates(study, panel, baseline, INK)
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
