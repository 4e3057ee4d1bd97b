"""Files of problems: fetched ones are recorded, what does not come or cannot be used is one line."""

import hashlib

import pytest
import yaml
from workflow_harness import ROOT, copy_of_the_repository, snakemake

from projected_grpo.environment.problems import ProblemError
from projected_grpo.environment.sources import SourceError, fetch
from projected_grpo.environment.splits import draw_splits

SIMPLE = ROOT / "presets/simple"
ROWS = (SIMPLE / "evaluation.jsonl").read_bytes()
DIGEST = hashlib.sha256(ROWS).hexdigest()


@pytest.fixture
def url(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(ROWS)
    return (tmp_path / "rows.jsonl").as_uri()


def test_what_came_is_recorded(url, tmp_path):
    assert fetch(url, tmp_path / "got") == {"url": url, "bytes": len(ROWS), "sha256": DIGEST}
    assert (tmp_path / "got").read_bytes() == ROWS


def test_what_did_not_come_is_one_line_that_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere.jsonl: cannot be fetched \(.*\); give a local path in problems.fi"):
        fetch((tmp_path / "nowhere.jsonl").as_uri(), tmp_path / "got")


@pytest.fixture
def fetched(url, tmp_path):
    """A function that fetches the file in a copy of the workflow that expects this SHA-256."""

    def run(sha256):
        folder = copy_of_the_repository(tmp_path / "repository")
        config = yaml.safe_load((ROOT / "presets/smollm2.yaml").read_text())
        config["problems"] |= {"files": dict.fromkeys(("train", "pairs", "evaluation"), url), "train": 4, "pairs": 1}
        config["problems"] |= {"evaluation": 2, "sha256": {"rows.jsonl": sha256}}
        (folder / "preset.yaml").write_text(yaml.safe_dump(config))
        target = "results/smollm2/problems/evaluation.parquet"
        return folder, snakemake(folder, "-j1", "--configfile", "preset.yaml", "--", target)

    return run


@pytest.mark.parametrize("sha256", [DIGEST, None])
def test_problems_are_cut_from_a_fetched_file(fetched, sha256):
    folder, done = fetched(sha256)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    record = (folder / "results/smollm2/sources/rows.jsonl.json").read_text()
    assert DIGEST in record


def test_a_wrong_checksum_stops_the_workflow_and_names_the_file(fetched):
    folder, done = fetched("0" * 64)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "checksums that differ from the expected ones" in said and "sources/rows.jsonl" in said
    assert not (folder / "results/smollm2/sources/rows.jsonl").exists()


def test_a_problem_in_two_splits_is_refused_however_its_files_are_called(tmp_path):
    (tmp_path / "copy.jsonl").write_text((SIMPLE / "train.jsonl").read_text())
    files = {"train": SIMPLE / "train.jsonl", "evaluation": tmp_path / "copy.jsonl"}
    with pytest.raises(
        ProblemError, match=r"problem \w+: its statement is in train .* and in evaluation .*: not disjoint"
    ):
        draw_splits(files, {"train": 15, "evaluation": 15}, 0, ["sentinel"])
    spelled = {"train": SIMPLE / "train.jsonl", "evaluation": SIMPLE / "../simple/train.jsonl"}
    drawn = draw_splits(spelled, {"train": 10, "evaluation": 10}, 0, ["sentinel"])
    assert not {p.id for p in drawn["train"]} & {p.id for p in drawn["evaluation"]}
