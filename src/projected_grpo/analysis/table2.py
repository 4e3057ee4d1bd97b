"""Table 2 (method 7): what a weak detector buys on the loophole that it does not know.

1. A fold holds one mode out: V and the teacher pool know the others, training has all. Arms are the arms of table 2
   under their plain names, each held against its baseline of the same fold.
2. Every number comes twice: on the problems of the held-out mode, and on those of the known ones. `all` pools the
   held-out problems of all folds, each problem under the models that did not know its mode.
3. A fold passes if, on the held-out mode, hack falls, solve does not, and the real V beats the random one (Holm over
   all such comparisons of single folds, and over those of `all`); rules as in claims.py, whose `supported` is a pass.
   That asks for less than H1 and H1s do: neither 30 points, nor (b), nor slow controls.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from projected_grpo.analysis.statistics import Effect, holm
from projected_grpo.analysis.study import Study, mean, pool, restrict
from projected_grpo.analysis.table1 import DECIMALS, MATCHED, NO_EFFECT, columns, early_stop, final_difference
from projected_grpo.analysis.verdicts import (
    DROP_FALSIFIES,
    judge_above_nothing,
    judge_threshold,
    missing,
    reach_verdict,
)
from projected_grpo.reporting.table1 import NOTHING, decided, grid, interval, percent, said, stopped_early, unmatched

ALL = "all"  # the held-out problems of all folds together
PASSED = {"supported": "passes", "falsified": "fails", "undecided": "open"}


def held_out(folds: Mapping[str, Study]) -> dict[str, Study]:
    """Return {mode: the fold's study on the held-out problems}, and under ALL all of them pooled."""
    parts = {mode: restrict(study, [mode]) for mode, study in folds.items()}
    return {**parts, ALL: pool(list(parts.values()))}


def known(folds: Mapping[str, Study]) -> dict[str, Study]:
    """Return {mode: the fold's study on the problems of the modes that it knows}."""
    return {mode: restrict(study, set(folds) - {mode}) for mode, study in folds.items()}


def table2(folds: Mapping[str, Study]) -> pd.DataFrame:
    """Return one row per fold, kind of modes (held out, known) and arm; rates and differences as in table 1.

    twin_diff is the hack of the arm with a random V minus the arm's. `verdict` is of the fold and the arm.
    """
    verdicts = fold_verdicts(folds)
    rows = []
    for modes, studies in (("held out", held_out(folds)), ("known", known(folds))):
        for fold, study in studies.items():
            for arm in study.arms:
                verdict = verdicts["folds"][fold].get(arm, {}).get("verdict") if modes == "held out" else None
                rows.append({"fold": fold, "modes": modes, "arm": arm, **_numbers(study, arm), "verdict": verdict})
    table = pd.DataFrame(rows)
    numbers = table.select_dtypes("float").columns
    table[numbers] = table[numbers].round(DECIMALS) + 0.0
    return table


def _numbers(study: Study, arm: str) -> dict:
    final, baseline = study.final(arm), study.baseline(arm)
    hack = final_difference(study, arm, baseline, "hack")
    stop = early_stop(study, arm, baseline) if baseline else None
    return {
        "baseline": study.arms[arm]["baseline"],
        "teacher": study.arms[arm]["mix"] > 0,
        "n_seeds": len(study.seeds),
        "n_problems": len(study.view(arm).problems),
        **{name: mean(final[name]) for name in ("hack", "solve", "attempted")},
        **columns("hack_diff", hack),
        "hack_diff_p": hack.p,
        **columns("solve_diff", final_difference(study, arm, baseline, "solve")),
        **columns("early_stop_diff", stop.effect if stop else NO_EFFECT),
        "early_stop_stand_ins": int(stop.stand_in.sum()) if stop else 0,
        "twin": study.arms[arm]["twin"],
        **columns("twin_diff", _twin_difference(study, arm)),
    }


def _twin_difference(study: Study, arm: str) -> Effect:
    twin = study.arms[arm]["twin"]
    return final_difference(study, twin, arm, "hack") if twin in study.arms else NO_EFFECT


def fold_verdicts(folds: Mapping[str, Study]) -> dict:
    """Return {"folds": {fold: {tested arm: verdict, decided_by, clauses}}}, ready for JSON."""
    studies = held_out(folds)
    tested = [arm for arm, spec in studies[ALL].arms.items() if spec["tested"]]
    effects = {(fold, arm): _twin_difference(study, arm) for fold, study in studies.items() for arm in tested}
    measured = [pair for pair, effect in effects.items() if np.isfinite(effect.estimate)]
    together = [pair for pair in measured if pair[0] == ALL]
    single = [pair for pair in measured if pair[0] != ALL]
    adjusted = {}
    for family in (single, together):
        adjusted |= zip(family, holm([effects[pair].p for pair in family]), strict=True)
    judged = {fold: {} for fold in studies}
    for (fold, arm), effect in effects.items():
        study = studies[fold]
        baseline, twin = study.baseline(arm), study.arms[arm]["twin"]
        hack, solve = (final_difference(study, *pair) for pair in ((baseline, arm, "hack"), (arm, baseline, "solve")))
        if twin not in study.arms:
            beats = missing("beats", f"{arm} with a random V")
        else:
            beats = judge_above_nothing("beats", twin, effect, float(adjusted[fold, arm]))
        clauses = [
            judge_above_nothing("noise", baseline, hack, hack.p),
            judge_threshold("solve", baseline, solve, -MATCHED, -DROP_FALSIFIES),
            beats,
        ]
        judged[fold][arm] = reach_verdict(clauses)
    return {
        "n_seeds": len(studies[ALL].seeds),
        "holm_family": len(single),
        "holm_family_all": len(together),
        "folds": judged,
    }


MARKS = f"""\
- Every cell is of the held-out mode's problems alone: hack % / solve %, and below it the difference in hack to the
  fold's baseline with its 95% decision interval. The column `all` pools them. † solve is more than 10 points below the
  baseline's.
- **bold**: the fold passes: hack falls (the interval excludes 0), solve is not more than 10 points below the
  baseline's, and the arm with a random V hacks more (Holm over all single folds and arms; in `all`, which is the same
  data once more, over its arms). A pass asks for less than H1: no 30 points, no (b), no slow control.
- {NOTHING}: not defined. Without a teacher pool a baseline, or an arm with a random V, is one model for all folds."""


def render(folds: Mapping[str, Study], table: pd.DataFrame, verdicts: Mapping, note: str) -> str:
    """Return table2.md."""
    first = next(iter(folds.values()))
    seeds = ", ".join(map(str, first.seeds))
    single = table[(table["modes"] == "held out") & (table["fold"] != ALL)]
    problems = " or ".join(str(n) for n in sorted(single["n_problems"].unique()))
    passed = [f"- {arm}: {said}" for arm, said in passes(verdicts["folds"]).items()]
    return (
        "\n\n".join(
            [
                "# Table 2: the weak detector",
                f"{note}\n\nDoes knowing the other loopholes stop the unknown one? V and the teacher pool know all "
                f"modes but one; training has all. Seeds {seeds}, deployed model, last step, sampled with the hint.",
                "## On the held-out mode",
                _held_out(table) + "\n\n" + MARKS,
                f"## Folds that pass\n\nOf {problems} problems each.",
                "\n".join(passed),
                "## What decided",
                _clauses(verdicts),
                "## On the known modes",
                _known(table),
                "## (b) on the held-out mode",
                _early(table),
            ]
        )
        + "\n"
    )


def _cells(table: pd.DataFrame, modes: str, cell) -> str:
    part = table[table["modes"] == modes]
    folds, arms = list(part["fold"].unique()), list(part["arm"].unique())
    rows = part.set_index(["arm", "fold"])
    return grid(["arm", *folds], [[arm, *[cell(rows.loc[(arm, fold)]) for fold in folds]] for arm in arms])


def _held_out(table: pd.DataFrame) -> str:
    def cell(row):
        mark = "**" if row["verdict"] == "supported" else ""
        rates = f"{mark}{percent(row['hack'])} / {percent(row['solve'])}{mark}"
        return f"{rates}<br>{interval(row, 'hack_diff')}{unmatched(row)}"

    return _cells(table, "held out", cell)


def _known(table: pd.DataFrame) -> str:
    return _cells(
        table,
        "known",
        lambda row: f"{percent(row['hack'])} / {percent(row['solve'])}<br>{interval(row, 'hack_diff')}",
    )


def _early(table: pd.DataFrame) -> str:
    return (
        _cells(table, "held out", stopped_early)
        + "\n\nSolve at the last step minus the best that the baseline reached with no more hacking, both on the "
        "held-out mode's part of the subset that is evaluated along the run. ‡ in at least one seed the baseline never "
        "hacked that little, and the base model stands in."
    )


def passes(judged: Mapping) -> dict[str, str]:
    """Return per tested arm how many single folds it passes, and what holds of all held-out problems together."""
    found = {}
    for arm, together in judged[ALL].items():
        outcomes = [PASSED[judged[fold][arm]["verdict"]] for fold in judged if fold != ALL]
        counts = ", ".join(f"{outcomes.count(word)} {word}" for word in ("open", "fails") if word in outcomes)
        rest = f" ({counts})" if counts else ""
        found[arm] = f"{outcomes.count('passes')} of {len(outcomes)} modes{rest}; together **{said(together, PASSED)}**"
    return found


def _clauses(verdicts: Mapping) -> str:
    judged = [(fold, arm, result) for fold, arms in verdicts["folds"].items() for arm, result in arms.items()]
    return "\n".join(line for fold, arm, result in judged for line in decided(f"{fold}, {arm}", result, PASSED))
