"""The arms with more steps, as CSV and to read, beside the shorter ones."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.analysis import horizon
from projected_grpo.analysis.study import read_study
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.verdicts import claims_of, h1
from projected_grpo.artifacts.io import write_atomic

params, output = snakemake.params, snakemake.output
runs = Path(snakemake.input.evaluations[0]).parents[2]
study, short = (
    read_study(runs, arms, params.seeds, claims_of(arms), None) for arms in (params.arms, params.short)
)
table = table1(study)
lines = horizon.delays(short, study, params.shorter)
text = horizon.render_horizon(study, table, h1(study), lines, params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_atomic(output.markdown, lambda path: path.write_text(text))
