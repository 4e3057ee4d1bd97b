"""Runs that are no plain training, through the rules: a twin, which follows its partner, and the base model."""

import pandas as pd
import pytest
import yaml
from workflow_harness import SMOKE, copy_with_results, planned, smoke

from projected_grpo.method.groups import STRATA

WITH_FOLDS = ["--configfile", "presets/smoke.yaml", "folds.yaml"]
RUNS = f"{SMOKE['results']}/replicate0/runs"


@pytest.fixture(scope="module")
def clone(smoke_run, tmp_path_factory):
    """A copy of the smoke run, with the table of the folds turned on."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("runs") / "clone")
    table2 = ["base", "vanilla", "vanilla_slow", "probe_drop"]
    settings = {"signals": {"probe": {"fpr": 0.3}}, "tables": {"table2": table2}}
    (folder / "folds.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_a_twin_needs_the_steps_of_its_partner_in_its_own_fold(clone):
    jobs = planned(clone, *WITH_FOLDS, "--", f"{RUNS}/probe_drop_twin/steps.parquet")
    assert jobs == {"signal": 1, "train": 2}
    folded = f"{RUNS}/probe_drop_twin_without_sentinel/steps.parquet"
    jobs = planned(clone, *WITH_FOLDS, "--", folded)
    assert jobs == {"pool_subset": 1, "pairs": 1, "signal": 1, "train": 2}


def test_a_twin_flags_the_share_that_its_partner_flagged(clone):
    smoke(clone, *WITH_FOLDS, "-j2", "--", f"{RUNS}/probe_drop_twin/steps.parquet")
    own, others = (pd.read_parquet(clone / RUNS / arm / "steps.parquet") for arm in ("probe_drop_twin", "probe_drop"))
    assert len(own) == SMOKE["train"]["steps"] and others["flagged_share"].min() < others["flagged_share"].max()
    for name in STRATA:
        off = (own[f"flagged_share/{name}"] - others[f"flagged_share/{name}"]).abs()
        assert not off.max() > 0.17  # of a few rows, of which the two have not always as many


def test_the_base_model_is_trained_for_no_step_and_evaluated_in_full(clone):
    smoke(clone, *WITH_FOLDS, "-j2", "--", f"{RUNS}/base/evaluation.parquet")
    for name in ("steps", "rollouts", "timing"):
        assert len(pd.read_parquet(clone / RUNS / f"base/{name}.parquet")) == 0
    rows = pd.read_parquet(clone / RUNS / "base/evaluation.parquet")
    assert (
        set(rows["step"]) == {0}
        and set(rows["scope"]) == {"subset", "full", "asked"}
        and set(rows["state"]) == {"deployed"}
    )
    first = pd.read_parquet(clone / RUNS / "vanilla/evaluation.parquet").query("step == 0")
    along = rows.query("scope == 'subset'")
    assert list(along["completion"]) == list(first["completion"])  # the noise is all arms'
