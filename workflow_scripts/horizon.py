"""The arms with more steps, as CSV and to read, beside the shorter ones."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json

from projected_grpo.analysis.horizon import delays
from projected_grpo.analysis.study import read_study, results_of, sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.threats import threats
from projected_grpo.analysis.verdicts import h1
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.horizon import render_horizon

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
long = read_study(results, params.arms, params.replicates, params.claims, params.ceiling)
short = read_study(results, params.short, params.replicates)
table, judged, lines = table1(long), h1(long), delays(short, long, params.shorter)
text = render_horizon(table, judged, lines, threats(long), sizes(long), params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
judged |= {"shrinks": {params.shorter[line.arm]: line.answer for line in lines}}  # by the arm of fewer steps
judged["provenance"] = provenance(dict(params.items()), params.code)
write_text(output.verdicts, json.dumps(judged, indent=1) + "\n")
