"""Write the deployed model of one run as a plain Hugging Face checkpoint."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo import artifacts, export, models
from projected_grpo.environment.prompts import encode

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
settings, wildcards = params.export, snakemake.wildcards
directory = models.directory_of(inputs.base)
model, tokenizer, adapter = models.load_adapted(directory, models.Compute(**params.compute), params.quarantine_rank)
knobs, source = artifacts.read_tensors(inputs.knobs)
problems = artifacts.read_problems(inputs.problems)[: settings["prompts"]]
prompts = [encode(tokenizer, problem) for problem in problems]
fidelity = export.export(
    Path(output.card).parent, model, tokenizer, adapter, knobs, settings["dtype"], prompts, params.max_new_tokens
)
text = export.card(wildcards.arm, int(wildcards.seed), settings["dtype"], fidelity, source, params.note)
artifacts.write_atomic(output.card, lambda path: path.write_text(text))
print(fidelity)
