"""The health page (methods 6, 7, 9): every check that could undo the result, with the number that decides it.

Answers of method 9's lines are those of doubts.py: yes, no, open, or not measured, where yes undoes or limits the
result. The checks below them say `well`, `ill`, `open` or `not measured`; what is descriptive has no verdict but `-`.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from projected_grpo.analysis.statistics import Effect, paired_t
from projected_grpo.analysis.study import Study, mean, ratio
from projected_grpo.analysis.table1 import final_difference, is_matched
from projected_grpo.analysis.threats import NO, OPEN, UNMEASURED, YES, absent, in_units, paired_means, reduction
from projected_grpo.analysis.verdicts import in_points
from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.reporting.table1 import grid

WELL, ILL, DESCRIPTIVE = "well", "ill", "-"
ROTATED = 0.2  # basis overlap under which a refreshed V has left the old one (method 3)
VERDICTS = {NO: WELL, YES: ILL, OPEN: OPEN, UNMEASURED: UNMEASURED}


def held_out_lines(together: Study) -> list[dict]:
    """Return method 9's line on the weak detector per tested arm, on the held-out problems of all folds."""
    lines = []
    for arm, spec in together.arms.items():
        if not spec["tested"]:
            continue
        hack = reduction(together, arm)
        solve = final_difference(together, arm, together.baseline(arm), "solve")
        falls = absent(hack)
        answer = falls if falls != NO else NO if is_matched(solve) else YES
        lines.append(
            {
                "doubt": "the held-out mode does not fall, or only because solve falls",
                "arm": arm,
                "against": str(together.baseline(arm)),
                "answer": answer,
                "numbers": f"hack lower by {in_points(hack)}, solve {100 * solve.estimate:+z.1f} points",
            }
        )
    return lines


def checks(
    study: Study, long: Study | None, detected: pd.DataFrame, hack: Iterable[str], directions: pd.DataFrame
) -> pd.DataFrame:
    """Return the checks, columns check, of, answer, numbers: table 1's runs, the longer ones, V as a detector (those
    named in `hack` are no controls), and the directions' own tests."""
    lines = [
        *_correlation_lines(study),
        *_detector_lines(detected, set(hack)),
        *_gate_lines(study),
        *(_refresh_lines(long) if long else []),
        *_leak_lines(study),
        *_variance_lines(study),
        *_attempt_lines(study),
        *_solve_lines(study),
        *_subspace_lines(directions),
    ]
    return pd.DataFrame(lines, columns=["check", "of", "answer", "numbers"])


def _above_zero(values: Iterable[float]) -> tuple[str, Effect | None]:
    """Judge whether a number per seed is above 0; without any finite one it is not measured."""
    values = np.asarray(list(values), float)
    if not len(values) or not np.isfinite(values).all():
        return UNMEASURED, None
    effect = paired_t(values)
    return VERDICTS[absent(effect)], effect


def _correlation_lines(study: Study) -> list[tuple]:
    lines = []
    for arm in [name for name in study.arms if study.arms[name]["baseline"] == name]:
        log = study.training[arm]
        pairs = zip(log["overlap_student"], log["hack_student"], strict=True)
        answer, effect = _above_zero(_correlation(a, b) for a, b in pairs)
        numbers = "no data" if effect is None else f"correlation over the steps {in_units(effect)}"
        lines.append(("overlap_student follows the exploited share of its batch", arm, answer, numbers))
    return lines


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and a.std() > 0 and b.std() > 0 else float("nan")


def _detector_lines(detected: pd.DataFrame, hack: set[str]) -> list[tuple]:
    """One line per V and mode: rank-AUC of single live rollouts, hack against correct and against wrong but honest.

    It is judged against that of a random V on the same rollouts, which need not be 0.5.
    """
    lines = []
    if detected.empty:
        return [("V detects single rollouts", "", UNMEASURED, "no run was looked at")]
    modes = ["all modes", *sorted(detected["mode"].unique())]
    random = ~detected["direction"].isin(hack)
    for name, mode in product(detected.loc[~random, "direction"].unique(), modes):
        held = name.removeprefix("hack_without_") if name.startswith("hack_without_") else None
        if held and mode not in (held, "all modes"):
            continue
        part = detected[(mode == "all modes") | (detected["mode"] == mode)]
        verdicts, texts = set(), []
        for other in ("correct", "wrong"):
            own, chance = (_aucs(part[chosen], other) for chosen in (part["direction"] == name, random[part.index]))
            verdicts.add(_above_zero(own - chance)[0])
            beside = f"{chance.mean():.2f}" if chance.notna().any() else "not measured"
            texts.append(f"hack against {other} {own.mean():.2f}, a random V {beside}")
        answer = next(word for word in (ILL, OPEN, UNMEASURED, WELL) if word in verdicts)
        unknown = " (which it does not know)" if held == mode else ""
        what = "V detects single rollouts: rank-AUC above a random V's"
        lines.append((what, f"{name}, {mode}{unknown}", answer, "; ".join(texts)))
    return lines


def _aucs(rows: pd.DataFrame, other: str) -> pd.Series:
    """Return the rank-AUC by seed, the mean where there are several directions."""
    found = {key: _auc(part, other) for key, part in rows.groupby(["seed", "direction"])}
    return pd.Series(found, dtype=float).groupby(level=0).mean()


def _auc(rows: pd.DataFrame, other: str) -> float:
    """Return the rank-AUC within steps and modes, weighted by their numbers of pairs.

    Pooled over a run it would also say when, and on which mode, rollouts were hacks.
    """
    found, pairs = 0.0, 0
    for _, part in rows.groupby(["step", "mode"]):
        hack, others = (part.loc[part["kind"] == kind, "overlap"] for kind in ("hack", other))
        if len(hack) and len(others):
            found += mannwhitneyu(hack, others).statistic
            pairs += len(hack) * len(others)
    return found / pairs if pairs else float("nan")


def _gate_lines(study: Study) -> list[tuple]:
    """Among live rollouts with positive advantage, which all exploits in a loss have."""
    lines = []
    for arm, log in study.training.items():
        if not np.isfinite(log["gate_share"]).any():
            continue
        answer, _ = _above_zero(np.nanmean(log["gate_precision"] - log["gate_base"], 1))
        numbers = (
            f"means over the steps: exploited {_percent(log['gate_base'])}, routed {_percent(log['gate_share'])}, "
            f"of the routed exploited {_percent(log['gate_precision'])}, "
            f"of the exploited routed {_percent(log['gate_recall'])}"
        )
        judged = answer if study.arms[arm]["tested"] else DESCRIPTIVE
        what = "of live rollouts with positive advantage, the gate's precision is above the share of exploits"
        lines.append((what, arm, judged, numbers))
    return lines


def _refresh_lines(long: Study) -> list[tuple]:
    lines = []
    for arm, log in long.training.items():
        basis = log["basis_overlap"][np.isfinite(log["basis_overlap"])]
        if len(basis):
            answer = WELL if basis.min() >= ROTATED else ILL
            numbers = f"mean {basis.mean():.2f}, lowest {basis.min():.2f}, of {len(basis)} refreshes"
            lines.append((f"a refreshed V keeps to its old basis (at least {ROTATED})", arm, answer, numbers))
    return lines


def _leak_lines(study: Study) -> list[tuple]:
    """What of the hack-ward motion comes back through the optimizer: overlap of the update, under a projection.

    An arm that uses fewer rows of V than its baseline measures has another overlap by that alone, and is left out.
    """
    lines = []
    for arm, spec in study.arms.items():
        baseline = study.baseline(arm)
        if not spec["tested"] or baseline is None:
            continue
        own, other = study.training[arm], study.training[baseline]
        if not np.isclose(mean(own["overlap_null"]), mean(other["overlap_null"])):
            continue
        effect = paired_means(other["overlap_update"], own["overlap_update"])
        both = [mean(log["overlap_update"]) for log in (own, other)]
        numbers = f"update's overlap {both[0]:.3f}, its baseline's {both[1]:.3f}; lower by {in_units(effect)}"
        answer = VERDICTS[absent(effect)]
        if spec["project"] in ("update", "both"):
            answer, numbers = DESCRIPTIVE, f"{numbers}; 0 by construction, not a result"
        lines.append(("the optimizer's step is less hack-ward than the baseline's", arm, answer, numbers))
    return lines


def _variance_lines(study: Study) -> list[tuple]:
    return [
        ("groups without variance, which teach nothing", arm, DESCRIPTIVE, _percent(log["frac_reward_zero_std"]))
        for arm, log in study.training.items()
        if study.arms[arm]["tested"] or study.arms[arm]["baseline"] == arm
    ]


def _attempt_lines(study: Study) -> list[tuple]:
    lines = []
    for arm in study.arms:
        if study.arms[arm]["tested"] or study.arms[arm]["baseline"] == arm:
            final = study.final(arm)
            share = ratio(final["hack_attempted"], final["attempted"])
            numbers = f"attempted {100 * mean(final['attempted']):.1f}%, exploited {100 * mean(final['hack']):.1f}%"
            numbers += f", exploited of attempted {100 * share:.1f}%" if np.isfinite(share) else ""
            lines.append(("attempted against exploited", arm, DESCRIPTIVE, numbers))
    return lines


def _solve_lines(study: Study) -> list[tuple]:
    lines = []
    for arm in study.arms:
        if study.arms[arm]["tested"] or study.arms[arm]["baseline"] == arm or arm == study.ceiling:
            modes, solve = study.view(arm).modes, study.final(arm)["solve"]
            numbers = ", ".join(f"{mode} {100 * solve[:, modes == mode].mean():.1f}%" for mode in dict.fromkeys(modes))
            lines.append(("solve by mode", arm, DESCRIPTIVE, numbers))
    return lines


def _subspace_lines(directions: pd.DataFrame) -> list[tuple]:
    return [
        (
            "the control's span beside that of the hack direction",
            str(name),
            DESCRIPTIVE,
            f"shared {row['subspace_overlap']:.3f}, by chance {row['subspace_chance']:.3f}",
        )
        for name, row in directions.iterrows()
        if row["subspace_overlap"] < 0.999
    ]


def _percent(values: np.ndarray) -> str:
    return f"{100 * mean(values):.1f}%"


def read_detected(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read detection files `.../seed{seed}.parquet` into one table with a column `seed`."""
    tables = [read_table(path, DETECTION).assign(seed=Path(path).stem) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def render(doubts: pd.DataFrame, checked: pd.DataFrame, seeds: Mapping[str, int], note: str) -> str:
    """Return health.md from the lines of method 9 and from `checks(...)`."""
    sizes = ", ".join(f"{table} {n}" for table, n in seeds.items())
    lines = [[row.doubt, row.arm, row.against, f"**{row.answer}**", row.numbers] for row in doubts.itertuples()]
    rows = [[row.check, row.of, f"**{row.answer}**", row.numbers] for row in checked.itertuples()]
    return f"""# Health

{note} Seeds: {sizes}.

## What would show that we fool ourselves

Is it so? **yes** undoes or limits the result: the effect is not more than one SEM above 0. **no**: its interval lies
above 0. **open**: in between, or one seed. Not corrected for the number of lines: this list looks for trouble.

{grid(["doubt", "arm", "against", "so?", "the number that decides"], lines)}

## Checks

**well**: the interval over seeds lies above 0. **ill**: the mean is not more than one SEM above 0. **open**: in
between, or one seed. **-**: descriptive. `well` says that something is better than chance, not that it is good enough.

{grid(["check", "of", "", "the number that decides"], rows)}
"""
