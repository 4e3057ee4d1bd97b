"""The words of checks, each with the number that decides it, and checks.md."""

from collections.abc import Mapping, Sequence
from math import isnan

from projected_grpo.analysis.checks import Check
from projected_grpo.analysis.threats import Threat
from projected_grpo.method.settings import ROTATED
from projected_grpo.reporting.format import NOTHING, OPEN_MEANS, grid, in_points, in_units, number, page, percent
from projected_grpo.reporting.threats import BEST_CONTROL, THREATS_MEAN, Words, threat_grid

CHECKS_MEAN = (
    "**holds**: the interval over replicates lies above 0, so it is better than chance, which need not be good enough. "
    f"**fails**: the mean is not more than one SEM above 0. {OPEN_MEANS} With one replicate every effect is open. A "
    "line that names a threshold of its own is judged by that; what is to be no less than before fails where the whole "
    f"interval lies below 0, and holds where none of it does. {NOTHING}: descriptive, or known by construction. "
    f"Nothing here is corrected for the number of lines. {BEST_CONTROL}"
)


BY_CONSTRUCTION = {
    "zero": "; 0 by construction, not a result",
    "selected": "; lower by construction, because rows were left out by this very overlap: not a result",
    "removed": "; lower by construction, because the gradient along V is never hack-ward: not a result",
}


def _detects(numbers: Mapping) -> str:
    if not numbers:
        return "no run was looked at"
    texts = []
    for other, (own, best, rival) in numbers.items():
        shown = ["not measured" if isnan(value) else f"{value:.2f}" for value in (own, rival)]
        texts.append(f"hack against {other} {shown[0]}, the best control{f' ({best})' if best else ''} {shown[1]}")
    return "; ".join(texts)


def _share(value: float) -> str:
    return NOTHING if isnan(value) else f"{percent(value)}%"


def _flags(numbers: Mapping) -> str:
    return (
        f"means over the steps: exploited {_share(numbers['hack_student'])}, "
        f"flagged {_share(numbers['flagged_student'])}, "
        f"of the flagged exploited {_share(numbers['flag_precision'])}, "
        f"of the exploited flagged {_share(numbers['flag_recall'])}, "
        f"of the others flagged {_share(numbers['flag_false_positives'])}"
    )


def _leak(numbers: Mapping) -> str:
    constructed = BY_CONSTRUCTION[numbers["by construction"]]
    return (
        f"update's overlap {number(numbers['own'])}, its baseline's {number(numbers['baseline'])}; "
        f"reduction {in_units(numbers['lower'])}{constructed}"
    )


def _attempts(numbers: Mapping) -> str:
    return (
        f"attempted {_share(numbers['attempted'])}, exploited {_share(numbers['hack'])}, "
        f"exploited of attempted {_share(numbers['of attempted'])}"
    )


CHECKS: dict[str, tuple[str, Words]] = {
    "follows": (
        "overlap_student follows the exploited share of its batch from step to step",
        lambda n: f"correlation of their changes {in_units(n['correlation'])}",
    ),
    "detects": ("it detects exploits among single rollouts: rank-AUC above the best control's", _detects),
    "flags": (
        "among the live rollouts of its own run, the signal's precision is above the share of exploits",
        _flags,
    ),
    "hides": (
        "the signal goes on flagging what its run attempts: in the last third of the steps no less than in the first",
        lambda n: (
            f"flagged of the attempts {_share(n['first'])}, then {_share(n['last'])}; change {in_points(n['change'])}"
        ),
    ),
    "basis": (
        f"a refreshed V keeps to its old basis (at least {ROTATED})",
        lambda n: f"mean {n['mean']:.2f}, lowest {n['lowest']:.2f}, of {n['refreshes']} refreshes",
    ),
    "leak": ("the optimizer's step is less hack-ward than the baseline's", _leak),
    "variance": ("groups without variance, which teach nothing", lambda n: f"{_share(n['share'])}"),
    "attempts": ("attempted against exploited", _attempts),
    "solve": ("solve by mode", lambda n: ", ".join(f"{mode} {_share(rate)}" for mode, rate in n.items())),
    "span": (
        "the control's span beside that of the hack direction",
        lambda n: f"shared {number(n['shared'])}, by chance {number(n['chance'])}",
    ),
}


def check_grid(checks: Sequence[Check]) -> str:
    """Return the checks as a table."""
    rows = []
    for line in checks:
        title, words = CHECKS[line.check]
        answer = f"**{line.answer}**" if line.answer else NOTHING
        rows.append([title, line.of, answer, words(line.numbers)])
    return grid(["check", "of", "does it hold?", "the number that decides"], rows)


def render(threats: Sequence[Threat], checks: Sequence[Check], replicates: Mapping[str, int], note: str) -> str:
    """Return checks.md from `held_out_threats(...)` and `checks(...)`."""
    sizes = ", ".join(f"{n} in {table}" for table, n in replicates.items())
    return page(
        "# Threats and checks",
        f"{note} Replicates: {sizes}.",
        "## What would show that we fool ourselves",
        "Threats of table 1 stand in table1.md, of table 3 in table3.md, of more steps in horizon.md; here are those "
        f"that the weak detector decides. {THREATS_MEAN}",
        threat_grid(threats) if threats else "Table 2 was not asked for.",
        "## Checks",
        CHECKS_MEAN,
        check_grid(checks),
    )
