"""Take from the teacher pool what one loophole subset may know."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, detector

params, subset = snakemake.params, snakemake.wildcards.subset
known = detector.known_modes(subset, params.modes)
pool = detector.restrict(artifacts.read_table(snakemake.input[0], artifacts.TEACHER_POOL), known, params.modes)
source = artifacts.provenance({**dict(params.items()), "subset": subset}, params.code)
artifacts.write_table(snakemake.output[0], pool.to_dict("records"), artifacts.TEACHER_POOL, source)
