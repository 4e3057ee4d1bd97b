"""Text files as people have them: read as UTF-8 or gzip, or refused in one line. Standard library only.

Problems, rollouts and completions are JSON lines: one object on each line, which is what an error names.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from projected_grpo.errors import UserError

_POINTER = b"version https://git-lfs.github.com/spec/"
_GZIP = b"\x1f\x8b"
_MARKS = {"UTF-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "UTF-16": (b"\xff\xfe", b"\xfe\xff")}


class FileError(UserError, ValueError):
    """A file that is not what its reader needs; one line with its path and, where there is one, the line."""


def is_pointer(path: str | Path) -> bool:
    """Return whether this is what git-lfs leaves in a file's place until it is fetched."""
    path = Path(path)
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark, gzipped or not; else a FileError."""
    try:
        data = Path(path).read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: cannot be read ({error})") from error
    if data.startswith(_POINTER):
        raise FileError(f"{path}: is a git-lfs pointer; fetch the file itself with `git lfs pull`")
    for kind, mark in _MARKS.items():
        if data.startswith(mark):
            raise FileError(f"{path}: is {kind}; convert it with `iconv -f {kind} -t UTF-8`")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path}: is no text in UTF-8 (byte {error.start}), which it has to be, plain or gzipped"
        ) from error
    if text.lstrip().startswith("<"):
        raise FileError(f"{path}: is HTML or XML, perhaps a page about the file; fetch the file itself")
    return text


def read_rows(path: str | Path) -> Iterator[tuple[str, dict]]:
    """Yield (where, object) of every line of a file of JSON lines; `where` is its path and line, for messages.

    Raises FileError as `read_text` does, and for a line that is no JSON object of text.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        if line.lstrip().startswith("["):
            raise FileError(f"{where}: a JSON list; write one object on each line, as `jq -c '.[]'` does")
        if line.strip() == "{":
            raise FileError(f"{where}: an object over several lines; write it on one, as `jq -c .` does")
        row = parse(line, where)
        if not isinstance(row, dict):
            raise FileError(f"{where}: not a JSON object")
        yield where, row


def parse(text: str, where: str) -> object:
    """Return what a JSON text holds; a FileError at `where` for what is none, holds strings that are no text, or has a
    key twice."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise FileError(f"{where}: holds half a surrogate pair, which is no text") from error
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise FileError(f"{where}: not JSON ({error.msg}: {line}column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where}: not JSON ({error})") from error
    return value


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def identity(value: object) -> str:
    """Return the text of an id, which may be a number; raises ValueError for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as pandas writes a column of numbers with gaps
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise ValueError(f"{value!r} is no id: a text or a whole number")
    return str(value)
