"""Table 2, as CSV and to read, and its verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json

from projected_grpo.analysis.study import read_study, results_of
from projected_grpo.analysis.table2 import fold_verdicts, table2
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.table2 import render

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
chosen = params.replicates, params.claims
studies = {mode: read_study(results, arms, *chosen) for mode, arms in params.folds.items()}
table = table2(studies)
verdicts = {**fold_verdicts(studies), "provenance": provenance(dict(params.items()), params.code)}
text = render(table, verdicts, params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
write_text(output.verdicts, json.dumps(verdicts, indent=1) + "\n")
