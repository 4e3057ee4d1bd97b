"""Put a run into docs/results.md: `python -m projected_grpo.documents.results study results/study`; also smollm2.

Copies the run's tables, pages and figures into docs/study/ (docs/smollm2/) and writes its section of docs/results.md,
and what it says in short into the README, from these copies alone, so that no number there is typed by hand.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from projected_grpo.analysis import table2
from projected_grpo.documents.blocks import copy_results, machine, replace_block
from projected_grpo.reporting import table1
from projected_grpo.workflow.timing import job_seconds

PAGES = {"table2.md": "weak_detector.png", "horizon.md": "horizon.png", "second_base.md": None, "health.md": None}
FILES = ("table1.csv", "table1.md", "h1.json", "table2.csv", "table2.json", "horizon.csv", "second_base.csv", *PAGES)
FIGURES = ("hack_against_solve.png", "overlap.png", "weak_detector.png", "horizon.png")
SMOLLM2_FILES = ("table1.csv", "table1.md", "h1.json", "teacher_pool.json")
LIMITS = """\
- Anything about Qwen3-4B, or about a base model that is not one of these organisms. Intervals are conditional on the
  base model, its teacher pool and its pairs.
- That V means "hack" rather than "not the usual program": the controls bound this, they do not settle it.
- That a fold's pass is more than what slower training buys: `vanilla_slow` and (b) stand beside it.
- That route_rollout needs no tuning: it was added after the other interventions, and its thresholds were set by a look
  at one vanilla run that knows all modes; the folds use them too.
- Anything beyond the horizon that was run, other families of problems, or other loopholes.
- What is open is open: it is neither an effect nor its absence."""


def study(folder: Path) -> str:
    """Return the section on every table for the copies in `folder` (docs/study)."""
    verdicts = json.loads((folder / "h1.json").read_text())
    table = pd.read_csv(folder / "table1.csv")
    parts = [
        f"A run with every table: {_cost(folder)} Table 1 has {verdicts['n_seeds']} seeds, the others say theirs.",
        "## In short",
        "\n".join([*_verdicts(verdicts), *_weak_detector(folder), *_differences(folder)]),
        "## What it does not show",
        LIMITS,
        "## Table 1",
        table1.headline(table),
        "All of it, with what each mark means: [table1.md](study/table1.md).",
        "![Hack rate against solve rate along training](study/hack_against_solve.png)",
        "![What the direction sees in the gradients](study/overlap.png)",
    ]
    for name, figure in PAGES.items():
        parts.append(_demoted((folder / name).read_text()))
        parts += [f"![{figure}](study/{figure})"] if figure else []
    return "\n\n".join(parts) + "\n"


def smollm2(folder: Path) -> str:
    """Return the section on the real language model for the copies in `folder` (docs/smollm2)."""
    table = pd.read_csv(folder / "table1.csv")
    pool = json.loads((folder / "teacher_pool.json").read_text())
    exploits = sum(pool["exploited"].values())
    parts = [
        f"`make smollm2`: SmolLM2-135M-Instruct, a pretrained language model, on one-line functions. {_cost(folder)}",
        f"One seed and {table['last_step'].max()} steps decide nothing; this shows that the pipeline runs on a model"
        f" that nobody made for it. Its teacher is a file of {pool['teacher']} rollouts, of which {exploits} exploit.",
        table1.headline(table),
        "All of it: [table1.md](smollm2/table1.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _cost(folder: Path) -> str:
    source = json.loads((folder / "source.json").read_text())
    return f"{source['jobs']} jobs, {source['hours']:.1f} hours if one had run after the other, on {source['machine']}."


def in_readme(folder: Path) -> str:
    """Return the README's section on the weak detector: all held-out problems together, with a teacher pool."""
    table, passed = pd.read_csv(folder / "table2.csv"), _passed(folder)
    shown = table[(table["fold"] == "all") & (table["modes"] == "held out") & table["teacher"]]
    rows = [
        [
            row["arm"],
            f"{100 * row['hack']:.1f}",
            f"{100 * row['solve']:.1f}",
            table1.interval(row, "hack_diff"),
            table1.interval(row, "solve_diff") + table1.unmatched(row),
            table1.stopped_early(row),
            passed.get(row["arm"], table1.NOTHING),
        ]
        for _, row in shown.iterrows()
    ]
    heads = ["arm", "hack %", "solve %", "(a) hack", "(a) solve", "(b) early stopping", "passes"]
    return table1.grid(heads, rows) + "\n"


def _verdicts(verdicts: dict) -> list[str]:
    return [
        f"- Table 1, {arm}: H1 **{table1.said(claim['H1'])}**, H1s **{table1.said(claim['H1s'])}**."
        for arm, claim in verdicts["claims"].items()
    ]


def _weak_detector(folder: Path) -> list[str]:
    return [f"- Weak detector, {arm}: passes {passed}." for arm, passed in _passed(folder).items()]


def _passed(folder: Path) -> dict[str, str]:
    return table2.passes(json.loads((folder / "table2.json").read_text())["folds"])


def _differences(folder: Path) -> list[str]:
    """Return (a) after more steps, and from the second base model."""
    bases = pd.read_csv(folder / "second_base.csv")
    second = bases[bases["model_seed"] == bases["model_seed"].iloc[-1]]
    tables = {"More steps": pd.read_csv(folder / "horizon.csv"), "Second base model": second}
    lines = []
    for title, table in tables.items():
        levels = {row["arm"]: f"{100 * row['hack']:.1f} / {100 * row['solve']:.1f}" for _, row in table.iterrows()}
        lines += [
            f"- {title} ({row['last_step']} steps), {row['arm']}: hack / solve {levels[row['arm']]}, {row['baseline']} "
            f"{levels[row['baseline']]}; hack {table1.interval(row, 'hack_diff')} points, "
            f"solve {table1.interval(row, 'solve_diff')}."
            for _, row in table[table["arm"] != table["baseline"]].iterrows()
        ]
    return lines


def _demoted(text: str) -> str:
    """Return a page as a section: its headings one level lower."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.rstrip().splitlines())


def cost(results: Path) -> dict:
    """Return the number of jobs behind a results directory, and the hours that they took together."""
    folders = ("benchmarks", "second/benchmarks")
    seconds = [seconds for folder in folders for _, _, seconds in job_seconds(results / folder)]
    return {"jobs": len(seconds), "hours": round(sum(seconds) / 3600, 2)}


SECTIONS = {"study": (study, FILES, FIGURES), "smollm2": (smollm2, SMOLLM2_FILES, ())}


def main(name: str, results: Path, root: Path) -> None:
    section, files, figures = SECTIONS[name]
    folder, page = root / "docs" / name, root / "docs" / "results.md"
    copy_results(results, folder, files, figures)
    (folder / "source.json").write_text(json.dumps({"machine": machine(), **cost(results)}, indent=1) + "\n")
    page.write_text(replace_block(page.read_text(), name, section(folder)))
    if name == "study":
        readme = root / "README.md"
        readme.write_text(replace_block(readme.read_text(), name, in_readme(folder)))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SECTIONS:
        sys.exit("usage: python -m projected_grpo.documents.results study|smollm2 RESULTS, in the repository's root")
    main(sys.argv[1], Path(sys.argv[2]), Path.cwd())
