"""The page of an arm: its runs, their curves, and sample rollouts below their prompts as the model was given them."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo.artifacts.io import read_table, write_text
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.environment.prompts import encode
from projected_grpo.models.base import load_tokenizer
from projected_grpo.reporting.arm import arm_page

params, inputs = snakemake.params, snakemake.input
problems, frames = read_problems(inputs.problems), []
for n, path, file in zip(params.replicates, inputs.evaluations, inputs.tokenizers, strict=True):
    tokenizer = load_tokenizer(Path(file).parent)
    prompts = {problem.id: tokenizer.decode(encode(tokenizer, problem)) for problem in problems}
    rows = read_table(path, EVALUATION)
    if params.started:  # from another arm's model, while the rows of step 0 are the base model's
        rows = rows[rows["step"] > 0]
    frames.append(rows.assign(replicate=n, prompt=rows["problem_id"].map(prompts)))
text = arm_page(pd.concat(frames), params.modes, snakemake.wildcards.arm, params.note)
write_text(snakemake.output[0], text)
