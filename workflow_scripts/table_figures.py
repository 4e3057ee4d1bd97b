"""The figures of table 2 and of the arms with more steps."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo import artifacts, claims, figures, heatmap, measurements

params, inputs = snakemake.params, snakemake.input
made = {}
if inputs.table2:
    made["weak_detector"] = heatmap.heat_map(pd.read_csv(inputs.table2), params.note)
if params.arms:
    claimed = claims.claims_of(params.arms)
    runs = Path(inputs.horizon[0]).parents[2]
    study = measurements.read_study(runs, params.arms, params.seeds, claimed, None)
    made["horizon"] = figures.draw(study, params.note)["training_curves"]
source = artifacts.provenance(dict(params.items()), params.code)
for name, figure in made.items():
    figures.save(figure, Path(snakemake.output[0]).parent / name, source)
