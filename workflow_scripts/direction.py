"""Extract one direction, or a control matched to it, and test it on held-out pairs."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import read_table, write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.method.direction import build_config
from projected_grpo.method.loss import loss_constant
from projected_grpo.models import base
from projected_grpo.teacher.extraction import extract, save_direction
from projected_grpo.teacher.weak_detector import check_fold, known_modes

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
model, _, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute))
pairs = read_table(inputs.pairs, PAIRS)
check_fold(pairs, known_modes(params.direction["subset"], params.modes), params.modes, inputs.pairs)
config, scale = build_config(params.direction), loss_constant(**params.group)
limits = params.temperature, params.token_budget, params.seed, params.checkpointing
direction, summary = extract(model, adapter, pairs, config, scale, *limits)
source = provenance(dict(params.items()), params.code, params.seed)
save_direction(output.V, direction, source)
write_table(output.summary, summary, DIRECTION_SUMMARY, source)
