"""The arms that were trained from two base models, side by side."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo import artifacts, claims, horizon, measurements, tables

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
claimed = claims.claims_of(params.arms)
studies = {
    seed: measurements.read_study(Path(files[0]).parents[2], params.arms, params.seeds, claimed, None)
    for seed, files in zip(params.model_seeds, (inputs.first, inputs.second), strict=True)
}
made = {seed: tables.table1(study) for seed, study in studies.items()}
verdicts = {seed: claims.h1(study) for seed, study in studies.items()}
both = pd.concat([table.assign(model_seed=seed) for seed, table in made.items()], ignore_index=True)
text = horizon.render_bases(studies, made, verdicts, params.note)
artifacts.write_atomic(output.csv, lambda path: both.to_csv(path, index=False))
artifacts.write_atomic(output.markdown, lambda path: path.write_text(text))
