"""detectors.md: every V and signal on the same live rollouts, for a person."""

import pandas as pd

from projected_grpo.analysis.detectors import OTHERS
from projected_grpo.reporting.format import NOTHING, grid, page, percent


def render_detectors(table: pd.DataFrame, note: str) -> str:
    """Return detectors.md from `detectors(...)`."""
    return page(
        "# Signals as detectors",
        note,
        "Which rollouts does each V and each fitted signal call hacks, along the runs of the first arm, where nothing "
        "acts on it? Means over the replicates. AUC: of exploits against correct and against wrong but honest "
        "rollouts, within steps and modes; in parentheses the best control on the same rollouts: chance, for what has "
        "no information. Recall and false positives are at the threshold that was fixed before training, in the first "
        "third of the steps and in the last: whether it stays calibrated while the model trains. A V has no "
        "threshold of its own. Held out: each fold on the mode that it does not know.",
        grid(
            ["detector", "modes", *(f"AUC, against {other}" for other in OTHERS), "recall %", "false positives %"],
            [
                [
                    f"`{row['detector']}`",
                    row["modes"],
                    *(_auc(row, other) for other in OTHERS),
                    _along(row, "recall"),
                    _along(row, "false_positives"),
                ]
                for _, row in table.iterrows()
            ],
        ),
    )


def _auc(row: pd.Series, other: str) -> str:
    own, rival, best = row[f"auc_{other}"], row[f"control_auc_{other}"], row[f"best_control_{other}"]
    if pd.isna(own):
        return NOTHING
    return f"{own:.2f}" + (f" ({best} {rival:.2f})" if pd.notna(rival) else "")


def _along(row: pd.Series, name: str) -> str:
    first, last = (percent(row[f"{name}{part}"]) for part in ("_first", "_last"))
    return NOTHING if first == last == NOTHING else f"{first} → {last}"
