"""The README's numbers are those of the copied results, and its claims about files hold."""

import re
from pathlib import Path

import pytest

from projected_grpo.documents import readme
from projected_grpo.documents.blocks import replace_block

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_the_results_section_is_what_the_copied_results_say():
    assert replace_block(TEXT, "results", readme.block(ROOT / "docs/results")) == TEXT


def test_rewriting_needs_the_markers():
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_block("no markers here", "results", "numbers")


def test_every_local_link_leads_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_function_in_the_method_map_exists():
    import importlib

    rows = re.findall(r"\| `([a-zA-Z0-9_.`, ]+)` \|$", (ROOT / "docs/method.md").read_text(), flags=re.MULTILINE)
    names = [name for row in rows for name in re.split(r"`, `", row)]
    assert len(names) > 25
    modules = {}
    for name in names:
        if name.startswith("KnobOptimizer"):
            name = f"intervention.{name}"
        elif name.startswith("AdaptedLinear"):
            name = f"adapter.{name}"
        parts = name.split(".")
        for depth in range(len(parts), 0, -1):
            try:
                place = importlib.import_module("projected_grpo." + ".".join(parts[:depth]))
                break
            except ModuleNotFoundError:
                continue
        else:
            raise AssertionError(name)
        for attribute in parts[depth:]:
            place = getattr(place, attribute)
        modules[name] = place
    assert modules
