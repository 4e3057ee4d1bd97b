"""Table 4, the ablations, as CSV and to read."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.analysis.study import read_study, results_of, sizes
from projected_grpo.analysis.table4 import table4
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.reporting.table4 import render_table4

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
study = read_study(results, params.arms, params.replicates, params.claims)
table = table4(study, params.ablations)
text = render_table4(table, sizes(study), params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
