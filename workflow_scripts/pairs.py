"""Choose contrastive pairs from the teacher pool for one loophole subset."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, detector, models, pairs

params, inputs = snakemake.params, snakemake.input
subset = snakemake.wildcards.subset
_, tokenizer = models.load_base(models.directory_of(inputs.base))
known = detector.known_modes(subset, params.modes)
pool = artifacts.read_table(inputs.pool, artifacts.TEACHER_POOL)
detector.check_fold(pool, known, params.modes, inputs.pool)
ids = [problem.id for problem in artifacts.read_problems(inputs.problems)]
settings = params.pairs
rows = pairs.build_pairs(
    pool, ids, known, settings["n"], settings["heldout"], settings["body"], tokenizer, settings["seed"]
)
source = artifacts.provenance({**dict(params.items()), "subset": subset}, params.code, settings["seed"])
artifacts.write_table(snakemake.output[0], rows, artifacts.PAIRS, source)
