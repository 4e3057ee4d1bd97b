"""Build the base model and factorize its target weights."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

import logging
from pathlib import Path

from projected_grpo import artifacts, models

logging.basicConfig(level=logging.INFO, format="%(message)s")
params = snakemake.params
source = artifacts.provenance({"model": params.model, "modes": params.modes}, params.code, params.model["seed"])
models.build_base(params.model, params.modes, params.torch_threads, Path(snakemake.output[0]).parent, source)
