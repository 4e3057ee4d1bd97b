"""Choose contrastive pairs for one loophole subset and kind of body, from the teacher pool or from a file."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.artifacts.io import read_table, write_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.models import base
from projected_grpo.teacher import pairs, weak_detector

params, inputs = snakemake.params, snakemake.input
subset, body = snakemake.wildcards.subset, snakemake.wildcards.body
tokenizer = base.load_tokenizer(base.directory_of(inputs.base))
known = weak_detector.known_modes(subset, params.modes)
settings = params.pairs
sizes = settings["n"], settings["heldout"]
if settings["kind"] == "authored":
    rows = pairs.read_pairs(inputs.authored, known, params.modes, settings["mode"], *sizes, tokenizer)
else:
    pool = read_table(inputs.pool, TEACHER_POOL)
    weak_detector.check_fold(pool, known, params.modes, inputs.pool)
    ids = [problem.id for problem in read_problems(inputs.problems)]
    rows = pairs.build_pairs(pool, ids, known, *sizes, body, tokenizer, params.seed)
source = provenance({**dict(params.items()), "subset": subset, "body": body}, params.code, params.seed)
write_table(snakemake.output[0], rows, PAIRS, source)
