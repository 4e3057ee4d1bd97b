"""The rows that a run's tables and figures are made of, small enough to stand beside them.

    python -m projected_grpo.documents.rows RESULTS docs/rows [REPLICATE ...]

writes docs/rows/replicate{n}.tar.xz; without numbers, of every replicate. In it are the files below a results directory
that tables and figures read, when they were made, and how long their jobs took. The columns of an evaluation that no
table reads are empty, the texts among them, and of a direction's summary only what concerns all modules is kept.
`tar -xJf` lays them out again. What made them is not there: with --allowed-rules, Snakemake makes tables alone.
"""

import io
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from projected_grpo.artifacts.io import write_atomic
from projected_grpo.documents.blocks import machine
from projected_grpo.errors import UserError

RUNS = ("runs/*/evaluation.parquet", "runs/*/steps.parquet")  # below a replicate's directory
MORE = ("directions/*/summary.parquet", "detection.parquet")
UNREAD = ("completion", "length", "attempted_modes", "status", "format_ok", "channel_fired", "passed", "reward")
MACHINE = "machine.txt"  # below it, what the replicate was trained on


class RowsError(UserError, ValueError):
    """Nothing to pack; one line."""


def pack(results: Path, folder: Path, replicates: Sequence[int] = ()) -> None:
    """Write `folder`/replicate{n}.tar.xz from a results directory; one with an unfinished run is a RowsError."""
    homes = [results / f"replicate{n}" for n in replicates] or sorted(results.glob("replicate*"))
    if not homes:
        raise RowsError(f"{results}: no replicates; say a results directory")
    for home in homes:
        runs = sorted(home.glob("runs/*"))
        missing = [run / Path(file).name for run in runs for file in RUNS if not (run / Path(file).name).exists()]
        if missing or not runs:
            raise RowsError(f"{(missing or [home / 'runs'])[0]}: not there; pack replicates that are finished")
        write_atomic(folder / f"{home.name}.tar.xz", lambda path, home=home: _write(path, results, home))


def machines(results: Path) -> list[str]:
    """Return what a results directory was made on: as archives that were laid out in it say, else this machine."""
    return sorted({_machine(home) for home in results.glob("replicate*")} or {machine()})


def _write(path: Path, results: Path, home: Path) -> None:
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name, modified, content in _members(results, home):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), modified
            archive.addfile(member, io.BytesIO(content))


def _members(results: Path, home: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield the path below the results, the time of making and the content of every file that is kept."""
    rows = [path for pattern in (*RUNS, *MORE) for path in sorted(home.glob(pattern))]
    ends = (f"/{home.name}.tsv", f"_{home.name}.tsv")
    jobs = [path for path in sorted((results / "benchmarks").rglob("*.tsv")) if path.as_posix().endswith(ends)]
    for path in (*rows, *jobs):
        content = _kept(path) if path.suffix == ".parquet" else path.read_bytes()
        yield path.relative_to(results).as_posix(), int(path.stat().st_mtime), content
    yield f"{home.name}/{MACHINE}", int(rows[-1].stat().st_mtime), f"{_machine(home)}\n".encode()


def _kept(path: Path) -> bytes:
    """Return the Parquet file with what is kept of it, uncompressed: the archive compresses better."""
    table = pq.read_table(path)
    if path.name == "summary.parquet":
        table = table.filter(pc.equal(table["module"], "all"))
    if path.name == "evaluation.parquet":
        for name in UNREAD:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, pa.nulls(len(table), table.schema.field(place).type))
    content = io.BytesIO()
    pq.write_table(table, content, compression="none", use_dictionary=False)
    return content.getvalue()


def _machine(home: Path) -> str:
    path = home / MACHINE
    return path.read_text(encoding="utf-8").strip() if path.exists() else machine()


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all(argument.isdigit() for argument in sys.argv[3:]):
        sys.exit(f"usage: {sys.argv[0]} RESULTS FOLDER [REPLICATE ...]")
    try:
        pack(Path(sys.argv[1]), Path(sys.argv[2]), [int(n) for n in sys.argv[3:]])
    except UserError as error:
        sys.exit(f"error: {error}")
