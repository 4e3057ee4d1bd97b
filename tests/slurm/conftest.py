"""The cluster that the tests of this directory share; a plain `pytest` does not start it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import cluster, unavailable


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """A cluster of one node, for the whole session: the directory with its logs."""
    if "TEST_SLURM" not in os.environ:
        pytest.skip("run by make test-slurm")
    if reason := unavailable():
        pytest.skip(reason)
    with cluster() as logs:
        yield logs
