"""The portable arithmetic: what a training step costs in it, and whether two makers' processors give the same bytes.

    make portable
    python benchmarks/portable.py RESULTS [--steps 20] [--emulated 3] [--write docs/performance.md]

RESULTS holds the smoke preset's base model, problems, teacher pool and V.

Three processes take training steps of the smoke preset from its base model: in torch's own arithmetic, in the portable
one, and in the portable one under qemu-x86_64 (Debian's qemu-user) as a processor of the other maker. The first two
take their steps in turn; the emulated one takes the first few, at a small share of the speed.
"""

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from step import Contestant

from projected_grpo.documents.blocks import machine, ratio_table, replace_block
from projected_grpo.portable import VARIABLES

EMULATOR = "qemu-x86_64"
SCRIPT = "portable_steps.py"
WARM = 3  # steps whose times are not counted; their bytes are compared
PHASES = ("generate", "backward", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--steps", type=int, default=20, help="counted steps (default 20)")
    parser.add_argument("--emulated", type=int, default=3, help="steps under the emulator (default 3)")
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    for name in VARIABLES:
        os.environ.pop(name, None)
    rows = race(options.results / "replicate0", WARM + options.steps, options.emulated)
    text = table(rows)
    print(text)
    if options.write:
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "portable", text), encoding="utf-8"
        )
    sys.exit(0 if same_bytes(rows) is not False else "the emulated processor gave other bytes")


def race(replicate: Path, steps: int, emulated: int) -> pd.DataFrame:
    """Return one row per contestant and step: seconds by phase, and the hash of the knobs after it."""
    with ExitStack() as stack:
        contestants = {
            name: stack.enter_context(Contestant([sys.executable], SCRIPT, replicate, name, steps))
            for name in ("native", "portable")
        }
        if shutil.which(EMULATOR):
            command = [EMULATOR, "-cpu", other_maker(), sys.executable]
            contestants["emulated"] = stack.enter_context(Contestant(command, SCRIPT, replicate, "portable", steps))
        rows = []
        for number in range(steps):
            for name, contestant in contestants.items():
                if name != "emulated" or number < emulated:
                    rows.append({"contestant": name, "number": number, **contestant.step()})
    return pd.DataFrame(rows)


def other_maker() -> str:
    """Return the emulator's name for a processor by the maker that did not make this one."""
    return "EPYC" if "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8") else "Haswell"


def same_bytes(rows: pd.DataFrame) -> bool | None:
    """Return whether the emulated processor had the portable run's knobs after every step; None where none ran."""
    knobs = {name: part.set_index("number")["knobs"] for name, part in rows.groupby("contestant")}
    if "emulated" not in knobs:
        return None
    return bool((knobs["portable"][knobs["emulated"].index] == knobs["emulated"]).all())


def table(rows: pd.DataFrame) -> str:
    """Return the ratio of times by phase, and whose bytes are the same."""
    timed = rows[rows["number"] >= WARM]
    seconds = {name: part.set_index("number") for name, part in timed.groupby("contestant")}
    ratios = {
        f"portable / native, {phase}": list(seconds["portable"][phase] / seconds["native"][phase]) for phase in PHASES
    }
    found, count = same_bytes(rows), (rows["contestant"] == "emulated").sum()
    verdict = {True: "the same bytes", False: "OTHER BYTES", None: "not compared: qemu-x86_64 is not installed"}[found]
    return (
        f"{machine()}; {len(seconds['native'])} steps of the smoke preset each, in turn, one thread.\n\n"
        f"{ratio_table(ratios)}\n"
        f"Knobs after each of the first {count} steps, here and under `{EMULATOR} -cpu {other_maker()}`: {verdict}.\n"
    )


if __name__ == "__main__":
    main()
