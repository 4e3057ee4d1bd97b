"""Parameters of rules that are too long to be read where Snakemake prints why a job runs again."""

import hashlib
from collections.abc import Mapping


class Brief(dict):
    """A dict whose repr is a digest: Snakemake keeps, compares and prints a parameter's repr; a script gets the dict.

    What counts as a change is what counts in the dict's own repr, the order of its keys included.
    """

    def __repr__(self) -> str:
        return f"<{len(self)} settings, {hashlib.sha256(super().__repr__().encode()).hexdigest()[:16]}>"

    def __reduce__(self) -> tuple:
        return dict, (dict(self),)  # Snakemake pickles what it hands to a script


def canonical(section):
    """Return a config section with its keys in order, because Snakemake compares parameters as text."""
    if isinstance(section, Mapping):
        return {key: canonical(section[key]) for key in sorted(section)}
    return section
