"""Table 1, as CSV and to read, and the verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json
from pathlib import Path

from projected_grpo import artifacts, claims, markdown, measurements, tables

params, output = snakemake.params, snakemake.output
runs = Path(snakemake.input.evaluations[0]).parents[2]
study = measurements.read_study(runs, params.arms, params.seeds, params.claims, params.ceiling)
table = tables.table1(study)
verdicts = {**claims.h1(study), "provenance": artifacts.provenance(dict(params.items()), params.code)}
directions = measurements.read_directions(snakemake.input.directions)
text = markdown.render_markdown(study, table, verdicts, directions, params.note)
artifacts.write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
artifacts.write_atomic(output.markdown, lambda path: path.write_text(text))
artifacts.write_atomic(output.h1, lambda path: path.write_text(json.dumps(verdicts, indent=1) + "\n"))
for arm, claim in verdicts["claims"].items():
    print(arm, {name: result["verdict"] for name, result in claim.items()})
