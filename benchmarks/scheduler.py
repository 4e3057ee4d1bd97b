"""What Snakemake takes of the processor while it waits for jobs, with profiles/default and with its own defaults.

    make bench
    python benchmarks/scheduler.py [--write docs/performance.md]

Table 2's own jobs in copies of the workflow, whose scripts do nothing but touch their outputs. Once HELD of them are
done the others sleep; from then on, what Snakemake and the solvers it starts use is overhead. One after the other.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import yaml

from projected_grpo.documents.blocks import machine, replace_block

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config.yaml", "rules", "workflow_scripts", "schemas", "profiles", "envs")
OWN = ("scheduler", "max-jobs-per-timespan")  # the profile's settings in question
HELD = 250
SAMPLES, SECONDS = 6, 5
STUB = f"""import time
from pathlib import Path

for path in map(Path, snakemake.output):
    path.touch() if path.suffix else path.mkdir(parents=True, exist_ok=True)
if len(list(Path("results/benchmarks").rglob("*.tsv"))) >= {HELD}:
    time.sleep(3600)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="document to put the table into")
    options = parser.parse_args()
    shares = {"profiles/default": waiting(keep=True), "Snakemake's defaults": waiting(keep=False)}
    text = table(shares)
    print(text)
    if options.write:
        options.write.write_text(
            replace_block(options.write.read_text(encoding="utf-8"), "scheduler", text), encoding="utf-8"
        )


def waiting(keep: bool) -> list[float]:
    """Return Snakemake's use of a core in percent, SAMPLES times, after HELD jobs; `keep` the profile's settings."""
    with tempfile.TemporaryDirectory() as folder:
        workflow = copy(Path(folder), keep)
        command = [sys.executable, "-m", "snakemake", "-j2", "--until", "evaluate", "--", "results/table2.csv"]
        with open(workflow / "log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=workflow, stdout=log, stderr=log, start_new_session=True)
        try:
            benchmarks = workflow / "results/benchmarks"
            while len(list(benchmarks.rglob("*.tsv"))) < HELD:
                if process.poll() is not None:
                    raise SystemExit(
                        f"snakemake ended early:\n{(workflow / 'log').read_text(encoding='utf-8')[-2000:]}"
                    )
                time.sleep(1)
            time.sleep(SECONDS)  # until the sleepers have started
            return [share(process.pid) for _ in range(SAMPLES)]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the sleepers
            process.wait()


def copy(folder: Path, keep: bool) -> Path:
    """Copy the workflow with scripts that do nothing; returns the folder."""
    for name in PARTS:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    for script in (folder / "workflow_scripts").glob("*.py"):
        script.write_text(STUB, encoding="utf-8")
    if not keep:
        profile = folder / "profiles/default/config.yaml"
        settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
        profile.write_text(
            yaml.safe_dump({key: value for key, value in settings.items() if key not in OWN}), encoding="utf-8"
        )
    return folder


def share(pid: int) -> float:
    """Return the percentage of a core that a process and its finished children use within SECONDS."""
    begin, used = time.perf_counter(), ticks(pid)
    time.sleep(SECONDS)
    return 100 * (ticks(pid) - used) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - begin)


def ticks(pid: int) -> int:
    """Return the clock ticks of a process and its finished children (proc(5): utime, stime, cutime, cstime)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def table(shares: dict[str, list[float]]) -> str:
    lines = [f"{machine()}; after {HELD} jobs, two of them running.", "", "| | % of a core | min to max |"]
    lines.append("| --- | --- | --- |")
    for name, values in shares.items():
        lines.append(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} to {max(values):.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
