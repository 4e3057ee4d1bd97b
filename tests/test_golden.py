"""The smoke preset's table 1, byte for byte: what an optimisation must not change.

The preset is portable: the golden file holds on every x86-64 processor with AVX2, with the packages that it names. With
others the last digits of a product may differ, and training makes other choices from there on. `make golden` writes it
anew: a change of the method is a reason, a change of speed is one only if its rounding is bounded by a test
(tests/test_gradients.py).
"""

import json

import pandas as pd
import pytest
from workflow_harness import ROOT, SMOKE

from projected_grpo.documents.blocks import software
from projected_grpo.portable import lacking

GOLDEN = ROOT / "tests/golden"


def test_the_smoke_table_is_the_golden_one(smoke_run):
    folder, _ = smoke_run
    made = folder / SMOKE["results"] / "table1.csv"
    golden = GOLDEN / "table1.csv"
    assert list(pd.read_csv(made).columns) == list(pd.read_csv(golden).columns)
    assert list(pd.read_csv(made)["arm"]) == list(pd.read_csv(golden)["arm"])
    here, there = software(), json.loads((GOLDEN / "source.json").read_text())
    if lacking():
        pytest.skip(f"the portable arithmetic needs an x86-64 processor with AVX2: {lacking()}")
    if there != here:
        pytest.skip(f"the golden table was made on {there}, this is {here}")
    assert made.read_bytes() == golden.read_bytes()
