"""What lies in a local directory that the config names: another content has to rerun what was made of it.

Snakemake looks at times of change, and those of files that are put in the place of others may be older.
"""

import hashlib
import json
from pathlib import Path


def contents(directory: str | None) -> str:
    """Return 16 hex digits of a directory's files by name, size and time of change; "" for what is no directory."""
    root = Path(directory or "")
    if directory is None or not root.is_dir():
        return ""
    names = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    files = [(str(name), (stat := (root / name).stat()).st_size, stat.st_mtime_ns) for name in shown]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
