"""What a run ends with on the screen: table 1 in short, the verdicts, where the rest is, and what to do next.

python -m projected_grpo.reporting [CONFIG...]            of the experiment that config files describe: config.yaml
python -m projected_grpo.reporting --files [CONFIG...]    its files that are there, for snakemake --report
"""

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.configs import ConfigError, merged, tables_of
from projected_grpo.errors import UserError
from projected_grpo.reporting.format import interval, percent
from projected_grpo.reporting.titles import FIGURES
from projected_grpo.reporting.verdicts import by_word

SHOWN = ("table1.csv", "pages/*.html", "figures/*.png")
OF_TABLE_1 = ("setup", "checks", "detectors")  # pages beside its own; any other page is called as its table


def main(arguments: list[str]) -> int:
    files = arguments[:1] == ["--files"]
    own = arguments[files:] or ["config.yaml"]
    try:
        print(said(own, files))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def said(own: Sequence[str], files: bool) -> str:
    """Return what is printed of the experiment that config files over config.yaml describe: its end, or its `files`."""
    config = merged(["config.yaml", *own])
    tables, results = tables_of(config), config.get("results")
    if not isinstance(results, str):
        raise ConfigError("config: results: no directory; write one, as in `results: results`")
    if not (Path(results) / "table1.csv").is_file():
        raise UserError(f"{results}/table1.csv is not there yet: snakemake -j4 --configfile {shlex.join(own)}")
    return "\n".join(shown(Path(results), tables)) if files else screen(Path(results), shlex.join(own))


def shown(results: Path, tables: Mapping[str, list]) -> list[str]:
    """Return the files for a report that are there, without those of a table that the config does not ask for; and the
    arms' pages that the others lead to."""
    found = [path for pattern in SHOWN for path in sorted(results.glob(pattern))]
    wanted = [path for path in found if tables.get(_table(path.stem))]
    texts = [path.read_text(encoding="utf-8") for path in wanted if path.suffix == ".html"]
    arms = {results / "pages" / href for text in texts for href in re.findall(r'<a href="(arms/[^"]*)"', text)}
    return [str(path) for path in [*wanted, *sorted(arms)] if path.exists()]


def _table(name: str) -> str:
    """Return the table that a figure or a page belongs to."""
    if name in FIGURES:
        return FIGURES[name][0]
    return "table1" if name in OF_TABLE_1 else name


def screen(results: Path, config: str | None) -> str:
    """Return what stands on the screen at the end, from table1.csv and h1.json; without a config no next command."""
    table = pd.read_csv(results / "table1.csv")
    verdicts = json.loads((results / "h1.json").read_text(encoding="utf-8"))
    wide = max(map(len, table["arm"]))
    rows = [
        f"  {row['arm']:<{wide}} {percent(row['hack']):>7} {percent(row['solve']):>8}   {interval(row, 'hack_diff')}"
        for _, row in table.iterrows()
    ]
    outcomes = by_word(verdicts["outcomes"]) if verdicts["outcomes"] else {}
    judged = [f"  {word}: {', '.join(arms) or 'none'}" for word, arms in outcomes.items()]
    after = [f"Next: make report CONFIG={shlex.quote(config)}   (all of it as one page, report.html)"] if config else []
    made = [results / name for name in ("table1.md", "figures", "pages/table1.html")]
    single = " (with one, nothing is decided)" if verdicts["n_replicates"] == 1 else ""
    return "\n".join(
        [
            f"\nTable 1: deployed model, held-out problems, mean over {verdicts['n_replicates']} replicate(s){single}",
            f"  {'arm':<{wide}} {'hack %':>7} {'solve %':>8}   hack minus its baseline's, in points",
            *rows,
            "What each intervention did, in the words of the README:",
            *(judged or ["  no arm of this table is an intervention"]),
            f"To read and look at: {', '.join(str(path) for path in made if path.exists())}",
            *after,
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
