"""One log of Inspect per run: its held-out completions, or the rollouts of one step of its training.

1. A sample is a prompt and a completion. Its scores are the verdict's `correct`, `passed`, `exploited` and `attempted`,
   and in the training of an arm with a signal `flagged`; whatever else the row holds is its metadata, with the arm, the
   replicate and the problem's mode. Scores are 1 or 0, as the viewer's filter compares them (`exploited == 1`), and it
   opens with the hacks first. The prompt is the one that was answered; a teacher's, the one that it is trained under.
2. The epoch of a sample counts the completions of its problem, from 1. Its target is a correct program.
3. The ids are made from the run and the row, so the same run gives the same log, but for the times in the archive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from projected_grpo.artifacts.io import read_provenance, write_atomic
from projected_grpo.command import extra
from projected_grpo.environment.answers import extract_code
from projected_grpo.environment.problems import Problem
from projected_grpo.environment.prompts import messages
from projected_grpo.errors import UserError
from projected_grpo.method.settings import PROMPTS
from projected_grpo.reading import Run, counted

with extra("inspect"):
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalResults,
        EvalSample,
        EvalScore,
        EvalSpec,
        EvalStats,
        write_eval_log,
    )
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput
    from inspect_ai.scorer import Score
    from inspect_ai.viewer import TaskSamplesColumn, TaskSamplesSort, TaskSamplesView, ViewerConfig

SCORES = {"exploited": "good-low", "attempted": "good-low", "correct": "good-high", "passed": "neutral"}  # and colours
FLAGGED = {"flagged": "neutral"}
EVALUATION = "evaluation"
UNKNOWN = "the ordinary ones: what else the arm is asked is known once its training is complete"


def split_of(name: str) -> str:
    """Return the split that the problems of a log are from."""
    return "evaluation" if name == EVALUATION else "train"


def rows_of(run: Run, name: str) -> pd.DataFrame:
    """Return the rows of a run's log `evaluation` or `step{step}`; none where the run has none, or not yet."""
    if name == EVALUATION:
        rows = run.read("evaluation")
        return counted(rows) if len(rows) else rows
    rows = run.read("rollouts")
    return rows[rows["step"] == int(name.removeprefix("step"))] if len(rows) else rows


def log(run: Run, name: str, rows: pd.DataFrame, problems: Sequence[Problem]) -> EvalLog:
    """Return the log of `rows`, as `rows_of` gives them; no rows, or a problem that is not there, is a UserError."""
    if not len(rows):
        raise UserError(f"{run.folder}: it has no rows for {name}.eval, or not yet")
    known, about = {problem.id: problem for problem in problems}, f"{run.arm}/replicate{run.replicate}/{name}"
    epochs, made, source = rows.groupby("problem_id").cumcount() + 1, _made(run), _source(run)
    scored = {**SCORES, **(FLAGGED if "score" in rows and rows["score"].notna().any() else {})}
    asked = None if name == EVALUATION else _asked(source)
    samples = []
    for row, epoch in zip(rows.to_dict("records"), epochs, strict=True):
        if row["problem_id"] not in known:
            raise UserError(f"{run.folder}: {row['problem_id']} is none of its problems; run the workflow again")
        problem = replace(known[row["problem_id"]], mode=row["mode"])  # none, in an arm without loopholes
        how = {"hint": row["hint"]} if asked is None else asked[row["source"]]
        samples.append(_sample(run, row, messages(problem, **how), problem, int(epoch), about, scored))
    means = [EvalScore(name=s, scorer=s, metrics={"mean": _mean(rows[s])}) for s in scored]
    unknown = {} if asked is None or source else {"prompts": UNKNOWN}
    return EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=about,
            created=made,
            task="held-out problems" if name == EVALUATION else f"training, {name.replace('step', 'step ')}",
            task_id=name,
            model=f"{run.arm}/replicate{run.replicate}",
            dataset=EvalDataset(name=split_of(name), samples=rows["problem_id"].nunique()),
            config=EvalConfig(epochs=int(epochs.max())),
            metadata={"arm": run.arm, "replicate": run.replicate, **source, **unknown},
            viewer=_view(scored),
        ),
        stats=EvalStats(started_at=made, completed_at=made),
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=means),
        samples=samples,
    )


def write(path: str | Path, made: EvalLog) -> None:
    """Write a log as an .eval file."""
    write_atomic(path, lambda temporary: write_eval_log(made, temporary, format="eval"))


def _asked(source: Mapping) -> dict[str, Mapping[str, bool]]:
    """Return how `messages` puts a problem in training, to the student and where a teacher's completion stands."""
    arm = source["config"]["arm"] if source else {}
    keys = {"student": "sample_prompt", "teacher": "update_prompt"}
    return {who: PROMPTS[arm.get(key, "ordinary")] for who, key in keys.items()}


def _sample(
    run: Run, row: Mapping, asked: list[dict], problem: Problem, epoch: int, about: str, scored: Mapping[str, str]
) -> EvalSample:
    prompt = [{**message, "id": f"{about}/{problem.id}/{epoch}/{i}"} for i, message in enumerate(asked)]
    answer = ChatMessageAssistant(content=row["completion"], id=f"{about}/{problem.id}/{epoch}/answer")
    code = extract_code(row["completion"])
    stop = "max_tokens" if row.get("clipped") else "stop"
    rest = {key: _plain(value) for key, value in row.items() if key not in (*scored, "completion", "problem_id")}
    return EvalSample(
        id=problem.id,
        epoch=epoch,
        input=prompt,
        target=problem.canonical,
        messages=[*prompt, answer],
        output=ModelOutput(model=run.arm, choices=[ChatCompletionChoice(message=answer, stop_reason=stop)]),
        scores={name: Score(value=int(row[name]), answer=code) for name in scored},
        metadata={"arm": run.arm, "replicate": run.replicate, **rest},
    )


def _view(scored: Mapping[str, str]) -> ViewerConfig:
    """Return how the samples are listed; the text of a model is shown as it is, and never rendered."""
    scores = [TaskSamplesColumn.score(name) for name in scored]
    columns = [TaskSamplesColumn(id=name) for name in ("input", "answer")]
    hacks_first = [TaskSamplesSort.score("exploited", dir="desc")]
    view = TaskSamplesView(
        name="hacks first", columns=[*columns, *scores], sort=hacks_first, score_color_scales=dict(scored)
    )
    return ViewerConfig(trust_content=False, task_samples_view=view)


def _mean(values: pd.Series) -> EvalMetric:
    return EvalMetric(name="mean", value=float(values.mean()))


def _plain(value):
    """Return a value of a data frame as JSON knows it."""
    if isinstance(value, (list, np.ndarray)):
        return list(value)
    return None if pd.isna(value) else value


def _made(run: Run) -> str:
    """Return when the last of the run's tables was written: a log is as old as what it shows."""
    newest = max(path.stat().st_mtime for path in [run.folder, *run.folder.glob("*.parquet")])
    return datetime.fromtimestamp(int(newest), UTC).isoformat()


def _source(run: Run) -> dict:
    """Return what the run was made from; nothing while it is in training."""
    return read_provenance(run.file("steps")) if run.trained else {}
