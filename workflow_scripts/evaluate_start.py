"""Evaluate the base model on the subset that is looked at along every run."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.evaluation import held_out
from projected_grpo.grading import Grader
from projected_grpo.models import base

params, inputs = snakemake.params, snakemake.input
sampling = held_out.Sampling(params.temperature, params.max_new_tokens)
model, tokenizer = base.load_base(base.directory_of(inputs.base), base.Compute(**params.compute))
problems = read_problems(inputs.problems)[: params.subset]
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    rows = held_out.evaluate_start(model, tokenizer, grader, problems, params.samples, sampling, params.seed)
source = provenance(dict(params.items()), params.code, params.seed)
write_table(snakemake.output[0], rows, EVALUATION, source)
