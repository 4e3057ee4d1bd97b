"""Choose contrastive pairs for one loophole subset, from the teacher pool or from a file."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, detector, models, pairs

params, inputs = snakemake.params, snakemake.input
subset = snakemake.wildcards.subset
tokenizer = models.load_tokenizer(models.directory_of(inputs.base))
known = detector.known_modes(subset, params.modes)
settings = params.pairs
sizes = settings["n"], settings["heldout"]
if settings["kind"] == "authored":
    rows = pairs.read_pairs(inputs.authored, known, params.modes, settings["mode"], *sizes, tokenizer)
else:
    pool = artifacts.read_table(inputs.pool, artifacts.TEACHER_POOL)
    detector.check_fold(pool, known, params.modes, inputs.pool)
    ids = [problem.id for problem in artifacts.read_problems(inputs.problems)]
    rows = pairs.build_pairs(pool, ids, known, *sizes, settings["body"], tokenizer, settings["seed"])
source = artifacts.provenance({**dict(params.items()), "subset": subset}, params.code, settings["seed"])
artifacts.write_table(snakemake.output[0], rows, artifacts.PAIRS, source)
