"""Build or fetch the base model and factorize its target weights."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

import logging
from pathlib import Path

from projected_grpo.artifacts.provenance import provenance
from projected_grpo.grading import Grader
from projected_grpo.models import base, external
from projected_grpo.organism import config, pretrain

logging.basicConfig(level=logging.INFO, format="%(message)s")
params, directory = snakemake.params, Path(snakemake.output[0]).parent
spec = dict(params.model)
compute = base.Compute(**params.compute)
base.device_of(compute)  # before hours of downloads or training
if spec["kind"] != "organism":
    external.obtain(**spec, directory=directory)
else:
    del spec["kind"]
    settings = config.organism_config({**spec, "modes": params.modes, "threads": compute.threads})
    with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
        pretrain.build(settings, directory, grader)
model, _ = base.load_base(directory, compute)
source = provenance(dict(params.items()), params.code, spec.get("seed"))
base.save_factors(directory / base.FACTORS, model, source)
