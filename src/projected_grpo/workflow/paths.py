"""Every local path of the config: what is not there is an error, before any job.

Where the outputs exist, Snakemake has nothing to do for an input that is missing and that no rule makes: old results
would pass for results of the new file.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from projected_grpo.workflow.schema import ConfigError

NAME_BYTES = 255  # of a file's name, on the file systems of Linux
HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # owner/name, or the name alone


def check_paths(config: Mapping) -> None:
    """Raise a ConfigError for a file or directory that the config names and this machine does not have.

    Relative paths are of the working directory, which is where Snakemake looks for them.
    """
    _check_results(config["results"])
    for key, path in named_files(config):
        if not Path(path).is_file():
            raise ConfigError(f"config: {key}: {path} is no file{_place(path)}")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"config: {key}: {path} cannot be read: its permissions forbid it")
    for section, kind in (("model", "hf"), ("teacher", "checkpoint")):
        spec = config[section]
        if spec["kind"] == kind:
            _check_model(section, spec["id"], spec["revision"])


def check_own_config(read: Iterable[str | Path]) -> None:
    """Raise a ConfigError for a config.yaml in the working directory that is none of the files that were read.

    The defaults are this repository's config.yaml, wherever the workflow is run.
    """
    own = Path("config.yaml")
    if own.is_file() and not any(own.samefile(file) for file in read):
        raise ConfigError(f"config: config.yaml in {Path.cwd()} was not read; say --configfile config.yaml, or move it")


def check_python(executable: str) -> None:
    """Raise a ConfigError for a Python that Snakemake cannot start: it does not quote its path."""
    if shlex.quote(executable) != executable:
        raise ConfigError(f"{executable}: Snakemake starts no Python whose path has a space; put .venv elsewhere")


def named_files(config: Mapping) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every file of this machine that a config names."""
    model, teacher = config["model"], config["teacher"]
    if model["kind"] == "gguf" and not model["id"].startswith("package:"):
        yield "model.id", model["id"]
    for split, file in config["problems"]["files"].items():
        if "://" not in file:
            yield f"problems.files.{split}", file
    if teacher["kind"] == "import":
        yield "teacher.id", teacher["id"]
    if config["pairs"]["kind"] == "authored":
        yield "pairs.path", config["pairs"]["path"]


def _check_model(section: str, name: str, revision: str | None) -> None:
    """A model is a directory, or an id of the hub with the commit that it was tried at."""
    if Path(name).is_dir():
        return
    if not HUB.fullmatch(name):
        raise ConfigError(f"config: {section}.id: {name} is no directory{_place(name)}, and no id of a hub")
    if revision is None:
        raise ConfigError(
            f"config: {section}.revision: {name} is no directory, and a hub id needs the commit it was tried at"
        )


def _check_results(results: str) -> None:
    """Results lie in a directory that is written in one way, and in no other that the workflow reads differently."""
    plain = os.path.normpath(results)
    if results.startswith("~"):
        raise ConfigError(f"config: results: {results}: ~ is the shell's, write the path out")
    if results != plain or plain == ".":
        raise ConfigError(f"config: results: write {results!r} as {plain if plain != '.' else 'results'!r}")
    if odd := re.search(r"[{}:\x00-\x1f]", results):  # wildcards; to pyarrow, what is before a colon is a scheme
        raise ConfigError(f"config: results: {results!r}: a directory without {odd.group()!r} in its name, please")
    if results != results.strip() or results.startswith("-"):
        raise ConfigError(f"config: results: {results!r}: no space around it, please, and no - before it")
    for part in (Path(results), *Path(results).parents):
        if len(os.fsencode(part.name)) > NAME_BYTES:
            raise ConfigError(f"config: results: {part.name[:40]}...: a name has {NAME_BYTES} bytes at most")
    for part in (Path(results), *Path(results).parents):
        if part.exists() and not part.is_dir():
            raise ConfigError(f"config: results: {part} is there and is no directory")


def _place(path: str) -> str:
    return "" if os.path.isabs(path) else f" in {Path.cwd()}"
