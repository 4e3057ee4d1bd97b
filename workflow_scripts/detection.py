"""Try every V as a detector of single rollouts of one run."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo import artifacts, detection, direction, models

params, inputs = snakemake.params, snakemake.input
seed = int(snakemake.wildcards.seed)
model, tokenizer, adapter = models.load_adapted(models.directory_of(inputs.base), models.Compute(**params.compute))
problems = artifacts.read_problems(inputs.problems)
rollouts = artifacts.read_table(inputs.rollouts, artifacts.ROLLOUTS)
checkpoints, _ = artifacts.read_tensors(inputs.checkpoints)
directions = {
    name: direction.usable(direction.load_direction(path, adapter, params.subsets[name]))
    for name, path in zip(params.subsets, inputs.V, strict=True)
}
rows = detection.detect_rollouts(
    model, tokenizer, adapter, problems, rollouts, checkpoints, directions, params.token_budget, params.checkpointing
)
source = artifacts.provenance(dict(params.items()), params.code, seed)
artifacts.write_table(snakemake.output[0], rows, artifacts.DETECTION, source)
