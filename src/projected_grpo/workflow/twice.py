"""Keys that a config file has twice: YAML keeps the last and says nothing, so half of a config would be lost."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from projected_grpo.workflow.schema import ConfigError


def check_keys(files: Iterable[str | Path]) -> None:
    """Raise a ConfigError for the first key that stands twice in one mapping of a YAML or JSON file."""
    for file in files:
        text = Path(file).read_text(encoding="utf-8").expandtabs()  # YAML takes JSON, but not if tabs indent it
        for key, first, again in _twice(yaml.compose(text, Loader=yaml.SafeLoader)):
            raise ConfigError(f"config: {file}, line {again}: {key!r} is there twice, first in line {first}; join them")


def _twice(node: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """Yield (key, its first line, its next line) in the order of the file."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item)
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                yield key.value, lines[name], line
            lines[name] = line
            yield from _twice(value)
