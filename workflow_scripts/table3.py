"""Table 3, signal x action, as CSV and to read, and its verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json

from projected_grpo.analysis.checks import of_signals
from projected_grpo.analysis.study import in_turn, read_study, results_of, sizes
from projected_grpo.analysis.table3 import table3, verdicts
from projected_grpo.analysis.threats import held_out_threats, threats
from projected_grpo.artifacts.io import write_atomic, write_text
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.table3 import render_table3

params, output = snakemake.params, snakemake.output
results = results_of(snakemake.input.evaluations)
study = read_study(results, params.arms, list(params.modes), params.claims, params.ceiling)
judged = verdicts(study, params.modes)
table = table3(study, params.modes, judged)
twins = {arm: study.twin(arm) for arm in study.arms if study.twin(arm)}
unknown = in_turn(study, params.modes)
doubts = [*threats(unknown), *held_out_threats(unknown)], of_signals(study)
text = render_table3(table, judged, sizes(unknown), sizes(study), params.modes, twins, *doubts, params.note)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_text(output.markdown, text)
judged["provenance"] = provenance(dict(params.items()), params.code)
write_text(output.verdicts, json.dumps(judged, indent=1) + "\n")
