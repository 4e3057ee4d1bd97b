"""Evaluate the knobs of one run on held-out problems."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, evaluation, models
from projected_grpo.grading import Grader

params, inputs = snakemake.params, snakemake.input
seed = int(snakemake.wildcards.seed)
config = evaluation.EvaluationConfig(
    **params.evaluation, temperature=params.temperature, max_new_tokens=params.max_new_tokens
)
directory = models.directory_of(inputs.base)
model, tokenizer, adapter = models.load_adapted(directory, models.Compute(**params.compute), params.quarantine_rank)
problems = artifacts.read_problems(inputs.problems)
checkpoints, _ = artifacts.read_tensors(inputs.checkpoints)
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    rows = evaluation.evaluate(model, tokenizer, adapter, grader, problems, checkpoints, params.last, config, seed)
source = artifacts.provenance(dict(params.items()), params.code, seed)
artifacts.write_table(snakemake.output[0], rows, artifacts.EVALUATION, source)
