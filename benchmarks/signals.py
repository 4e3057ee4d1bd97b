"""What a signal costs: a GRPO step of the organism whose flagged rollouts are dropped, beside vanilla's.

    make bench
    python benchmarks/signals.py RESULTS [--steps 20] [--write docs/performance.md]

RESULTS holds a base model, problems, teacher pool, V and the fitted signals of SIGNALS (of the default experiment). All
are processes of their own, with one thread, and take their steps in turn.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from step import WARM, Contestant

from projected_grpo.documents.blocks import machine, ratio_table, replace_block

SIGNALS = ("probe", "activation", "overlap", "fingerprint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--steps", type=int, default=20, help="counted steps of each (default 20)")
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    seconds = race(options.results / "replicate1", options.steps)
    text = f"{machine()}; {options.steps} steps each, in turn, one thread.\n\n" + ratio_table(
        {
            f"{name} x drop / vanilla": [a / b for a, b in zip(seconds[name], seconds["vanilla"], strict=True)]
            for name in SIGNALS
        }
    )
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(replace_block(page, "signals", text), encoding="utf-8")


def race(replicate: Path, steps: int) -> dict[str, list[float]]:
    """Return the seconds of every counted step."""
    seconds: dict[str, list[float]] = {name: [] for name in ("vanilla", *SIGNALS)}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Contestant([sys.executable], "ours.py", replicate, name)) for name in seconds
        }
        for number in range(WARM + steps):
            for name, contestant in running.items():
                taken = contestant.step()["step"]
                if number >= WARM:
                    seconds[name].append(taken)
    return seconds


if __name__ == "__main__":
    main()
