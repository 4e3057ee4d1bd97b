"""Every command of README and docs runs as it stands: what is short as it is, what is long as a dry run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import small_results
import yaml
from workflow_harness import ROOT, copy_of_the_repository

from projected_grpo.reporting.__main__ import main, screen, shown
from projected_grpo.reporting.titles import FIGURES

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results/README.md",
    ROOT / "config/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PROGRAMS = "make|snakemake|python|pytest|ruff|snakefmt|lint-imports|git|cd|source|hf|pip|.venv/bin/(?:python|pip)"
# Only parsed: they need a network, a GPU, a screen or a whole run, serve until they are stopped, or leave the
# directory that the others are run in. tests/test_ecosystem_page.py runs those of the last line, where it can.
PARSED = (
    "git ",
    "cd ",
    "source ",
    "hf ",
    "pip install git+",
    "inspect view ",
    "trackio show ",
    "tensorboard --logdir ",
    "xdg-open ",
    ".venv/bin/",
    "python -m projected_grpo.documents.results",
    "python -m projected_grpo.chat",
    "python solution.py",
    "python benchmarks/gpu.py",
    "python -m projected_grpo.validate problems.jsonl --model",
    *("python -m projected_grpo.publish ", 'pip install ".[', "vf-validate ", "jupyter-execute "),
)
NEEDS = {  # commands of docs/tools.md by what make tools installs
    "python -m projected_grpo.inspect": "inspect_ai",
    "python -m projected_grpo.track results --to tensorboard": "tensorboard",
    "python -m projected_grpo.track": "trackio",
    "python -m projected_grpo.watch": "rich",
}
STANDS_FOR = {
    "FILE": "presets/evaluation.parquet",
    "ROWS.jsonl": "presets/simple/train.jsonl",
    "PROBLEMS.jsonl": "problems.jsonl",
}


def commands(page: str) -> list[str]:
    """Return the commands of a Markdown page: at a prompt, indented, or in the text as code with an argument."""
    page = re.sub(r"<!--.*?-->", "", page)
    lines = re.findall(r"^\$ ((?:.*\\\n)*.*)$", page, flags=re.MULTILINE)
    lines += re.findall(rf"^    ((?:{PROGRAMS}) .*)$", page, flags=re.MULTILINE)
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(rf"(?<!`)`((?:{PROGRAMS})\s[^`]+)`(?!`)", text)
    plain = [re.sub(r"\s+", " ", re.sub(r"\s+#.*|\\\n", " ", line)).strip() for line in lines]
    return [part for line in plain for part in line.split(" && ")]


def tried(command: str) -> str:
    """Return what is run for a command: the same, but dry where it would take long or write into the repository."""
    for placeholder, file in STANDS_FOR.items():
        command = re.sub(rf"\b{re.escape(placeholder)}\b", file, command)
    variables, command = re.fullmatch(r"((?:[A-Z]+=\S+ )*)(.*)", command).groups()
    return variables.replace("/where/my_ideas/is", "src:.") + dry(command)


def dry(command: str) -> str:
    program, _, rest = command.partition(" ")
    if program == "make":
        return f"make -n {rest}"
    if rest.startswith("-m snakemake "):
        program, rest = "snakemake", rest.removeprefix("-m snakemake ")
    if program == "snakemake" and not re.search(r"(^| )(-n|--lint|--unlock)\b", rest):
        return f"snakemake -n --quiet all {rest}"
    if program == "pytest":
        return f"pytest --collect-only -n 0 -q {rest}"
    return re.sub("^snakefmt", "snakefmt --check", command)


FOUND = {command: page.name for page in PAGES for command in commands(page.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with the README's own arm, the problem and completion that docs/problems.md shows, an artifact, and
    two results directories."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("commands") / "repository")
    for name in ("Makefile", "pyproject.toml", "tests", "docs", "benchmarks", "README.md", *ROOT.glob("*.lock")):
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder)], check=True)
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    (folder / "mine.yaml").write_text(example)
    own = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|yaml)\n(.*?)^```$", own, flags=re.MULTILINE | re.DOTALL)
    (folder / "my_ideas.py").write_text(dict(blocks)["python"])
    (folder / "my_experiment.yaml").write_text(dict(blocks)["yaml"])  # the last one of the page
    page = (ROOT / "docs/problems.md").read_text(encoding="utf-8")
    (folder / "problems.jsonl").write_text(re.search(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE).group(1))
    (folder / "completions.jsonl").write_text(re.search(r"`({\"problem_id.*?})`", page).group(1))
    made = "from projected_grpo.artifacts.io import write_table as w; from projected_grpo.artifacts.schemas.direction"
    made += " import DIRECTION_SUMMARY as s; w('presets/evaluation.parquet', [], s, {'config': {}})"
    run(folder, f'python -c "{made}"; mv presets/evaluation.parquet presets/summary.parquet')
    (folder / "presets/summary.parquet").rename(folder / "presets/evaluation.parquet")
    for results in ("results", "results/smoke"):
        small_results.write(folder / results)
    return folder


def run(folder, command):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # make test-tools has snakemake in the latter
    environment = {"PATH": path, "PYTHONPATH": str(folder / "src"), "HOME": str(folder), "NO_COLOR": "1"}
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)


def test_there_are_commands_of_every_kind():
    assert len(FOUND) > 30
    for program in ("make", "snakemake", "python", "git"):
        assert any(command.startswith(program) for command in FOUND)
    text = "$ a \\\n    b   # c\n    make x  # y\n`make z` and `snakemake\n-n`, not ``make w``, `snakemake`\n"
    assert commands(text) == ["a b", "make x", "make z", "snakemake -n"]


@pytest.mark.parametrize("command", sorted(FOUND))
def test_a_command_of_the_documents_runs(clone, command):
    library = next((needed for start, needed in NEEDS.items() if command.startswith(start)), None)
    if library and not find_spec(library):
        pytest.skip(f"{library} is not installed (make test-tools)")
    if "bwrap" in command and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    done = run(clone, f"bash -n <<'END'\n{command}\nEND" if command.startswith(PARSED) else tried(command))
    assert done.returncode == 0, f"{FOUND[command]}: {command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"


def test_the_readme_says_what_each_command_costs():
    block = re.search(
        r"^## Start$.*?^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    lines = [line for line in block.group(1).splitlines() if re.match(r"\$ (make|snakemake)", line)]
    assert len(lines) > 7
    without = [line for line in lines if not re.search(r"#.*(second|minute|hour|day|as make smoke)", line)]
    assert without == []


def test_a_run_ends_with_its_table_its_verdicts_and_the_next_command():
    said = screen(ROOT / "docs/run", "config.yaml")
    table = (ROOT / "docs/run/table1.csv").read_text().splitlines()
    assert len(re.findall(r"^  \w+ +\d+\.\d +\d+\.\d ", said, flags=re.MULTILINE)) == len(table) - 1
    outcomes = json.loads((ROOT / "docs/run/h1.json").read_text(encoding="utf-8"))["outcomes"]
    listed = re.findall(r"^  ([a-z ]+): (.+)$", said, flags=re.MULTILINE)
    assert {arm: word for word, arms in listed for arm in arms.split(", ") if arm != "none"} == outcomes
    assert "docs/run/table1.md" in said and said.endswith("(all of it as one page, report.html)")
    assert all(Path(f"{ROOT}/docs/run/{name}").exists() for name in re.findall(r"docs/run/(\w+\.\w+)", said))


def test_what_a_run_ends_with_is_of_all_its_config_files(tmp_path, monkeypatch, capsys):
    for name, text in (
        ("config.yaml", "results: results\ntables: {table1: [vanilla]}\n"),
        ("a b.yaml", f"results: {ROOT}/docs/run\n"),
        ("mine.yaml", "arms: {}\n"),
        ("empty.yaml", ""),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["a b.yaml", "mine.yaml", "empty.yaml"]) == 0
    said = capsys.readouterr().out
    command = re.search(r"make report CONFIG=.*?(?=   )", said).group()
    assert shlex.split(shlex.split(command)[2].removeprefix("CONFIG=")) == ["a b.yaml", "mine.yaml", "empty.yaml"]
    assert "make report" not in screen(ROOT / "docs/run", None)
    for arguments, message in (
        ([], "results/table1.csv is not there yet"),
        (["typo.yaml"], "typo.yaml: cannot be read"),
    ):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: {message}") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables:\n", "config: tables: each table needs a list of arms"),
        ("more_arms: {table2: erase}\n", "config: more_arms: each table needs a list of arms"),
        ("results:\n", "config: results: no directory"),
        ("tables: {table1: [a\nresults: b\n", "mine.yaml, line 2: not YAML (expected ',' or ']', but got ':')"),
    ],
)
def test_what_a_run_ends_with_needs_a_config(tmp_path, monkeypatch, capsys, text, message):
    (tmp_path / "config.yaml").write_text(f"results: {ROOT}/docs/run\ntables: {{table1: [vanilla]}}\n")
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["mine.yaml"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def test_a_report_shows_the_tables_that_have_more_arms_alone(tmp_path, monkeypatch, capsys):
    for name in ("table1.csv", "pages/table2.html", "pages/table3.html"):
        (tmp_path / "made" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "made" / name).touch()
    (tmp_path / "config.yaml").write_text(
        "results: made\ntables: {table1: [vanilla], table2: [base], table3: [base]}\n"
    )
    (tmp_path / "mine.yaml").write_text("tables: {table2: [], table3: []}\nmore_arms: {table2: [base]}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--files", "mine.yaml"]) == 0
    assert capsys.readouterr().out.split() == ["made/table1.csv", "made/pages/table2.html"]


def test_a_report_shows_the_figures_and_pages_of_the_wanted_tables(tmp_path):
    pages = {
        "table1": "table1",
        "setup": "table1",
        "checks": "table1",
        "detectors": "table1",
        "relearning": "relearning",
    }
    files = {f"figures/{figure}.png": table for figure, (table, _) in FIGURES.items()}
    files |= {f"pages/{page}.html": table for page, table in pages.items()}
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for table in {*files.values()}:
        found = {str(Path(path).relative_to(tmp_path)) for path in shown(tmp_path, {table: ["base"]})}
        assert found == {name for name, own in files.items() if own == table}


def test_a_report_shows_what_is_there_and_was_asked_for(tmp_path):
    for name in ("table1.csv", "pages/table1.html", "pages/table2.html", "figures/profile.png", "figures/horizon.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tables = yaml.safe_load((ROOT / "presets/smoke.yaml").read_text())["tables"]
    names = [str(Path(path).relative_to(tmp_path)) for path in shown(tmp_path, tables)]
    assert names == ["table1.csv", "pages/table1.html", "figures/profile.png"]
    (tmp_path / "pages/arms").mkdir()
    for arm in ("erase", "of_an_older_config"):
        (tmp_path / f"pages/arms/{arm}.html").touch()
    (tmp_path / "pages/table1.html").write_text('<a href="arms/erase.html"><a href="arms/not_there.html">')
    (tmp_path / "pages/table2.html").write_text('<a href="arms/of_an_older_config.html">')
    assert [Path(path).stem for path in shown(tmp_path, tables) if "/arms/" in path] == ["erase"]
    names = [Path(path).name for path in shown(tmp_path, {**tables, "horizon": ["base"]})]
    assert "horizon.png" in names and "table2.html" not in names
