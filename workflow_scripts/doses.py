"""Doses and the rule's choice, as CSV, to read and as curves."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.analysis.doses import doses
from projected_grpo.analysis.study import read_study, results_of
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.doses import render_doses
from projected_grpo.reporting.figures import save
from projected_grpo.reporting.signals import dose_curves

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
table = doses(read_study(results, params.arms, params.replicates), params.families)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, render_doses(table, params.note))
save(
    dose_curves(table, params.note), Path(output.figure).with_suffix(""), provenance(dict(params.items()), params.code)
)
