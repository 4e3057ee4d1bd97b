"""Lock, conda environments and package agree on versions."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pins(text):
    return dict(re.findall(r"^\s*(?:- )?([A-Za-z0-9_.-]+)==([^\s\\]+)", text, flags=re.MULTILINE))


def test_conda_envs_pin_the_versions_of_the_lock():
    lock = {}
    for name in ("requirements-tools.lock", "requirements-sandbox.lock", "requirements.lock"):
        lock |= pins((ROOT / name).read_text())
    for path in (ROOT / "envs").glob("*.yaml"):
        pinned = pins(path.read_text())
        assert pinned
        assert {name: lock[name] for name in pinned} == pinned, path.name


def test_the_lock_covers_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = pins((ROOT / "requirements.lock").read_text()) | pins((ROOT / "requirements-sandbox.lock").read_text())
    names = {name.lower().replace("_", "-") for name in lock}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[=<>\s;]", name)[0].lower() for name in wanted} <= names
    beside = {name.lower().replace("_", "-") for name in pins((ROOT / "requirements-tools.lock").read_text())}
    for extra, needed in project["optional-dependencies"].items():
        assert {re.split("[=<>]", name)[0].replace("_", "-") for name in needed} <= names | beside, extra


def test_the_package_asks_for_the_snakemake_that_the_snakefile_does():
    import tomllib

    (asked,) = re.findall(r'^min_version\("(\d+)\.0"\)$', (ROOT / "Snakefile").read_text(), flags=re.MULTILINE)
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"snakemake>={asked}" in dependencies
