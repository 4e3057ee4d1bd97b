"""Write the deployed model of one run as a plain Hugging Face checkpoint, or as a LoRA."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

import json
from pathlib import Path

from projected_grpo.analysis.views import run_views
from projected_grpo.artifacts.io import read_table, read_tensors, write_text
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.environment.prompts import encode
from projected_grpo.models import base, export
from projected_grpo.reporting.verdicts import decided

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
arm, settings = snakemake.wildcards.arm, dict(params.export)
prompts = settings.pop("prompts")
config = export.ExportConfig(**settings)
directory = base.directory_of(inputs.base)
how = base.Compute(**params.compute), params.quarantine_rank
model, tokenizer, adapter = base.load_adapted(directory, *how, as_transformers=True)
knobs, source = read_tensors(inputs.knobs)
shown = [encode(tokenizer, problem) for problem in read_problems(inputs.problems)[:prompts]]
made = model, tokenizer, adapter, knobs, config, shown, params.max_new_tokens
fidelity = export.export(Path(output.card).parent, *made)
evaluated = run_views(read_table(inputs.evaluation, EVALUATION), arm)["full", "deployed", True, "sample"]
rates = {rate: float(evaluated.at(evaluated.steps[-1])[rate].mean()) for rate in export.RATES}
claim = json.loads(Path(inputs.verdicts).read_text(encoding="utf-8"))["claims"][arm] if inputs.verdicts else {}
verdict = [line for hypothesis, result in claim.items() for line in decided(hypothesis, result)]
name = f"{arm}, replicate {snakemake.wildcards.replicate}"
judged = rates, len(evaluated.problems), verdict
text = export.model_card(name, str(directory), config, fidelity, *judged, source, params.note)
write_text(output.card, text)
print(fidelity)
