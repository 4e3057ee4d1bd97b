"""Two studies in one figure: what differs between two experiments, or between two versions of one."""

from matplotlib.figure import Figure

from projected_grpo.analysis.curves import rate_curve
from projected_grpo.analysis.study import Study
from projected_grpo.reporting.canvas import end_labels, evaluated, replicates, small_multiples, style
from projected_grpo.reporting.colours import RATES


def compare(one: Study, other: Study, names: tuple[str, str]) -> Figure:
    """Draw hack and solve against the step, one panel per arm of either study: the first one's lines solid with its
    replicates, the other's dashed. A base model has no curve; its rates are where every other one begins."""
    arms = [arm for arm in dict.fromkeys([*one.arms, *other.arms]) if arm not in (one.base, other.base)]
    caption = f"Solid, thin the replicates: {names[0]}. {evaluated(one)}\nDashed: {names[1]}. {evaluated(other)}"
    with style():
        title = "Hack and solve rate along training, of two experiments"
        figure, panels = small_multiples(arms, title, ("optimizer step", "% of completions"), caption)
        for panel, arm in zip(panels, arms, strict=True):
            panel.set(ylim=(0, 100), yticks=[0, 50, 100])
            ends = []
            for rate, colour in RATES.items():
                curves = [rate_curve(study, arm, rate) for study in (one, other) if arm in study.arms]
                if arm in one.arms:
                    replicates(panel, curves[0], colour)
                if arm in other.arms:
                    panel.plot(curves[-1].x, curves[-1].mean, color=colour, lw=1.2, ls=(0, (2, 2)))
                ends.append((curves[0].mean[-1], rate, colour))
            end_labels(panel, curves[0].x[-1], sorted(ends))
    return figure
