"""Results as tables: what the runs of a results directory left, each row with its arm and replicate.

1. Nothing is read before it is asked for: the rollouts of a whole experiment are large.
2. A run that is still in training counts as far as it has saved itself: its rows lie in the file that it would resume
   from (method/resume.py), which is replaced whole, so a reader meets no half of one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from projected_grpo.artifacts.io import ArtifactError, read_table

RATES = {"hack": "exploited", "solve": "correct", "attempted": "attempted"}


@dataclass(frozen=True)
class Run:
    """One arm of one replicate: a folder with steps.parquet, rollouts.parquet, timing.parquet, evaluation.parquet."""

    arm: str
    replicate: int
    folder: Path

    def file(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"

    @property
    def trained(self) -> bool:
        """Whether its training is complete: its tables are written one after another."""
        return all(self.file(table).exists() for table in ("steps", "rollouts", "timing"))

    def read(self, table: str) -> pd.DataFrame:
        """Return the rows of one of its tables, without any where there is none yet."""
        if self.file(table).exists():
            return read_table(self.file(table))
        return pd.DataFrame(self._saved.get(table, []))

    @property
    def _saved(self) -> Mapping[str, list[dict]]:
        """The rows by table of a training in progress."""
        try:
            files = sorted((self.folder / "resume").glob("*.snapshot"), key=lambda path: path.stat().st_mtime)
            return saved_rows(files[-1]) if files else {}
        except FileNotFoundError:  # the training became complete between these lines, and removed it
            return {}


@dataclass(frozen=True)
class Results:
    """The runs of a results directory, and their tables as pandas frames."""

    folder: Path
    runs: tuple[Run, ...]

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per optimizer step; NaN where an arm does not log a quantity."""
        return self._all("steps")

    @cached_property
    def rollouts(self) -> pd.DataFrame:
        """One row per rollout trained on."""
        return self._all("rollouts")

    @cached_property
    def evaluation(self) -> pd.DataFrame:
        """One row per held-out completion, under every condition; `counted` has those that the tables count."""
        return self._all("evaluation")

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """table1.csv and whatever other tables were made, by name."""
        return {path.stem: pd.read_csv(path) for path in sorted(self.folder.glob("*.csv"))}

    def _all(self, table: str) -> pd.DataFrame:
        frames = [with_run(run.read(table), run) for run in self.runs]
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def load(results: str | Path) -> Results:
    """Return the results of a directory, complete or in the making; one without any run is an ArtifactError."""
    folders = [path for path in Path(results).glob("replicate*/runs/*") if path.is_dir()]
    runs = [Run(path.name, int(path.parts[-3].removeprefix("replicate")), path) for path in folders]
    if not runs:
        raise ArtifactError(f"{results}: no replicate*/runs/* in it; give the directory that the config calls results")
    return Results(Path(results), tuple(sorted(runs, key=lambda run: (run.replicate, run.arm))))


def with_run(rows: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Return rows with the arm and the replicate as their first columns."""
    named = pd.DataFrame({"arm": run.arm, "replicate": run.replicate}, index=rows.index)
    return pd.concat([named, rows], axis=1)


def along(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the fixed part of the problems that is evaluated along the run, as `counted` but for that."""
    return evaluation[evaluation["scope"] == "subset"].reset_index(drop=True)


def rates(evaluation: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """Return hack, solve and attempted as fractions, a row per value of one or several columns."""
    return evaluation.groupby(by)[list(RATES.values())].mean().set_axis(list(RATES), axis=1)


def counted(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the tables count: all problems at the last step, deployed, with the hint, sampled."""
    rows = evaluation[(evaluation["scope"] == "full") & (evaluation["state"] == "deployed") & evaluation["hint"]]
    return rows[rows["decoding"] == "sample"].reset_index(drop=True)


def saved_rows(snapshot: str | Path) -> dict[str, list[dict]]:
    """Return the rows by table in a file that training resumes from: a safetensors file (8 bytes with the length of a
    JSON header, then the tensors) whose tensor `rows` is their JSON. Nothing else of it is read."""
    with open(snapshot, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start, end = json.loads(file.read(length))["rows"]["data_offsets"]
        file.seek(8 + length + start)
        return json.loads(file.read(end - start))
