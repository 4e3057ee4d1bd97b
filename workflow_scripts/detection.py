"""Try every V and every fitted signal as a detector of single rollouts of one run."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.portable import compute_alike

compute_alike(snakemake.params.compute)

from projected_grpo.artifacts.io import read_table, read_tensors, write_table
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.detection import DETECTION
from projected_grpo.artifacts.schemas.train import ROLLOUTS
from projected_grpo.evaluation.detectors import Detector, bare, detect_rollouts
from projected_grpo.method.direction import usable
from projected_grpo.models import base
from projected_grpo.teacher.extraction import load_direction
from projected_grpo.teacher.signals import in_use

params, inputs = snakemake.params, snakemake.input
model, tokenizer, adapter = base.load_adapted(base.directory_of(inputs.base), base.Compute(**params.compute))
problems = read_problems(inputs.problems)
rollouts = read_table(inputs.rollouts, ROLLOUTS)
checkpoints, _ = read_tensors(inputs.checkpoints)
detectors = {}
for (name, spec), path in zip(params.directions.items(), inputs.V, strict=True):
    V = usable(load_direction(path, adapter, spec["subset"]))
    detectors[name] = bare(V, spec["subset"], spec["kind"] != "hack")
for (name, spec), path in zip(params.signals.items(), inputs.signals, strict=True):
    for twin in (False, True):
        signal, _ = in_use(spec, path, twin, ())
        detectors[f"{name}_twin" if twin else name] = Detector(signal, spec["subset"], twin, not twin)
how = params.temperature, params.token_budget, params.seed, params.checkpointing
rows = detect_rollouts(model, tokenizer, adapter, problems, rollouts, checkpoints, detectors, *how)
source = provenance(dict(params.items()), params.code, params.seed)
write_table(snakemake.output[0], rows, DETECTION, source)
