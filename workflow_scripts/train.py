"""Train one arm with one seed, going on where an interrupted attempt stopped."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from functools import partial

from projected_grpo.artifacts.io import read_table, write_table, write_tensors
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.artifacts.schemas.train import ROLLOUTS, TIMING, steps_schema
from projected_grpo.grading import Grader
from projected_grpo.method import direction, resume, rollouts, settings, trainer
from projected_grpo.models import base
from projected_grpo.teacher import weak_detector

resume.end_on_sigterm()
params, inputs, output = snakemake.params, snakemake.input, snakemake.output
seed = int(snakemake.wildcards.seed)
arm = settings.build_arm(snakemake.wildcards.arm, params.arm)
config = settings.build_train_config(params.train)
rank = arm.intervention.quarantine_rank
model, tokenizer, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute), rank)
known = weak_detector.known_modes(params.subset, params.modes)
pool = read_table(inputs.pool, TEACHER_POOL)
weak_detector.check_fold(pool, known, params.modes, inputs.pool)
problems = read_problems(inputs.problems)
use = partial(direction.usable, k=arm.k, drop_bottom_frac=arm.drop_bottom_frac)
directions = use(direction.load_direction(inputs.V, adapter, params.subset)) if inputs.V else {}


def refresh():
    pairs = read_table(inputs.pairs, PAIRS)
    weak_detector.check_fold(pairs, known, params.modes, inputs.pairs)
    spec = direction.build_config(params.direction)
    limits = config.token_budget, seed, config.gradient_checkpointing
    fresh, _ = direction.extract(model, adapter, pairs, spec, config.loss_constant, *limits)
    return use(fresh)


file = resume.ResumeFile(params.resume, resume.run_key(dict(params.items()), inputs))
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    setting = rollouts.Setting(
        model, tokenizer, adapter, problems, rollouts.Pool(pool), arm, config, seed, grader, params.modes, refresh
    )
    record = trainer.train(setting, directions, file)
source = provenance(dict(params.items()), params.code, seed)
write_table(output.steps, record.steps, steps_schema(params.modes), source)
write_table(output.rollouts, record.rollouts, ROLLOUTS, source)
write_table(output.timing, record.timing, TIMING, source)
write_tensors(output.adapter, adapter.state(), source)
write_tensors(output.checkpoints, record.checkpoints, source)
file.remove()
