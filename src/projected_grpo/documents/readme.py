"""Put the numbers of a run into the README: `python -m projected_grpo.documents.readme results`.

Copies table1.csv, table1.md, h1.json and the figures into docs/results/, and rewrites the README between its markers
from these copies, so that no number in it is typed by hand. A test compares the two.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from projected_grpo.artifacts.io import read_table
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.documents.blocks import copy_results, replace_block
from projected_grpo.reporting import table1

FILES = ("table1.csv", "table1.md", "h1.json")
FIGURES = ("hack_against_solve.png", "training_curves.png", "overlap.png")


def block(folder: Path) -> str:
    """Return the README's results section for the copies in `folder` (docs/results)."""
    table = pd.read_csv(folder / "table1.csv")
    verdicts = json.loads((folder / "h1.json").read_text())
    source = json.loads((folder / "source.json").read_text())
    return "\n".join(
        [
            f"Held-out problems, mean over {verdicts['n_seeds']} seeds, {table['last_step'].iloc[0]} steps, deployed"
            f" model. The base model, at step 0, solved {100 * source['base']['solve']:.1f}% and hacked"
            f" {100 * source['base']['hack']:.1f}%.",
            "",
            table1.headline(table),
            "",
            _verdicts(verdicts),
            "",
            "![Hack rate against solve rate along training](docs/results/hack_against_solve.png)",
            "",
        ]
    )


def _verdicts(verdicts: Mapping) -> str:
    parts = [
        f"{arm}: H1 **{table1.said(claim['H1'])}**, H1s **{table1.said(claim['H1s'])}**"
        for arm, claim in verdicts["claims"].items()
    ]
    return (
        "Verdicts, with the clauses that decided them in [table1.md](docs/results/table1.md): " + "; ".join(parts) + "."
    )


def base_rates(results: Path, config: Mapping) -> dict[str, float]:
    """Return hack and solve of the base model: step 0 on the fixed subset, mean over the seeds of a table's first arm.

    `config` is the one in the verdicts' provenance.
    """
    first = next(iter(config["arms"]))
    runs = [results / "runs" / first / f"seed{seed}" / "evaluation.parquet" for seed in config["seeds"]]
    rows = pd.concat([read_table(path, EVALUATION) for path in runs])
    start = rows[rows["step"] == 0]
    return {"hack": float(start["exploited"].mean()), "solve": float(start["correct"].mean())}


def main(results: Path, root: Path) -> None:
    folder = root / "docs" / "results"
    copy_results(results, folder, FILES, FIGURES)
    verdicts = json.loads((folder / "h1.json").read_text())
    rates = base_rates(results, verdicts["provenance"]["config"])
    (folder / "source.json").write_text(json.dumps({"base": rates}, indent=1) + "\n")
    readme = root / "README.md"
    readme.write_text(replace_block(readme.read_text(), "results", block(folder)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m projected_grpo.documents.readme RESULTS, in the repository's root")
    main(Path(sys.argv[1]), Path.cwd())
