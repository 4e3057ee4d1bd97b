"""The figures of tables 2 and 3, and of the arms with more steps."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo.analysis.study import in_turn, read_study, results_of
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.figures import draw, heat_map, save
from projected_grpo.reporting.signals import signal_grid, signal_plane

params, inputs = snakemake.params, snakemake.input
made = {}
if inputs.table2:
    made["weak_detector"] = heat_map(pd.read_csv(inputs.table2), params.note)
if inputs.table3:
    own = params.table3
    results = results_of(inputs.table3_runs)
    study = read_study(results, own["arms"], list(own["modes"]), own["claims"], own["ceiling"])
    twins = {arm: study.twin(arm) for arm in study.arms if study.twin(arm)}
    made["signal_by_action"] = signal_grid(pd.read_csv(inputs.table3), twins, params.note)
    made["signal_plane"] = signal_plane(in_turn(study, own["modes"]), set(twins.values()), params.note)
if params.arms:
    results = results_of(inputs.horizon)
    study = read_study(results, params.arms, params.replicates, params.claims, params.ceiling)
    made["horizon"] = draw(study, params.note, ["training_curves"])["training_curves"]
source = provenance(dict(params.items()), params.code)
for name, figure in made.items():
    save(figure, Path(snakemake.output[0]).parent / name, source)
