"""The arms that were trained from two base models, side by side."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo.analysis.study import read_study, sizes
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.verdicts import h1
from projected_grpo.artifacts.io import write_atomic
from projected_grpo.reporting.horizon import render_bases

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
studies = {
    seed: read_study(Path(files[0]).parents[2], params.arms, params.seeds)
    for seed, files in zip(params.model_seeds, (inputs.first, inputs.second), strict=True)
}
tables = {seed: table1(study) for seed, study in studies.items()}
verdicts = {seed: h1(study) for seed, study in studies.items()}
text = render_bases(tables, verdicts, {seed: sizes(study) for seed, study in studies.items()}, params.note)
both = pd.concat([table.assign(model_seed=seed) for seed, table in tables.items()], ignore_index=True)
write_atomic(output.csv, lambda path: both.to_csv(path, index=False))
write_atomic(output.markdown, lambda path: path.write_text(text))
