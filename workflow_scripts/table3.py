"""Table 3, signal x action, as CSV and to read."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.analysis.study import read_study, sizes
from projected_grpo.analysis.table3 import table3
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.reporting.table3 import render_table3

params, output = snakemake.params, snakemake.output
results = Path(snakemake.input.evaluations[0]).parents[3]
study = read_study(results, params.arms, params.replicates, params.claims, params.ceiling)
table = table3(study)
twins = {arm: study.twin(arm) for arm in study.arms if study.twin(arm)}
text = render_table3(table, sizes(study), twins, params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
