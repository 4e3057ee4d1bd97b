"""What reruns, and what does not: each edit with the exact jobs that it causes, in a copied clone with its results.

The copies are made with `cp -a` of results/ and .snakemake/metadata, as a user would take them along.
"""

import ast
import os
import re
import shutil
import time

import pytest
import yaml
from workflow_harness import FILES, ROOT, SMOKE, copy_with_results, planned

ARMS = len(SMOKE["tables"]["table1"])
CHECKED = {"checks": 1, "table_page": 1}
ARM_PAGES = {"arm_page": ARMS}
TABLES = {"table1": 1, "figures": 1, "pages": 1, **CHECKED}
READ = {"detectors": 1, **CHECKED, "table_page": 2}  # of the detection: the table of detectors, and the checks
DETECTED = {"detection": 1, **READ}
THREATENED = {"table1": 1, "pages": 1, **CHECKED}
EVALUATION = {"evaluate": ARMS, **ARM_PAGES, **TABLES}
START = {"evaluate_start": 1}  # of the base model, whatever becomes of it in training
EVALUATIONS = {**START, **EVALUATION}
TRAINING = {"train": ARMS, **EVALUATION, **DETECTED}
DIRECTIONS = {"direction": 4, **TRAINING}  # hack and random, and what vanilla measures besides
OTHER_V = {
    **DIRECTIONS,
    "train": ARMS - 1,
    "evaluate": ARMS - 1,
    "arm_page": ARMS - 1,
}  # the base model depends on none
PAIRS = {"pairs": 1, **OTHER_V}
FOLDS = {"pool_subset": 1, "pairs": 1, **DIRECTIONS}
POOL = {"teacher_pool": 1, **FOLDS}
MODEL = {"base_model": 1, **POOL, **START}
EVERYTHING = {"problems": 3, **MODEL}
# tests/test_whole.py and tests/test_inspect.py run them, and tests/test_sources.py fetches
NOT_IN_SMOKE = {"signal", "table2", "table3", "doses", "relearning", "table4", "horizon", "table_figures"}
NOT_IN_SMOKE |= {"export", "fetch", "inspect"}


@pytest.fixture
def clone(smoke_run, tmp_path):
    """Another clone, to which the results were copied with their metadata."""
    return copy_with_results(smoke_run[0], tmp_path / "clone")


def edit(file, old, new):
    def change(folder):
        path = folder / "src/projected_grpo" / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r} to edit"
        path.write_text(text.replace(old, new, 1))

    return change


def setting(*path, value):
    """A change of the preset: the key at `path` becomes `value`, or value(old)."""

    def change(folder):
        file = folder / "presets/smoke.yaml"
        config = yaml.safe_load(file.read_text())
        place = config
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value(place[path[-1]]) if callable(value) else value
        file.write_text(yaml.safe_dump(config, sort_keys=False))

    return change


def one_arm_more(folder):
    setting("tables", "table1", value=lambda arms: [*arms, "vanilla_cold"])(folder)


def comments_and_docstrings(folder):
    """Another docstring and a comment in every module and script, and other line breaks."""
    for path in [*(folder / "src").rglob("*.py"), *(folder / "workflow_scripts").glob("*.py")]:
        text = path.read_text()
        first = ast.parse(text).body[0]
        assert isinstance(first, ast.Expr), f"{path} has no docstring"
        rest = "\n".join(text.splitlines()[first.end_lineno :])
        path.write_text(f'"""Another docstring."""\n# a comment\n{rest}\n\n# the end\n')
    for path in [folder / "Snakefile", *(folder / "rules").glob("*.smk")]:
        path.write_text(path.read_text() + "\n\n# a comment\n")


def touch_everything(folder):
    later = time.time() + 5
    for name in FILES:
        for path in [folder / name, *(folder / name).rglob("*")]:
            os.utime(path, (later, later))


def turned_around(folder):
    file = folder / "presets/smoke.yaml"

    def turn(section):
        return {key: turn(section[key]) for key in reversed(section)} if isinstance(section, dict) else section

    file.write_text(yaml.safe_dump(turn(yaml.safe_load(file.read_text())), sort_keys=False))


EDITS = {
    "nothing": (lambda folder: None, {}),
    "comments and docstrings": (comments_and_docstrings, {}),
    "a touch of every file": (touch_everything, {}),
    "the order of the preset's keys": (turned_around, {}),
    "a better complaint": (edit("workflow/schema.py", "did you mean", "perhaps"), {}),
    "a figure's style": (edit("reporting/canvas.py", "alpha=0.5", "alpha=0.4"), {"figures": 1}),
    "a colour": (edit("reporting/colours.py", "#0072B2", "#0072B3"), {"figures": 1, "pages": 1, **ARM_PAGES}),
    "statistics": (
        edit("analysis/statistics.py", "LEVEL = 0.95", "LEVEL = 0.9"),
        {**TABLES, **READ, **ARM_PAGES},
    ),
    "a sentence of table 1": (edit("reporting/table1.py", "last step.", "end."), {"table1": 1, "pages": 1}),
    "the words of the checks": (edit("reporting/checks.py", "attempted against", "tried against"), CHECKED),
    "the words of the threats": (edit("reporting/threats.py", "hacks like a", "is like a"), THREATENED),
    "what is taken as a fenced block": (edit("environment/answers.py", 'None, "", []', "None, str(), []"), MODEL),
    "the checks": (edit("analysis/checks.py", "0.999", "0.99"), CHECKED),
    "a column of the detection": (edit("artifacts/schemas/detection.py", "name of the V", "which V"), DETECTED),
    "a column of the evaluation": (
        edit("artifacts/schemas/evaluation.py", "| greedy", "or greedy"),
        {**EVALUATIONS, **READ},
    ),
    "detection.py": (edit("evaluation/detectors.py", "return ", "_ = 0\n    return "), DETECTED),
    "evaluation.py": (edit("evaluation/held_out.py", "return ", "_ = 0\n    return "), {**EVALUATIONS, **DETECTED}),
    "the detector": (edit("teacher/weak_detector.py", "return ", "_ = 0\n    return "), FOLDS),
    "more samples in the evaluation": (setting("evaluation", "samples", value=3), EVALUATION),
    "intervention.py": (edit("method/intervention.py", "2 * c.relu()", "2.0 * c.relu()"), TRAINING),
    "actions.py": (edit("method/actions.py", "return ", "_ = 0\n    return "), TRAINING),
    "how a signal is scored": (edit("method/signals.py", "SKETCH = 1024", "SKETCH = 512"), TRAINING | DETECTED),
    "trainer.py": (edit("method/trainer.py", "told to end", "asked to end"), TRAINING),
    "resume.py": (edit("method/resume.py", "[:16]", "[:20]"), TRAINING),
    "the learning rate": (setting("train", "lr", value=0.01), TRAINING),
    "the temperature, which V is extracted at": (setting("train", "temperature", value=0.9), {**DIRECTIONS, **START}),
    "an arm's learning rate": (
        setting("arms", "vanilla_slow", "lr_scale", value=0.5),
        {"train": 1, "evaluate": 1, "arm_page": 1, **TABLES},
    ),
    "a matched slow control": (setting("arms", "erase", value={"slow": "vanilla_slow"}), TABLES),
    "more samples along the run": (setting("evaluation", "subset_samples", value=3), EVALUATIONS),
    "how often runs that nothing stops are evaluated": (
        setting("evaluation", "every", value=6),
        {"evaluate": ARMS - 2, "arm_page": ARMS - 2, **TABLES},  # not the baseline, nor the slow control
    ),
    "direction.py": (edit("method/direction.py", "return ", "_ = 0\n    return "), DIRECTIONS),
    "k of the direction": (setting("directions", "hack", "k", value=5), OTHER_V),
    "pairs per mode": (setting("pairs", "n", value=5), PAIRS),
    "pairs.py": (edit("teacher/pairs.py", "return ", "_ = 0\n    return "), PAIRS),
    "rollouts of the teacher": (setting("teacher", "elicited", value=3), POOL),
    "server.py": (edit("grading/server.py", "gc.freeze()", "gc.freeze()\n    gc.collect()"), MODEL),
    "the sandbox": (setting("grading", value={"sandbox": "bwrap+seccomp"}), MODEL),
    "the model": (setting("model", "layers", value=1), MODEL),
    "one more training problem": (setting("problems", "train", value=25), {"problems": 3, **POOL, **START}),
    "one more replicate": (setting("replicates", value=[0, 3]), {**MODEL, **ARM_PAGES, **TABLES, **READ}),
    "a crossed replicate": (setting("crossed", value={0: {"data_seed": 7}}), TRAINING),
    "one arm less": (setting("tables", "table1", value=lambda arms: arms[:-2]), TABLES),
    "one arm more": (one_arm_more, {"train": 1, "evaluate": 1, "arm_page": 1, **TABLES}),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_its_row_of_the_matrix_and_nothing_else(clone, name):
    change, expected = EDITS[name]
    change(clone)
    assert planned(clone) == expected


def test_the_planned_jobs_are_those_that_run(clone):
    """A dry run could promise too little: here the row is run, and then there is nothing to do."""
    from workflow_harness import smoke

    change, expected = EDITS["one arm less"]
    change(clone)
    done = smoke(clone, "-j2")
    ran = re.findall(r"^(?:local)?rule (\w+):$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert {rule: ran.count(rule) for rule in ran if rule != "all"} == expected
    assert planned(clone) == {}


def test_without_metadata_results_are_taken_as_they_are(clone):
    """What the README warns of: Snakemake cannot see which parameters made them."""
    shutil.rmtree(clone / ".snakemake")
    EDITS["the learning rate"][0](clone)
    assert planned(clone) == {}


def test_the_matrix_names_only_rules_that_exist():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert {*EVERYTHING, *NOT_IN_SMOKE} == set(re.findall(r"^rule (\w+):", text, flags=re.MULTILINE))
