"""Train one arm with one seed, going on where an interrupted attempt stopped."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from functools import partial

from projected_grpo import artifacts, detector, direction, experiment, groups, models, resume, trainer
from projected_grpo.grading import Grader

resume.end_on_sigterm()
params, inputs, output = snakemake.params, snakemake.input, snakemake.output
seed = int(snakemake.wildcards.seed)
arm = experiment.build_arm(snakemake.wildcards.arm, params.arm)
config = experiment.build_train_config(params.train)
rank = arm.intervention.quarantine_rank
model, tokenizer, adapter = models.load_adapted(
    models.directory_of(inputs.base), models.Compute(**params.compute), rank
)
known = detector.known_modes(params.subset, params.modes)
pool = artifacts.read_table(inputs.pool, artifacts.TEACHER_POOL)
detector.check_fold(pool, known, params.modes, inputs.pool)
problems = artifacts.read_problems(inputs.problems)
use = partial(direction.usable, k=arm.k, drop_bottom_frac=arm.drop_bottom_frac)
directions = use(direction.load_direction(inputs.V, adapter, params.subset)) if inputs.V else {}


def refresh():
    pairs = artifacts.read_table(inputs.pairs, artifacts.PAIRS)
    detector.check_fold(pairs, known, params.modes, inputs.pairs)
    spec = direction.build_config(params.direction)
    limits = config.token_budget, seed, config.gradient_checkpointing
    fresh, _ = direction.extract(model, adapter, pairs, spec, config.loss_constant, *limits)
    return use(fresh)


file = resume.ResumeFile(params.resume, resume.run_key(dict(params.items()), inputs))
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    setting = groups.Setting(
        model, tokenizer, adapter, problems, groups.Pool(pool), arm, config, seed, grader, params.modes, refresh
    )
    record = trainer.train(setting, directions, file)
source = artifacts.provenance(dict(params.items()), params.code, seed)
artifacts.write_table(output.steps, record.steps, artifacts.steps_schema(params.modes), source)
artifacts.write_table(output.rollouts, record.rollouts, artifacts.ROLLOUTS, source)
artifacts.write_table(output.timing, record.timing, artifacts.TIMING, source)
artifacts.write_tensors(output.adapter, adapter.state(), source)
artifacts.write_tensors(output.checkpoints, record.checkpoints, source)
file.remove()
