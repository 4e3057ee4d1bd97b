"""docs/method.md is the page that the code points to: its sections, its functions, its thresholds, its options."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

from projected_grpo.reporting.verdicts import hypotheses

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/method.md").read_text()
HEADINGS = re.findall(r"^#{2,4} (.+)$", PAGE, flags=re.MULTILINE)
READERS = [
    *sorted((ROOT / "src").rglob("*.py")),
    *sorted((ROOT / "rules").glob("*.smk")),
    *sorted((ROOT / "workflow_scripts").glob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "presets").glob("*.yaml")),
    *sorted((ROOT / "schemas").glob("*.yaml")),
    *sorted((ROOT / "report").glob("*.rst")),
    *sorted((ROOT / "tests").glob("*.py")),
    ROOT / "config.yaml",
    ROOT / "README.md",
]
REFERENCE = re.compile(r"\b[Mm]ethods? (\d+[ab]?(?: \([a-g]\))?(?:(?:, | and )\d+[ab]?(?: \([a-g]\))?)*)")
GLOSSARY = (
    *("knob", "V", "mode", "channel", "subset", "fold", "twin", "null", "alone", "slow", "ceiling", "deployed"),
    *("elicited", "ordinary", "replicate"),
)


def references(path):
    for found in REFERENCE.findall(path.read_text()):
        yield from re.findall(r"\d+[ab]?(?: \([a-g]\))?", found)


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_reference_to_a_method_finds_its_heading(path):
    for reference in references(path):
        assert any(heading == reference or heading.startswith(f"{reference} ") for heading in HEADINGS), reference


def test_the_sections_come_in_order():
    numbered = [heading.split()[0] for heading in HEADINGS if re.match(r"\d+[ab]? ", heading)]
    sections = list(dict.fromkeys(numbered))
    assert sections == ["1", "2", "2b", "3", "3a", "3b", "4", "5", "6", "7", "8", "9", "10"]
    assert [f"7 ({letter})" for letter in "abcdefg"] == [
        re.match(r"7 \([a-g]\)", heading).group() for heading in HEADINGS if heading.startswith("7 (")
    ]


def test_enough_of_the_code_refers_to_the_page():
    assert sum(1 for path in READERS for _ in references(path)) > 40


def test_every_function_of_the_tables_exists():
    rows = re.findall(r"\| (`[a-zA-Z0-9_.`, ]+`) \|$", PAGE, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 35
    for name in names:
        parts = name.split(".")
        for depth in range(len(parts), 0, -1):
            try:
                place = importlib.import_module("projected_grpo." + ".".join(parts[:depth]))
            except ModuleNotFoundError:
                continue
            break
        else:
            raise AssertionError(name)
        for attribute in parts[depth:]:
            place = getattr(place, attribute)


@pytest.mark.parametrize("name", ["H1", "H1s", "H2"])
def test_the_hypotheses_are_those_that_are_judged(name):
    section = re.search(rf"^### {name}\b.*?(?=^##)", PAGE, flags=re.MULTILINE | re.DOTALL).group()
    assert hypotheses()[name] in " ".join(section.split())


def test_the_glossary_has_its_words():
    glossary = re.search(r"^## Glossary\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL).group(1)
    words = re.findall(r"^(?:- |\| )\*\*([^*]+)\*\*", glossary, flags=re.MULTILINE)
    assert sorted(words) == sorted(GLOSSARY)


def settings_in_use():
    """Every key and value that the default config or a preset gives an arm, a direction, the training or the pairs."""
    used = set()

    def collect(section):
        for key, value in section.items():
            if isinstance(value, dict):
                collect(value)
            else:
                used.update((key, str(value)) if not isinstance(value, list) else map(str, value))

    for path in [ROOT / "config.yaml", *(ROOT / "presets").glob("*.yaml")]:
        config = yaml.safe_load(path.read_text())
        chosen = ("arms", "directions", "train", "pairs", "teacher", "modes")
        collect({name: config[name] for name in chosen if name in config})
    return used


def test_the_options_that_no_arm_uses_exist_and_are_not_used():
    section = re.search(r"^## Options that no arm uses\n(.*?)(?=^## )", PAGE, flags=re.MULTILINE | re.DOTALL).group(1)
    lines = [line.split(":")[0] for line in section.splitlines() if line.startswith("- ")]
    listed = [name for line in lines for name in re.findall(r"`(\w+)`", line)]
    names = set(listed) - {"gate", "project", "normalisation", "body", "loss_type", "modes"}  # what they are values of
    assert names
    sources = ("schemas/config.schema.yaml", "src/projected_grpo/environment/loopholes.py")
    schema = "".join((ROOT / name).read_text() for name in sources)
    for name in names:
        assert re.search(rf"\b{name}\b", schema), name
    assert not names - {"chat"} & settings_in_use()
