"""Evaluate the knobs of one run on held-out problems."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import read_rows, read_tensors, write_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.evaluation import held_out
from projected_grpo.grading import Grader
from projected_grpo.models import base

params, inputs = snakemake.params, snakemake.input
config = held_out.EvaluationConfig(**params.evaluation)
how = config, held_out.Sampling(params.temperature, params.max_new_tokens), params.seed
directory = base.directory_of(inputs.base)
model, tokenizer, adapter = base.load_adapted(directory, base.Compute(**params.compute), params.quarantine_rank)
problems = read_problems(inputs.problems)
checkpoints, _ = read_tensors(inputs.checkpoints)
start = read_rows(inputs.start, EVALUATION)
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    own = adapter, grader, problems, checkpoints, start, params.last
    rows = held_out.evaluate(model, tokenizer, *own, *how)
source = provenance(dict(params.items()), params.code, params.seed)
write_table(snakemake.output[0], rows, EVALUATION, source)
