"""Sample or import the teacher's rollouts, and sample ordinary ones of the pair problems; grade them all."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

import json

from projected_grpo.artifacts.io import write_table, write_text
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.grading import Grader
from projected_grpo.method.sampling import end_tokens
from projected_grpo.models import base, external
from projected_grpo.teacher import pool

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
settings, compute = params.teacher, base.Compute(**params.compute)
kind, seed = settings["kind"], params.seed
# A PEFT adapter is merged into transformers' model.
model, tokenizer = base.load_base(base.directory_of(inputs.base), compute, as_transformers=kind == "checkpoint")
train, pairs = read_problems(inputs.train), read_problems(inputs.pairs)
how = (params.max_new_tokens, settings["temperature"], seed)
taught, counted = [], {}
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    ordinary = pool.sample_pool(model, tokenizer, grader, pairs, settings["ordinary"], False, False, *how)
    if kind == "import":
        ends = end_tokens(model, tokenizer.eos_token_id)
        problems = [*train, *pairs]
        taught, counted = pool.import_pool(inputs.rollouts, tokenizer, grader, problems, params.max_new_tokens, ends)
    else:
        asked = kind == "elicited"
        if not asked:
            model = external.checkpoint(settings["id"], settings["revision"], model, tokenizer, compute)
        for problems in (train, pairs):
            taught += pool.sample_pool(model, tokenizer, grader, problems, settings["elicited"], asked, True, *how)
report = pool.report([*taught, *ordinary], counted)
print(report)
source = provenance(dict(params.items()), params.code, seed)
write_table(output.pool, [*taught, *ordinary], TEACHER_POOL, source)
write_text(output.report, json.dumps(report, indent=2) + "\n")
