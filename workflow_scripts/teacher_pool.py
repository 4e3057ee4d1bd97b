"""Sample or import the teacher's rollouts, and sample ordinary ones of the pair problems; grade them all."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json
from pathlib import Path

from projected_grpo import artifacts, models, pretrained, teacher
from projected_grpo.grading import Grader

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
settings, compute = params.teacher, models.Compute(**params.compute)
kind, seed = settings["kind"], settings["seed"]
model, tokenizer = models.load_base(models.directory_of(inputs.base), compute)
train, pairs = artifacts.read_problems(inputs.train), artifacts.read_problems(inputs.pairs)
how = (params.max_new_tokens, settings["temperature"], seed)
taught, counted = [], {}
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    ordinary = teacher.sample_pool(model, tokenizer, grader, pairs, settings["ordinary"], False, False, *how)
    if kind == "import":
        taught, counted = teacher.import_pool(inputs.rollouts, tokenizer, grader, [*train, *pairs])
    else:
        asked = kind == "elicited"
        if not asked:
            model = pretrained.checkpoint(settings["id"], settings["revision"], model, tokenizer, compute)
        for problems in (train, pairs):
            taught += teacher.sample_pool(model, tokenizer, grader, problems, settings["elicited"], asked, True, *how)
report = teacher.report([*taught, *ordinary], counted)
print(report)
source = artifacts.provenance(dict(params.items()), params.code, seed)
artifacts.write_table(output.pool, [*taught, *ordinary], artifacts.TEACHER_POOL, source)
Path(output.report).write_text(json.dumps(report, indent=2) + "\n")
