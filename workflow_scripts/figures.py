"""The figures of table 1's runs."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.analysis.study import read_study, results_of
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.reporting.figures import draw, save

params = snakemake.params
results = results_of(snakemake.input.evaluations)
study = read_study(results, params.arms, params.replicates, params.claims, params.ceiling)
source = provenance(dict(params.items()), params.code)
for name, figure in draw(study, params.note).items():
    save(figure, Path(snakemake.output[0]).parent / name, source)
