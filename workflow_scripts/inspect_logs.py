"""One log of Inspect: a run's evaluation, or the rollouts of one step of its training."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.artifacts.problems import read_problems
from projected_grpo.inspect import logs
from projected_grpo.reading import Run

wildcards, inputs = snakemake.wildcards, snakemake.input
run = Run(wildcards.arm, int(wildcards.replicate), Path(inputs.rows).parent)
rows = logs.rows_of(run, wildcards.log)
logs.write(snakemake.output[0], logs.log(run, wildcards.log, rows, read_problems(inputs.problems)))
