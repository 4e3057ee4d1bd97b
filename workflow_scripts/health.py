"""The health page: every check with the number that decides it."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo import artifacts, claims, doubts, folds, health, horizon, measurements

params, inputs = snakemake.params, snakemake.input
runs = Path(inputs.runs[0]).parents[2]


def study(arms, seeds, claimed=None, ceiling=None):
    return measurements.read_study(runs, arms, seeds, claimed or claims.claims_of(arms), ceiling)


seeds = params.seeds
main = study(params.arms, seeds["table1"], params.claims, params.ceiling)
lines = [doubts.doubts(main)]
if params.folds:
    folded = {mode: study(arms, seeds["table2"]) for mode, arms in params.folds.items()}
    lines.append(pd.DataFrame(health.held_out_lines(folds.held_out(folded)[folds.ALL])))
long = study(params.long, seeds["horizon"]) if params.long else None
if long:
    lines.append(horizon.delays(study(params.short, seeds["horizon"]), long, params.shorter))
directions = measurements.read_directions(inputs.directions)
checked = health.checks(main, long, health.read_detected(inputs.detected), params.hack, directions)
counts = {table: len(chosen) for table, chosen in seeds.items()}
text = health.render(pd.concat(lines, ignore_index=True), checked, counts, params.note)
artifacts.write_atomic(snakemake.output[0], lambda path: path.write_text(text))
