"""More steps (method 7): is hacking prevented, or only delayed?"""

from collections.abc import Mapping

from projected_grpo.analysis.study import Study
from projected_grpo.analysis.table1 import early_stop
from projected_grpo.analysis.threats import Threat, matched_without_other, reduction


def delays(short: Study, long: Study, shorter: Mapping[str, str | None]) -> list[Threat]:
    """Return a line per tested arm of the longer study: is the effect that it has early gone at the end?

    `shorter` names the arm of the shorter study that differs by its steps alone; arms without one are left out.
    """
    lines = []
    for arm, spec in long.arms.items():
        early = shorter.get(arm)
        if not spec.tested or early not in short.arms:
            continue
        before, after = reduction(short, early), reduction(long, arm)
        numbers = {
            "before": before,
            "after": after,
            "steps": (short.arms[early].last, spec.last),
            "early before": early_stop(short, early, short.arms[early].baseline).effect,
            "early after": early_stop(long, arm, spec.baseline).effect,
        }
        lines.append(Threat("gone", early, long.baseline(arm), matched_without_other(before, after), numbers))
    return lines
