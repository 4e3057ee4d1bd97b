"""What every rule declares and every script begins with, read from their texts, and that a rule's threads count."""

import re
import subprocess
import sys

import pytest
from workflow_harness import ROOT


def rules():
    """Yield (file, name, text) of every rule."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(
            r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), flags=re.MULTILINE | re.DOTALL
        ):
            yield path.name, name, body


@pytest.mark.parametrize(("file", "name", "body"), [pytest.param(*rule, id=rule[1]) for rule in rules()])
def test_every_rule_declares_what_it_needs(file, name, body):
    for directive in ("output:", "params:", "log:", "benchmark:", "threads:", "resources:", "conda:", "script:"):
        assert directive in body, f"{file}: rule {name} lacks {directive}"
    script = re.search(r'script:\s+"\.\./(\S+)"', body).group(1)
    assert f'code=code_version("{script}")' in body
    lines = (ROOT / script).read_text().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    opening = [imports[0], "", "log_to(snakemake.log[0])"]
    assert imports[0] == "from projected_grpo.errors import log_to", f"{script} imports before it redirects its log"
    if "compute=COMPUTE" in body:  # before torch is imported, and where an error finds the log
        opening += ["", imports[1], "", "compute_alike(snakemake.params.compute)"]
        assert imports[1] == "from projected_grpo.portable import compute_alike", f"{script} imports torch before that"
    assert lines[lines.index(imports[0]) :][: len(opening)] == opening, f"{script} does not do so at once"


def test_what_a_table_is_told_of_its_arms_is_brief_to_snakemake():
    text = "".join((ROOT / f"rules/{name}.smk").read_text() for name in ("tables", "report", "common"))
    long = "table_arms|claims|folds|in_turn|ablations|short_arms|short_table_arms|dose_families"
    assert len(re.findall(rf"Brief\(({long})\(", text)) > 20
    assert re.findall(rf"^ +\"?\w+\"?[=:] ?({long})\(.*", text, flags=re.MULTILINE) == []


def test_every_rules_file_opens_with_its_contract():
    for path in (ROOT / "rules").glob("*.smk"):
        head = path.read_text()
        assert head.startswith('"""')
        if path.name not in ("common.smk", "inputs.smk"):  # which have no rule
            assert "\nin " in head and "\nout " in head


ALONE = """
rule all:
    input: "first", "second"

rule alone:
    output: "{job}"
    threads: 2
    shell: "mkdir running && sleep 1 && rmdir running && touch {output}"
"""


def test_jobs_of_two_threads_do_not_meet_on_two_cores(tmp_path):
    (tmp_path / "Snakefile").write_text(ALONE)
    profile = ["--workflow-profile", str(ROOT / "profiles/default")]
    command = [sys.executable, "-m", "snakemake", "-j2", *profile]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "first").exists() and (tmp_path / "second").exists()
