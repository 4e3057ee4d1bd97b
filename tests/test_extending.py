"""docs/extending.md does what it says: its code and its config, word for word, from outside the repository."""

import re

import pandas as pd
import pytest
import yaml
from workflow_harness import ROOT, copy_with_results, planned, snakemake

from projected_grpo.workflow.config import check

PAGE = (ROOT / "docs/extending.md").read_text()
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())
RUNS = "results/smoke/replicate0/runs"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_arm_of_the_page_is_a_valid_one():
    arms, _ = map(yaml.safe_load, blocks("yaml"))
    check({**CONFIG, "arms": {**CONFIG["arms"], **arms["arms"]}}, SCHEMA)


@pytest.fixture(scope="module")
def outside(smoke_run, tmp_path_factory):
    """A copy of the smoke run, and a folder with a module and a config of one's own."""
    folder = copy_with_results(smoke_run[0], tmp_path_factory.mktemp("extending") / "repository")
    own = tmp_path_factory.mktemp("elsewhere")
    (module,), (_, config) = blocks("python"), blocks("yaml")
    (own / "my_ideas.py").write_text(module)
    (own / "my_experiment.yaml").write_text(config)
    return folder, own


def run(folder, own, *arguments):
    presets = ["--configfile", "presets/smoke.yaml", str(own / "my_experiment.yaml")]
    return snakemake(folder, *presets, *arguments, package=f"{folder / 'src'}:{own}")


def test_an_arm_a_signal_and_an_action_from_outside_the_repository(outside):
    folder, own = outside
    names = ("long_drop", "long_drop_twin", "long_halved")
    targets = [f"{RUNS}/{name}/steps.parquet" for name in names]
    done = run(folder, own, "-j2", "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    plain = pd.read_parquet(folder / RUNS / "vanilla/steps.parquet")
    for name in names:
        rows = pd.read_parquet(folder / RUNS / name / "rollouts.parquet")
        assert rows["score"].notna().all() and rows["flagged"].any() and not rows["flagged"].all()
        if name != "long_drop_twin":
            assert (rows["score"] == rows["length"]).all()
            threshold = rows.loc[rows["flagged"], "score"].min()
            assert (rows["flagged"] == (rows["score"] >= threshold)).all()
        steps = pd.read_parquet(folder / RUNS / name / "steps.parquet")
        assert not steps["delta_norm"].equals(plain["delta_norm"])


def test_an_edit_of_ones_own_module_reruns_what_uses_it_and_a_comment_does_not(outside):
    folder, own = outside
    module = own / "my_ideas.py"
    target = f"{RUNS}/long_halved/steps.parquet"

    def jobs():
        done = run(folder, own, "-n", "--quiet", "rules", "--", target)
        assert done.returncode == 0, done.stdout + done.stderr
        counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
        return {rule: int(n) for rule, n in counts.items() if rule != "total"}

    assert jobs() == {}
    module.write_text("# a comment\n" + module.read_text())
    assert jobs() == {}
    module.write_text(module.read_text().replace("0.5", "0.75"))
    assert jobs() == {"signal": 1, "train": 1}


def test_a_module_that_is_not_there_is_one_line_before_anything_runs(outside):
    folder, own = outside
    presets = ["--configfile", "presets/smoke.yaml", str(own / "my_experiment.yaml")]
    done = snakemake(folder, *presets, "-n")
    assert done.returncode != 0
    complaint = "signals.long.kind: my_ideas:length: no such module; put its folder on PYTHONPATH"
    assert complaint in done.stdout + done.stderr
    assert planned(folder) == {}
