"""How soon hacking is back from deployed models, as CSV and to read."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.analysis.relearning import relearning
from projected_grpo.analysis.study import read_study, results_of
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.reporting.relearning import render_relearning

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
table = relearning(read_study(results, params.arms, params.replicates), params.starts)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, render_relearning(table, params.note))
