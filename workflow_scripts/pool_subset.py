"""Take from the teacher pool what one loophole subset may know."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.artifacts.io import read_table, write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.teacher import weak_detector

params, subset = snakemake.params, snakemake.wildcards.subset
known = weak_detector.known_modes(subset, params.modes)
pool = weak_detector.restrict(read_table(snakemake.input[0], TEACHER_POOL), known, params.modes)
source = provenance({**dict(params.items()), "subset": subset}, params.code)
write_table(snakemake.output[0], pool.to_dict("records"), TEACHER_POOL, source)
