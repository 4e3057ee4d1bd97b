"""Table 1, as CSV and to read, and the verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json

from projected_grpo.analysis.solve_bins import solve_bins
from projected_grpo.analysis.study import read_directions, read_study, results_of, sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.threats import threats
from projected_grpo.analysis.verdicts import h1
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.table1 import render_markdown

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
study = read_study(results, params.arms, params.replicates, params.claims, params.ceiling)
table = table1(study)
verdicts = {**h1(study), "provenance": provenance(dict(params.items()), params.code)}
directions = read_directions(snakemake.input.directions)
found = threats(study), solve_bins(study), directions
text = render_markdown(table, verdicts, *found, sizes(study), params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
write_text(output.h1, json.dumps(verdicts, indent=1) + "\n")
for arm, claim in verdicts["claims"].items():
    print(arm, {name: result["verdict"] for name, result in claim.items()})
