"""The figures of table 1's runs."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from pathlib import Path

from projected_grpo import figures, measurements

params = snakemake.params
study = measurements.read_study(params.runs, params.arms, params.seeds, params.claims, params.ceiling)
for name, figure in figures.draw(study, params.note).items():
    figures.save(figure, Path(snakemake.output[0]).parent / name)
