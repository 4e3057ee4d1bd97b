"""Build the base model and factorize its target weights."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from pathlib import Path

from projected_grpo import artifacts, models

params = snakemake.params
source = artifacts.provenance({"model": params.model, "modes": params.modes}, params.code, params.model["seed"])
models.build_base(params.model, params.modes, params.torch_threads, Path(snakemake.output[0]).parent, source)
