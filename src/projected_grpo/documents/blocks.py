"""Numbers in documents: marked sections that programs rewrite, so that none is typed by hand."""

import json
import os
import platform
import re
import shutil
import statistics
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path


def replace_block(text: str, name: str, content: str) -> str:
    """Return the text with what stands between `<!-- name: ... -->` and `<!-- end of name -->` replaced.

    Raises ValueError where the markers are missing.
    """
    pattern = re.compile(rf"(<!-- {name}: [^\n]* -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the text lacks the markers of its section {name!r}")
    return pattern.sub(lambda match: match[1] + content + match[2], text, count=1)


def copy_results(results: Path, folder: Path, files: Iterable[str]) -> None:
    """Copy files of a results directory, by their paths below it, side by side into a folder of the documents, whose
    own files go; what the run did not make is left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (results / name for name in files):
        if path.exists():
            shutil.copy(path, folder / path.name)


def machine() -> str:
    """Return what a measurement was taken on: processor, cores, Python and torch."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    processor = models[0] if models else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}"


def ratio_table(ratios: dict[str, list[float]]) -> str:
    """Return a table of ratios of times by name: median, min and max."""
    lines = ["| ratio of times | median | min | max |", "| --- | --- | --- | --- |"]
    for name, values in ratios.items():
        lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return "\n".join(lines) + "\n"


def software() -> dict[str, str]:
    """Return what the last digits of a trained model depend on in the portable arithmetic: the packages' versions."""
    return {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}


if __name__ == "__main__":
    print(json.dumps(software(), indent=1))
