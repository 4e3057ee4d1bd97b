"""The arms with more steps, as CSV and to read, beside the shorter ones."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo import artifacts, claims, horizon, measurements, tables

params, output = snakemake.params, snakemake.output
runs = Path(snakemake.input.evaluations[0]).parents[2]
study, short = (
    measurements.read_study(runs, arms, params.seeds, claims.claims_of(arms), None)
    for arms in (params.arms, params.short)
)
table = tables.table1(study)
lines = horizon.delays(short, study, params.shorter)
text = horizon.render_horizon(study, table, claims.h1(study), lines, params.note)
artifacts.write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
artifacts.write_atomic(output.markdown, lambda path: path.write_text(text))
