"""Sample and grade the teacher pool: elicited rollouts of all problems, ordinary ones of the pair problems."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import torch

from projected_grpo import artifacts, models, teacher
from projected_grpo.grading import Grader

params, inputs = snakemake.params, snakemake.input
torch.set_num_threads(params.torch_threads)
model, tokenizer = models.load_base(models.directory_of(inputs.base))
train, pairs = artifacts.read_problems(inputs.train), artifacts.read_problems(inputs.pairs)
settings = params.teacher
rows = []
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    for problems, n, elicit in (
        (train, settings["elicited"], True),
        (pairs, settings["elicited"], True),
        (pairs, settings["ordinary"], False),
    ):
        rows += teacher.sample_pool(
            model,
            tokenizer,
            grader,
            problems,
            n,
            elicit,
            params.max_new_tokens,
            settings["temperature"],
            settings["seed"],
        )
source = artifacts.provenance(dict(params.items()), params.code, settings["seed"])
artifacts.write_table(snakemake.output[0], rows, artifacts.TEACHER_POOL, source)
