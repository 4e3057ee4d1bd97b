"""Try every V as a detector of single rollouts of one run."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import read_table, read_tensors, write_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.artifacts.schemas.train import ROLLOUTS
from projected_grpo.evaluation.v_as_detector import detect_rollouts
from projected_grpo.method.direction import usable
from projected_grpo.models import base
from projected_grpo.teacher.extraction import load_direction

params, inputs = snakemake.params, snakemake.input
model, tokenizer, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute))
problems = read_problems(inputs.problems)
rollouts = read_table(inputs.rollouts, ROLLOUTS)
checkpoints, _ = read_tensors(inputs.checkpoints)
directions = {
    name: usable(load_direction(path, adapter, params.subsets[name]))
    for name, path in zip(params.subsets, inputs.V, strict=True)
}
how = params.temperature, params.token_budget, params.checkpointing
rows = detect_rollouts(model, tokenizer, adapter, problems, rollouts, checkpoints, directions, *how)
source = provenance(dict(params.items()), params.code)
write_table(snakemake.output[0], rows, DETECTION, source)
