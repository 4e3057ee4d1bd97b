"""Train one arm with one seed."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from functools import partial

from projected_grpo import artifacts, direction, experiment, models, teacher, trainer
from projected_grpo.grading import Grader

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
seed = int(snakemake.wildcards.seed)
arm = experiment.build_arm(snakemake.wildcards.arm, params.arm)
config = experiment.build_train_config(params.train)
model, tokenizer, adapter = models.load_adapted(models.directory_of(inputs.base), params.torch_threads)
known = teacher.known_modes(params.subset, params.modes)
pool = teacher.restrict(artifacts.read_table(inputs.pool, artifacts.TEACHER_POOL), known, params.modes)
use = partial(direction.usable, k=arm.k, drop_bottom_frac=arm.drop_bottom_frac)
directions = use(direction.load_direction(inputs.V, adapter)) if inputs.V else {}


def refresh():
    pairs = artifacts.read_table(inputs.pairs, artifacts.PAIRS)
    spec = direction.build_config(params.direction)
    fresh, _ = direction.extract(model, adapter, pairs, spec, config.loss_constant, config.token_budget, seed)
    return use(fresh)


with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    record = trainer.train(
        model,
        tokenizer,
        adapter,
        artifacts.read_problems(inputs.problems),
        trainer.Pool(pool),
        directions,
        arm,
        config,
        seed,
        grader,
        params.modes,
        refresh,
    )
settings = {name: getattr(params, name) for name in ("train", "arm", "direction", "modes", "sandbox")}
source = artifacts.provenance(settings, params.code, seed)
artifacts.write_table(output.steps, record.steps, artifacts.steps_schema(params.modes), source)
artifacts.write_table(output.rollouts, record.rollouts, artifacts.ROLLOUTS, source)
artifacts.write_table(output.timing, record.timing, artifacts.TIMING, source)
artifacts.write_tensors(output.adapter, adapter.state(), source)
artifacts.write_tensors(output.checkpoints, record.checkpoints, source)
