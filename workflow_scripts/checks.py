"""The page of checks, and of the threats that the weak detector decides."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.analysis.checks import checks
from projected_grpo.analysis.detectors import read_detected
from projected_grpo.analysis.study import read_directions, read_study, results_of
from projected_grpo.analysis.table2 import ALL, held_out
from projected_grpo.analysis.threats import held_out_threats
from projected_grpo.artifacts.io import write_text
from projected_grpo.reporting.checks import render

params, inputs = snakemake.params, snakemake.input
results, replicates = results_of(inputs.runs), params.replicates
main = read_study(results, params.arms, replicates["table1"], params.claims, params.ceiling)
threats, long = [], None
if params.folds:
    chosen = replicates["table2"], params.fold_claims
    folds = {mode: read_study(results, arms, *chosen) for mode, arms in params.folds.items()}
    threats += held_out_threats(held_out(folds)[ALL])
if params.long:
    long = read_study(results, params.long, replicates["horizon"])
found = checks(main, long, read_detected(inputs.detected), read_directions(inputs.directions))
text = render(threats, found, {table: len(chosen) for table, chosen in replicates.items()}, params.note)
write_text(snakemake.output[0], text)
