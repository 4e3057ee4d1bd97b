"""Put a run into docs/results.md: `python -m projected_grpo.results_page study results/study`; also smollm2.

Copies the run's tables, pages and figures into docs/study/ (docs/smollm2/) and writes its section of docs/results.md
from these copies alone, so that no number there is typed by hand.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from projected_grpo import markdown
from projected_grpo.documents import copy_results, job_seconds, machine, replace_block

PAGES = {"table2.md": "weak_detector.png", "horizon.md": "horizon.png", "second_base.md": None, "health.md": None}
FILES = ("table1.csv", "table1.md", "h1.json", "table2.csv", "table2.json", "horizon.csv", "second_base.csv", *PAGES)
FIGURES = ("hack_against_solve.png", "overlap.png", "weak_detector.png", "horizon.png")
SMOLLM2_FILES = ("table1.csv", "table1.md", "h1.json", "teacher_pool.json")
LIMITS = """\
- Anything about Qwen3-4B, or about a base model that is not one of these organisms. Intervals are conditional on the
  base model, its teacher pool and its pairs.
- That V means "hack" rather than "not the usual program": the controls bound this, they do not settle it.
- Anything beyond the horizon that was run, other families of problems, or other loopholes.
- What is open is open: it is neither an effect nor its absence."""


def study(folder: Path) -> str:
    """Return the section on every table for the copies in `folder` (docs/study)."""
    verdicts = json.loads((folder / "h1.json").read_text())
    table = pd.read_csv(folder / "table1.csv")
    parts = [
        f"A run with every table: {_cost(folder)} Table 1 has {verdicts['n_seeds']} seeds, the others say theirs.",
        "## In short",
        _short(folder, verdicts),
        "## What it does not show",
        LIMITS,
        "## Table 1",
        markdown.headline(table),
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
        markdown.headline(table),
        "All of it: [table1.md](smollm2/table1.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _cost(folder: Path) -> str:
    source = json.loads((folder / "source.json").read_text())
    return f"{source['jobs']} jobs, {source['hours']:.1f} hours if one had run after the other, on {source['machine']}."


def _short(folder: Path, verdicts: dict) -> str:
    """Return the verdicts alone, as they were computed."""
    lines = [
        f"- Table 1, {arm}: H1 **{claim['H1']['verdict']}**, H1s **{claim['H1s']['verdict']}**."
        for arm, claim in verdicts["claims"].items()
    ]
    folds = json.loads((folder / "table2.json").read_text())["folds"]
    single = [fold for fold in folds if fold != "all"]
    for arm, together in folds["all"].items():
        passed = sum(folds[fold][arm]["verdict"] == "supported" for fold in single)
        lines.append(
            f"- Weak detector, {arm}: passes {passed} of {len(single)} held-out modes; all held-out problems "
            f"together **{together['verdict']}**."
        )
    return "\n".join(lines)


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


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SECTIONS:
        sys.exit("usage: python -m projected_grpo.results_page study|smollm2 RESULTS, in the repository's root")
    main(sys.argv[1], Path(sys.argv[2]), Path.cwd())
