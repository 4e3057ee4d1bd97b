"""Extract one direction, or a control matched to it, and test it on held-out pairs."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, detector, direction, models

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
draw = int(snakemake.wildcards.draw)
model, _, adapter = models.load_adapted(models.directory_of(inputs.base), models.Compute(**params.compute))
pairs = artifacts.read_table(inputs.pairs, artifacts.PAIRS)
known = detector.known_modes(params.direction["subset"], params.modes)
detector.check_fold(pairs, known, params.modes, inputs.pairs)
config = direction.build_config(params.direction)
built, summary = direction.extract(
    model, adapter, pairs, config, params.loss_constant, params.token_budget, draw, params.checkpointing
)
source = artifacts.provenance(dict(params.items()), params.code, draw)
direction.save_direction(output.V, built, source)
artifacts.write_table(output.summary, summary, artifacts.DIRECTION_SUMMARY, source)
