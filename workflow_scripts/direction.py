"""Extract one direction, or a control matched to it, and test it on held-out pairs."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.artifacts.io import read_table, write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.direction import DIRECTION_SUMMARY
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.method import direction
from projected_grpo.models import base
from projected_grpo.teacher import weak_detector

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
draw = int(snakemake.wildcards.draw)
model, _, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute))
pairs = read_table(inputs.pairs, PAIRS)
known = weak_detector.known_modes(params.direction["subset"], params.modes)
weak_detector.check_fold(pairs, known, params.modes, inputs.pairs)
config = direction.build_config(params.direction)
built, summary = direction.extract(
    model, adapter, pairs, config, params.loss_constant, params.token_budget, draw, params.checkpointing
)
source = provenance(dict(params.items()), params.code, draw)
direction.save_direction(output.V, built, source)
write_table(output.summary, summary, DIRECTION_SUMMARY, source)
