"""Fit one signal and its twin to the pairs, and test them on held-out ones."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import read_table, write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.artifacts.schemas.signal import SIGNAL_SUMMARY
from projected_grpo.models import base
from projected_grpo.teacher.extraction import load_direction
from projected_grpo.teacher.signals import examples, first_built, fit, save_signal, summarize
from projected_grpo.teacher.weak_detector import check_fold, known_modes

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
spec = params.signal
model, tokenizer, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute))
pairs = first_built(read_table(inputs.pairs, PAIRS), spec["pairs"])
check_fold(pairs, known_modes(spec["subset"], params.modes), params.modes, inputs.pairs)
V = load_direction(inputs.V, adapter, spec["subset"]).V if inputs.V else {}
limits = params.temperature, params.token_budget, params.seed, params.checkpointing
seen = examples(model, adapter, tokenizer, pairs, *limits)
fitted = fit(spec["kind"], *seen, V, spec["fpr"], params.seed)
source = provenance(dict(params.items()), params.code, params.seed)
save_signal(output.weights, fitted, source)
write_table(output.summary, summarize(fitted, *seen), SIGNAL_SUMMARY, source)
