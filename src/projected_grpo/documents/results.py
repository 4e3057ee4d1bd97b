"""Put a run into the documents: `python -m projected_grpo.documents.results run RESULTS [PRESET]`; or confirmation,
tuning, smollm2 and RESULTS.

PRESET made the run; without one it is the default experiment. Copies tables, pages and figures into docs/run/
(docs/confirmation/, docs/tuning/, docs/smollm2/), the rows behind the first two into docs/rows/ and
docs/confirmation_rows/ (rows.py), and writes the sections of docs/results.md, of docs/threats.md and of the README
from these copies alone, so that no number there is typed by hand. A test compares them. What was preregistered
(registered.py) names the commit that made it; the study has its preregistration among the copies, as it was then.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from projected_grpo.configs import merged
from projected_grpo.documents import readme
from projected_grpo.documents.answers import answers
from projected_grpo.documents.blocks import copy_results, replace_block
from projected_grpo.documents.confirmation import asked_again
from projected_grpo.documents.phrases import first_table, with_rates
from projected_grpo.documents.registered import (
    CONFIRMATION,
    PAGE,
    REGISTERED,
    STUDY,
    page_at,
    registered_commit,
    unseen_replicates,
)
from projected_grpo.documents.rows import machines, pack
from projected_grpo.documents.runs import REPLICATES, by_replicate
from projected_grpo.documents.sentences import UNSEEN, details
from projected_grpo.documents.threats import every_threat
from projected_grpo.documents.unseen import unseen
from projected_grpo.errors import UserError
from projected_grpo.reporting.format import percent
from projected_grpo.reporting.titles import FIGURES
from projected_grpo.workflow.timing import job_seconds

PAGES = {
    "table1.md": "Does an intervention lower the hack rate, specifically, at matched solve? Every arm, the verdicts H1,"
    " H1s and H2 with the clauses that decided them, and the threats that this table decides.",
    "table2.md": "Does V, made from the other loopholes, stop the one that it does not know?",
    "table3.md": "Which signal with which action prevents hacks that nothing told of? Every arm, with what it"
    " knows, the clauses that decided, and its threats.",
    "detectors.md": "What does every signal see of the same live rollouts, and does it stay calibrated?",
    "table4.md": "What does each setting of an intervention do? One factor at a time.",
    "relearning.md": "Does what was learned last, once the intervention is gone?",
    "horizon.md": "Is hacking prevented, or only delayed? Three times the steps.",
    "checks.md": "Every check that could undo the result; of a run with table 2, whether its held-out loophole falls.",
}
RUN_FILES = (
    "table2.csv",
    "table2.json",
    "table3.csv",
    "table3.json",
    "detectors.csv",
    "table4.csv",
    "horizon.csv",
    "horizon.json",
    "relearning.csv",
    *PAGES,
    *(f"figures/{name}.png" for name in FIGURES),
)


def run(folder: Path) -> str:
    """Return the section on a whole run for the copies in `folder` (docs/run): what each page that it made answers."""
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    links = [f"| [{name}](run/{name}) | {question} |" for name, question in PAGES.items() if (folder / name).exists()]
    pictures = [_picture(folder, name) for name in FIGURES if (folder / f"{name}.png").exists()]
    return "\n".join(
        [
            f"This is {source['run']}, run whole ({_sizes(folder)}): {_cost(source)}{_registered(source)}",
            "",
            *[f"{n}. {sentence}" for n, sentence in enumerate(answers(folder), 1)],
            "",
            "In detail:",
            "",
            *[f"- {sentence}" for sentence in details(folder)],
            "",
            "| page | what it answers |",
            "| --- | --- |",
            *links,
            "",
            "The tables' numbers stand unrounded in the CSV and JSON files beside the pages.",
            "",
            *[line for picture in pictures for line in (picture, "")],
        ]
    )


def smollm2(folder: Path) -> str:
    """Return the section on the real language model for the copies in `folder` (docs/smollm2)."""
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    pool = json.loads((folder / "teacher_pool.json").read_text(encoding="utf-8"))
    exploits = sum(pool["exploited"].values())
    table = first_table(folder)
    hacks = "" if table["hack"].any() else " No answer hacks at the last step: nothing was to prevent."
    return (
        f"`make smollm2` trains SmolLM2-135M-Instruct, a pretrained language model, on one-line functions:"
        f" {_cost(source)} Its teacher is a file of {pool['teacher']} rollouts, of which {exploits} exploit. After"
        f" {table['last_step'].max()} steps {with_rates(table, table.index)}.{hacks} One replicate and so few steps"
        " decide nothing; they show that the pipeline runs on a model that nobody made for it:"
        " [table1.md](smollm2/table1.md).\n"
    )


def confirmation(folder: Path) -> str:
    """Return the section on the confirmation for the copies in `folder` (docs/confirmation)."""
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            *asked_again(folder),
            "",
            f"[table3.md](confirmation/table3.md) has the clauses. It took {_cost(source)}",
            "",
            _picture(folder, "signal_plane"),
            "",
        ]
    )


def tuning(folder: Path) -> str:
    """Return the section on the choice of doses for the copies in `folder` (docs/tuning)."""
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    table = pd.read_csv(folder / "doses.csv")
    baseline = table.iloc[0]
    return (
        f"`presets/tuning.yaml` compared {len(table)} doses of {table['family'].nunique()} arms and controls, on"
        f" {baseline['n_replicates']} replicates and held-out problems of its own, with every loophole known:"
        f" {_cost(source)} There `{baseline['baseline']}` hacks {percent(baseline['baseline_hack'])}% and solves"
        f" {percent(baseline['baseline_solve'])}%. What the rule chose for an intervention stands in `config.yaml`,"
        " there under the arm's own name, without a dose's number; slow, cold and KL training keep several doses, each"
        " under a name of its own. [doses.md](tuning/doses.md) has the rule and every dose.\n\n"
        f"{_picture(folder, 'doses')}\n"
    )


def _picture(folder: Path, figure: str) -> str:
    """Return a figure of docs/`folder` under its title, for docs/results.md."""
    _, title = FIGURES[figure]
    return f"![{title}]({folder.name}/{figure}.png)"


def _cost(source: dict) -> str:
    return f"{source['jobs']} jobs, {source['hours']:.1f} hours summed over jobs, on {source['machine']}."


def _sizes(folder: Path) -> str:
    """Return which tables there are, each with its number of replicates."""
    tables = {
        name: folder / f"{name}.csv" for name in ("table1", "table2", "table3", "table4", "horizon", "relearning")
    }
    found = {name: pd.read_csv(path)["n_replicates"].iloc[0] for name, path in tables.items() if path.exists()}
    return ", ".join(f"{name}: {n} replicates" for name, n in found.items())


def _registered(source: dict) -> str:
    if "commit" not in source:
        return " It is exploratory: its replicates were seen while the rules were written."
    return (
        f" Its tables are of commit {source['commit'][:12]}, whose code trained every run, after its"
        f" [preregistration]({Path(PAGE).name})."
    )


def cost(results: Path) -> dict:
    """Return the number of jobs behind a results directory, and the hours that they took together."""
    seconds = [seconds for _, _, seconds in job_seconds(results / "benchmarks")]
    return {"jobs": len(seconds), "hours": round(sum(seconds) / 3600, 2)}


def run_of(results: Path, preset: str | None, root: Path) -> str:
    """Return what made a results directory, in words: a preset, or else the default experiment. A RunError says that
    its table 1 has another number of replicates than that."""
    said, table = len(_settings(root, preset)["replicates"]), results / "table1.csv"
    found = pd.read_csv(table)["n_replicates"].iloc[0]
    if found != said:
        name = Path(preset or "config.yaml").name
        raise RunError(f"{table} has {found} replicates, {name} {said}: say which preset made it")
    if preset:
        return f"`{preset}`"
    tables = [f"table {n}" for n in (1, 2, 3, 4) if (results / f"table{n}.csv").exists()]
    return f"the default experiment's {' and '.join(tables)}"


def _settings(root: Path, preset: str | None) -> dict:
    return merged([root / "config.yaml", *([root / preset] if preset else [])])


def _pack_anew(results: Path, rows: Path, replicates: Sequence[int]) -> None:
    """Replace the archives by those of a run's replicates; where one cannot be packed, the old ones stay."""
    with tempfile.TemporaryDirectory(dir=rows.parent) as made:
        pack(results, Path(made) / rows.name, replicates)
        shutil.rmtree(rows, ignore_errors=True)
        (Path(made) / rows.name).rename(rows)


class RunError(UserError, ValueError):
    """Results that were not made by what is said; one line."""


ROWS = {"run": "rows", "confirmation": "confirmation_rows"}  # of which runs the rows are kept, and where in docs/
SECTIONS = {  # the section, the files below a results directory that it needs, and those that it takes where they are
    "run": (run, ("table1.csv", "table1.md", "h1.json", "figures/hack_against_solve.png"), RUN_FILES),
    "confirmation": (confirmation, ("table3.csv", "table3.json", "table3.md", "figures/signal_plane.png"), ()),
    "tuning": (tuning, ("doses.csv", "doses.md", "figures/doses.png"), ()),
    "smollm2": (smollm2, ("table1.csv", "table1.md", "h1.json", "replicate1/teacher_pool.json"), ()),
}


def write(name: str, root: Path) -> None:
    """Write the sections of the documents that come from the copies in docs/`name`."""
    section, _, _ = SECTIONS[name]
    page = root / "docs" / "results.md"
    page.write_text(
        replace_block(page.read_text(encoding="utf-8"), name, section(root / "docs" / name)), encoding="utf-8"
    )
    if name == "confirmation":  # of which the study's answers say, too
        write("run", root)
    if name == "run":
        front = root / "README.md"
        front.write_text(
            replace_block(front.read_text(encoding="utf-8"), "findings", readme.findings(root / "docs" / "run")),
            encoding="utf-8",
        )
        doubts = root / "docs" / "threats.md"
        doubts.write_text(
            replace_block(doubts.read_text(encoding="utf-8"), "threats", every_threat(root / "docs" / "run")),
            encoding="utf-8",
        )


def main(name: str, results: Path, preset: str | None, root: Path) -> None:
    folder = root / "docs" / name
    _, needed, more = SECTIONS[name]
    if missing := [file for file in needed if not (results / file).is_file()]:
        raise RunError(f"{results} lacks {', '.join(missing)}: say the results directory of a whole run for {name!r}")
    if preset:  # however it is written
        preset = Path(os.path.relpath((root / preset).resolve(), root.resolve())).as_posix()
    source = {"run": run_of(results, preset, root)} if name == "run" else {}
    if name == "confirmation":
        preset = CONFIRMATION
    commit = registered_commit(results, preset) if preset in REGISTERED else None
    page = page_at(results, commit) if preset == STUDY else None
    if name in ROWS:  # before anything is replaced: it refuses an unfinished replicate
        _pack_anew(results, root / "docs" / ROWS[name], _settings(root, preset)["replicates"])
    copy_results(results, folder, (*needed, *more))
    source |= {"machine": " and ".join(machines(results)), **cost(results)}
    if commit:
        source["commit"] = commit
    if page:
        (folder / Path(PAGE).name).write_text(page, encoding="utf-8")
        alone = unseen(results, unseen_replicates(results, STUDY))
        (folder / UNSEEN).write_text(json.dumps(alone, indent=1) + "\n", encoding="utf-8")
    if name == "confirmation":
        (folder / REPLICATES).write_text(json.dumps(by_replicate(results), indent=1) + "\n", encoding="utf-8")
    (folder / "source.json").write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")
    write(name, root)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SECTIONS:
        sys.exit(f"usage, in the repository's root: {sys.argv[0]} {'|'.join(SECTIONS)} RESULTS [PRESET]")
    try:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) == 4 else None, Path.cwd())
    except UserError as error:
        sys.exit(f"error: {error}")
