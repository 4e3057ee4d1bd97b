"""Write the deployed model of one run as a plain Hugging Face checkpoint."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from pathlib import Path

from projected_grpo.artifacts.io import read_tensors, write_text
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.environment.prompts import encode
from projected_grpo.models import base, export

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
settings, wildcards = params.export, snakemake.wildcards
directory = base.directory_of(inputs.base)
how = base.Compute(**params.compute), params.quarantine_rank
model, tokenizer, adapter = base.load_adapted(directory, *how, as_transformers=True)
knobs, source = read_tensors(inputs.knobs)
problems = read_problems(inputs.problems)[: settings["prompts"]]
prompts = [encode(tokenizer, problem) for problem in problems]
fidelity = export.export(
    Path(output.card).parent, model, tokenizer, adapter, knobs, settings["dtype"], prompts, params.max_new_tokens
)
text = export.model_card(wildcards.arm, int(wildcards.replicate), settings["dtype"], fidelity, source, params.note)
write_text(output.card, text)
print(fidelity)
