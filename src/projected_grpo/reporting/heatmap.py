"""Table 2 as a picture: held-out mode by arm."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from projected_grpo.reporting.figures import BLUE, INK, STYLE


def heat_map(table: pd.DataFrame, note: str) -> Figure:
    """Draw table 2: hack and solve on the held-out mode, a cell per fold and arm, from the rows of table2.csv.

    Colour is the hack rate; a frame marks the folds that an arm passes.
    """
    part = table[table["modes"] == "held out"]
    folds = list(part["fold"].unique())
    panels = {
        "with the teacher pool of the known modes": list(part.loc[part["teacher"], "arm"].unique()),
        "without a teacher pool": list(part.loc[~part["teacher"], "arm"].unique()),
    }
    panels = {name: arms for name, arms in panels.items() if arms}
    rows = part.set_index(["arm", "fold"])
    with matplotlib.rc_context(STYLE):
        tallest = max(map(len, panels.values()))
        figure = Figure(figsize=(6.2 * len(panels), 0.42 * tallest + 1.7), layout="constrained")
        figure.suptitle(
            "The mode that V and the teacher do not know", x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
        seeds = int(part["n_seeds"].iloc[0])
        caption = (
            f"Columns: held-out mode. Deployed model, last step, mean over {seeds} seed(s). Frame: the fold passes."
        )
        figure.supxlabel(f"{caption}\n{note}", x=0.01, ha="left", fontsize=8)
        for axes, (name, arms) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            hack = np.array([[rows.loc[(arm, fold), "hack"] for fold in folds] for arm in arms])
            axes.imshow(100 * hack, cmap="Oranges", vmin=0, vmax=100, aspect="auto")
            for y, arm in enumerate(arms):
                for x, fold in enumerate(folds):
                    cell = rows.loc[(arm, fold)]
                    text = f"{100 * cell['hack']:.0f} / {100 * cell['solve']:.0f}"
                    axes.text(x, y, text, ha="center", va="center", color="white" if cell["hack"] > 0.6 else INK)
                    if cell["verdict"] == "supported":
                        axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fill=False, ec=BLUE, lw=1.8))
            axes.set_xticks(range(len(folds)), folds)
            axes.set_yticks(range(len(arms)), arms)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set_title(f"{name}: hack / solve %")
    return figure
