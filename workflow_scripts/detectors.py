"""Signals as detectors, as CSV and to read."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.analysis.detectors import detectors, read_detected
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.reporting.detectors import render_detectors

output = snakemake.output
table = detectors(read_detected(snakemake.input.detected))
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, render_detectors(table, snakemake.params.note))
