"""A results directory as a data set: what `datasets` itself loads of it."""

import json
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from workflow_harness import SMOKE, copy_with_results, smoke

from projected_grpo.artifacts.io import ArtifactError, read_provenance, read_tensors
from projected_grpo.artifacts.provenance import KEY
from projected_grpo.publish import main


@pytest.fixture(scope="module")
def results(smoke_run, tmp_path_factory):
    """The smoke preset's, with two signals, which no arm of its table has."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("publish") / "repository")
    signals = f"{SMOKE['results']}/replicate0/signals"
    smoke(folder, "-j1", "--", *(f"{signals}/{name}/summary.parquet" for name in ("probe", "overlap")))
    return folder / SMOKE["results"]


@pytest.fixture(scope="module")
def published(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "data"
    main([str(results), str(folder)])
    return folder


@pytest.fixture(scope="module")
def load(published, tmp_path_factory):
    """The loader of `datasets`, without its network and with a cache of its own."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: make test-tools")
    cache = str(tmp_path_factory.mktemp("cache"))
    return lambda name=None: datasets.load_dataset(str(published), name, split="train", cache_dir=cache).to_pandas()


@pytest.mark.parametrize("table", ["steps", "rollouts", "evaluation"])
def test_every_row_of_every_run_is_loaded_with_its_arm_and_replicate(results, load, table):
    loaded = load(table)
    runs = {path.parent.name: pd.read_parquet(path) for path in results.glob(f"replicate0/runs/*/{table}.parquet")}
    assert len(loaded) == sum(map(len, runs.values())) > 0 and set(loaded["replicate"]) == {0}
    assert set(loaded["arm"]) == {arm for arm, rows in runs.items() if len(rows)}
    for arm, rows in runs.items():
        own = loaded[loaded["arm"] == arm].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[list(rows.columns)], rows, check_dtype=False)
        assert own.drop(columns=[*rows.columns, "arm", "replicate"]).isna().all().all()  # of other arms


def test_directions_are_rows_with_their_singular_values(results, load):
    loaded = load("directions")
    assert set(loaded["direction"]) == {path.name for path in results.glob("replicate0/directions/*")}
    tensors, _ = read_tensors(results / "replicate0/directions/hack/V.safetensors")
    hack = loaded[loaded["direction"] == "hack"].set_index(["module", "row"])
    assert len(hack) == sum(len(rows) for key, rows in tensors.items() if key.endswith(".V"))
    for (module, row), values in hack.iterrows():
        assert values["V"].tolist() == tensors[f"{module}.V"][row].tolist()
        assert values["S"] == tensors[f"{module}.S"][row].item()
    tests = load("direction_tests")
    assert {"auc_hack_clean", "subspace_overlap"} <= set(tests["metric"])


def test_signals_are_rows_of_what_was_fitted_of_them_and_of_their_twins(results, load):
    loaded = load("signals")
    assert set(loaded["signal"]) == {"probe", "overlap"} and set(loaded["replicate"]) == {0}
    for name, own in loaded.groupby("signal"):
        tensors, _ = read_tensors(results / f"replicate0/signals/{name}/weights.safetensors")
        assert set(own["tensor"]) == set(tensors) >= {"threshold"}
        assert any(one.startswith("twin.") for one in own["tensor"])
        for row in own.itertuples():
            assert (row.values.reshape(row.shape) == tensors[row.tensor].numpy()).all()
    tests = load("signal_tests").set_index(["signal", "of", "metric"])["value"]
    summary = pd.read_parquet(results / "replicate0/signals/probe/summary.parquet").set_index(["of", "metric"])["value"]
    pd.testing.assert_series_equal(tests["probe"], summary)


def test_tables_lie_beside_the_rows(results, published):
    for name in ("table1.csv", "table1.md", "h1.json"):
        assert (published / name).read_bytes() == (results / name).read_bytes()


def test_the_evaluation_is_what_is_loaded_unasked(load):
    assert load().equals(load("evaluation"))


def test_files_keep_their_provenance_and_what_their_columns_mean(results, published):
    name = "evaluation/erase_replicate0.parquet"
    assert read_provenance(published / name) == read_provenance(results / "replicate0/runs/erase/evaluation.parquet")
    for field in pq.read_schema(published / name):
        assert field.metadata[b"doc"], field.name


def test_the_card_says_what_it_is(published, results, tmp_path):
    card = DatasetCard.load(published / "README.md")
    assert card.data.license == "mit"
    assert [one["config_name"] for one in card.data.configs][:3] == ["evaluation", "rollouts", "steps"]
    for words in ("| `exploited` | bool |  | passed and not correct", "- **erase, H1: ", "## directions", "## signals"):
        assert words in card.text
    main([str(results), str(tmp_path / "again")])
    again = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    assert again == {path.relative_to(published): path.read_bytes() for path in published.rglob("*.*")}


def test_another_configuration_has_another_hash(results, tmp_path):
    def digest(name, lr):
        run = tmp_path / name / "replicate0/runs/erase"
        run.mkdir(parents=True)
        rows = pq.read_table(results / "replicate0/runs/erase/steps.parquet")
        pq.write_table(rows.replace_schema_metadata({KEY: json.dumps({"config": {"lr": lr}})}), run / "steps.parquet")
        main([str(tmp_path / name), str(tmp_path / f"{name}_made"), "--license", "mit"])
        return re.search("configuration hash: `(.*?)`", (tmp_path / f"{name}_made/README.md").read_text())[1]

    assert digest("one", 1) == digest("same", 1) != digest("other", 2)


def test_what_cannot_be_published_is_one_line(published, results, tmp_path):
    foreign = tmp_path / "foreign"
    (foreign / "replicate0").mkdir(parents=True)
    (foreign / "replicate0/runs").symlink_to(results / "replicate0/runs")
    for arguments, message in (
        ([str(results), str(published)], "not empty; give a new folder"),
        ([str(foreign), str(tmp_path / "a")], "name the licence (--license)"),
        ([str(tmp_path / "gone"), str(tmp_path / "b"), "--license", "mit"], "no replicate*/runs/*/steps.parquet"),
        ([str(tmp_path / "gone"), str(tmp_path / "b")], "no replicate*/runs/*/steps.parquet"),
    ):
        with pytest.raises(ArtifactError, match=re.escape(message)) as raised:
            main(arguments)
        assert "\n" not in str(raised.value)
