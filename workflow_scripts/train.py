"""Train one arm of one replicate, resuming where an interrupted attempt stopped."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from functools import partial

from projected_grpo.artifacts.io import read_table, write_table, write_tensors
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.artifacts.schemas.train import ROLLOUTS, TIMING, steps_schema
from projected_grpo.grading import Grader
from projected_grpo.method.direction import build_config, usable
from projected_grpo.method.groups import Pool
from projected_grpo.method.log import followed
from projected_grpo.method.loss import loss_constant
from projected_grpo.method.resume import ResumeFile, end_on_sigterm, run_key
from projected_grpo.method.settings import build_arm, build_train_config
from projected_grpo.method.trainer import RunInputs, train
from projected_grpo.models import base
from projected_grpo.teacher.extraction import extract, load_direction
from projected_grpo.teacher.signals import in_use
from projected_grpo.teacher.weak_detector import check_fold, known_modes

end_on_sigterm()
params, inputs, output = snakemake.params, snakemake.input, snakemake.output
seed, data_seed = params.seeds["seed"], params.seeds["data_seed"]
file = ResumeFile(params.resume, run_key(dict(params.items()), inputs)).claim()
arm, config = build_arm(snakemake.wildcards.arm, params.arm), build_train_config(params.train)
how = base.Compute(**params.compute), arm.intervention.quarantine_rank
model, tokenizer, adapter = base.load_adapted(base.directory_of(inputs.base), *how)
base.start_from(inputs.start, adapter)
known = known_modes(params.subset, params.modes)
pool, problems = read_table(inputs.pool, TEACHER_POOL), read_problems(inputs.problems)
check_fold(pool, known, params.modes, inputs.pool)
use = partial(usable, k=arm.k, drop_bottom_frac=arm.drop_bottom_frac)
directions = use(load_direction(inputs.V, adapter, params.subset)) if inputs.V else {}
further_V = zip(arm.measures, inputs.measured, strict=True)
measured = {name: use(load_direction(path, adapter, params.subset)) for name, path in further_V}
signal, told = in_use(params.signal, inputs.signal, arm.twin_of is not None, known)
partner = followed(read_table(inputs.partner)) if inputs.partner else []


def refresh():
    pairs = read_table(inputs.pairs, PAIRS)
    check_fold(pairs, known, params.modes, inputs.pairs)
    scale = loss_constant(config.group_size, config.prompts_per_step, config.max_new_tokens)
    limits = config.temperature, config.token_budget, seed, config.gradient_checkpointing
    return use(extract(model, adapter, pairs, build_config(params.direction), scale, *limits)[0])


further = params.modes, refresh, measured, signal, told, partner, known
with Grader(snakemake.threads, sandbox=params.sandbox) as grader:
    own = arm, config, seed, data_seed, grader
    log = train(RunInputs(model, tokenizer, adapter, problems, Pool(pool), *own, *further), directions, file)
source = provenance(dict(params.items()), params.code, seed)
write_table(output.steps, log.steps, steps_schema(params.modes, arm.measures), source)
write_table(output.rollouts, log.rollouts, ROLLOUTS, source)
write_table(output.timing, log.timing, TIMING, source)
write_tensors(output.adapter, adapter.state(), source)
write_tensors(output.checkpoints, log.checkpoints, source)
file.remove()
