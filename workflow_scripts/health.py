"""The health page: every check with the number that decides it."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo.analysis import checks, horizon, study, table2, threats, verdicts
from projected_grpo.artifacts.io import write_atomic

params, inputs = snakemake.params, snakemake.input
runs = Path(inputs.runs[0]).parents[2]


def read(arms, seeds, claimed=None, ceiling=None):
    return study.read_study(runs, arms, seeds, claimed or verdicts.claims_of(arms), ceiling)


seeds = params.seeds
main = read(params.arms, seeds["table1"], params.claims, params.ceiling)
lines = [threats.doubts(main)]
if params.folds:
    folded = {mode: read(arms, seeds["table2"]) for mode, arms in params.folds.items()}
    lines.append(pd.DataFrame(checks.held_out_lines(table2.held_out(folded)[table2.ALL])))
long = read(params.long, seeds["horizon"]) if params.long else None
if long:
    lines.append(horizon.delays(read(params.short, seeds["horizon"]), long, params.shorter))
directions = study.read_directions(inputs.directions)
checked = checks.checks(main, long, checks.read_detected(inputs.detected), params.hack, directions)
counts = {table: len(chosen) for table, chosen in seeds.items()}
text = checks.render(pd.concat(lines, ignore_index=True), checked, counts, params.note)
write_atomic(snakemake.output[0], lambda path: path.write_text(text))
