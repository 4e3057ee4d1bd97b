"""Files from elsewhere: fetched once, and what came is recorded."""

import hashlib
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from projected_grpo.errors import UserError


class SourceError(UserError, OSError):
    """A file that cannot be fetched; one line."""


def fetch(url: str, path: str | Path) -> dict:
    """Write what a URL holds to `path`; return its url, bytes and sha256. SourceError where it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, ValueError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{url}: cannot be fetched ({reason}); give a local path in problems.files") from error
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"url": url, "bytes": Path(path).stat().st_size, "sha256": digest}
