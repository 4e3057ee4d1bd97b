"""The figures of table 1's runs."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from pathlib import Path

from projected_grpo import figures, measurements

params = snakemake.params
runs = Path(snakemake.input.evaluations[0]).parents[2]
study = measurements.read_study(runs, params.arms, params.seeds, params.claims, params.ceiling)
for name, figure in figures.draw(study, params.note).items():
    figures.save(figure, Path(snakemake.output[0]).parent / name)
