"""Local models and teachers: another content of their directory reruns what was made of it."""

import os
import shutil

import pytest
import yaml
from test_external import build, tokenizer
from workflow_harness import copy_of_the_repository, planned, snakemake

from projected_grpo.workflow.local import contents


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("a.json", "b.safetensors", ".cached"):
        (tmp_path / "model" / name).write_text("text")
    return tmp_path / "model"


def replaced(path, text="other"):
    """Put another file of the same size into its place, an older one."""
    before = path.stat()
    path.write_text(text[: before.st_size].ljust(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**10))


CHANGES = {
    "a file is put into the place of another": lambda folder: replaced(folder / "b.safetensors"),
    "a file grows": lambda folder: (folder / "a.json").write_text("longer text"),
    "a file comes": lambda folder: (folder / "c.json").write_text(""),
    "a file goes": lambda folder: (folder / "a.json").unlink(),
    "a file has another name": lambda folder: (folder / "a.json").rename(folder / "z.json"),
    "a folder in it changes": lambda folder: ((folder / "more").mkdir(), (folder / "more/x").write_text("")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_directory_is_seen(directory, name):
    before = contents(str(directory))
    assert contents(str(directory)) == before != ""
    CHANGES[name](directory)
    assert contents(str(directory)) != before


def test_hidden_files_and_what_is_no_directory_are_nothing(directory):
    before = contents(str(directory))
    (directory / ".cached").write_text("other")
    assert contents(str(directory)) == before
    assert contents("someone/model") == contents(None) == contents(str(directory / "a.json")) == ""


def test_a_link_is_what_it_leads_to(directory, tmp_path):
    (tmp_path / "link").symlink_to(directory)
    before = contents(str(tmp_path / "link"))
    shutil.copytree(directory, tmp_path / "other")
    replaced(tmp_path / "other/a.json")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    assert contents(str(tmp_path / "link")) != before


def test_another_model_or_teacher_in_its_place_reruns_what_it_made(tmp_path):
    folder = copy_of_the_repository(tmp_path / "repository")
    model, _ = build("Qwen3")
    model.resize_token_embeddings(72)
    for name in ("model", "teacher"):
        model.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
    preset = yaml.safe_load((folder / "presets/smoke.yaml").read_text())
    preset |= {"portable": False, "results": "results/local", "model": {"kind": "hf", "id": "model"}}
    preset["problems"] = {"train": 4, "pairs": 16, "evaluation": 8, "chat": True}
    preset["teacher"] = {"kind": "checkpoint", "id": "teacher", "elicited": 1, "ordinary": 1}
    preset["train"] = preset["train"] | {"max_new_tokens": 8}
    (folder / "preset.yaml").write_text(yaml.safe_dump(preset))
    target = f"results/local/replicate{preset['replicates'][0]}/teacher_pool.parquet"
    done = snakemake(folder, "-j1", "--configfile", "preset.yaml", "--", target)
    logs = "".join(path.read_text() for path in (folder / "results/local/logs").rglob("*.log"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + logs
    assert planned(folder, "--", target, preset="preset.yaml") == {}
    replaced(folder / "teacher/generation_config.json", "{}")
    assert planned(folder, "--", target, preset="preset.yaml") == {"teacher_pool": 1}
    replaced(folder / "model/generation_config.json", "{}")
    assert planned(folder, "--", target, preset="preset.yaml") == {"base_model": 1, "teacher_pool": 1}
