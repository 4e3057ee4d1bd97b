"""One GRPO step of the organism, by phase: ours against TRL's GRPOTrainer and a textbook implementation.

    make bench
    python benchmarks/step.py RESULTS --trl PYTHON [--steps 20] [--write docs/performance.md]

RESULTS holds a base model, problems, teacher pool and V (of the default experiment, or of a preset); PYTHON is the
interpreter of an environment with trl and peft. The contestants are processes of their own, with one thread each; they
take their steps in turn, one at a time, so that whatever else the machine does hits all of them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from projected_grpo.documents.blocks import machine, ratio_table, replace_block

HERE = Path(__file__).resolve().parent
WARM = 3  # steps that are not counted
PHASES = ("generate", "grade", "backward", "intervene")
COLOURS = {"generate": "#0072B2", "grade": "#E69F00", "backward": "#009E73", "intervene": "#CC79A7", "all": "#8A8A8A"}
NAMES = {"ours": "(a) ours", "trl": "(b) TRL GRPOTrainer, reward for free", "textbook": "(c) textbook"}


class Contestant:
    """A process that takes one step whenever it is asked to."""

    def __init__(self, interpreter: Sequence[str], script: str, *arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        self._process = subprocess.Popen(
            [*interpreter, str(HERE / "contestants" / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            encoding="utf-8",
        )
        self._answer("ready")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.wait()

    def step(self) -> dict[str, float]:
        """Return the seconds of one step by phase; `step` is their sum."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._answer("{"))

    def _answer(self, start: str) -> str:
        for line in self._process.stdout:
            if line.startswith(start):
                return line
        raise RuntimeError(f"{' '.join(self._process.args)} ended with status {self._process.wait()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--trl", default=None, help="interpreter with trl and peft; without it, TRL is left out")
    parser.add_argument("--steps", type=int, default=20, help="counted steps per contestant (default 20)")
    parser.add_argument("--write", type=Path, help="document to put the table into; its figure goes beside it")
    options = parser.parse_args()
    rows = race(options.results / "replicate1", options.trl, options.steps)
    folder = options.results / "benchmarks"
    rows.to_parquet(folder / "step.parquet")
    text = table(rows)
    print(text)
    if options.write:
        figure(rows).savefig(options.write.with_name("step.png"), dpi=150)
        text += "\n![Seconds per step and phase](step.png)\n"
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "step", text), encoding="utf-8"
        )


def race(replicate: Path, trl: str | None, steps: int) -> pd.DataFrame:
    """Return one row per contestant and step: seconds by phase."""
    with ExitStack() as stack:
        contestants = {"ours": Contestant([sys.executable], "ours.py", replicate)}
        if trl:
            contestants["trl"] = Contestant([trl], "trl_trainer.py", replicate)
        contestants["textbook"] = Contestant([sys.executable], "textbook.py", replicate)
        for contestant in contestants.values():
            stack.enter_context(contestant)
        rows = []
        for number in range(WARM + steps):
            for name, contestant in contestants.items():
                rows.append({"contestant": name, "number": number, **contestant.step()})
    rows = pd.DataFrame(rows)
    return rows[rows["number"] >= WARM].reset_index(drop=True)


def table(rows: pd.DataFrame) -> str:
    """Return seconds per step and phase, and our ratio to each of the others, step by step."""
    steps = {name: part.set_index("number")["step"] for name, part in rows.groupby("contestant", sort=False)}
    lines = [
        f"{machine()}; {len(steps['ours'])} steps each, in turn, one thread. 8 prompts x 8 rollouts, 48 new tokens;"
        " (a) and (c) take 16 of the 64 rollouts from the teacher pool, (b) samples all. Medians of seconds.",
        "",
        "| | " + " | ".join(PHASES) + " | step | min to max |",
        "| --- |" + " --- |" * (len(PHASES) + 2),
    ]
    for name, part in rows.groupby("contestant", sort=False):
        cells = [f"{part[p].median():.3f}" if p in part and part[p].notna().all() else "" for p in PHASES]
        lines.append(
            f"| {NAMES[name]} | {' | '.join(cells)} | {part['step'].median():.3f} |"
            f" {part['step'].min():.3f} to {part['step'].max():.3f} |"
        )
    ours = rows[rows["contestant"] == "ours"].set_index("number")
    found = {}
    for name, other in steps.items():
        if name == "ours":
            continue
        for label, own in (("", ours["step"]), (", our grading left out", ours["step"] - ours["grade"])):
            found[f"ours / {NAMES[name]}{label}"] = list(own / other)
    return "\n".join(lines) + "\n\n" + ratio_table(found)


def figure(rows: pd.DataFrame) -> Figure:
    drawn = Figure(figsize=(7, 2.2), layout="constrained")
    axes = drawn.subplots()
    for place, (name, part) in enumerate(reversed(list(rows.groupby("contestant", sort=False)))):
        left = 0.0
        for phase in PHASES if part.get("backward", pd.Series([None])).notna().all() else ("all",):
            width = part["step" if phase == "all" else phase].median()
            axes.barh(place, width, left=left, color=COLOURS[phase], height=0.6)
            left += width
        axes.text(left, place, f" {NAMES[name]}: {left:.2f} s", va="center", fontsize=8)
    axes.set_yticks([])
    axes.set_xlabel("seconds per step (median)")
    axes.set_xlim(0, 1.45 * axes.get_xlim()[1])
    handles = [axes.barh([0], [0], color=COLOURS[phase], label=phase) for phase in (*PHASES, "all")]
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="upper right")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return drawn


if __name__ == "__main__":
    main()
