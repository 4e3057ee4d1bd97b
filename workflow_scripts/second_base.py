"""The arms that were trained from two base models, side by side."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import pandas as pd

from projected_grpo import artifacts, claims, horizon, measurements, tables

params, output = snakemake.params, snakemake.output
claimed = claims.claims_of(params.arms)
studies = {
    seed: measurements.read_study(runs, params.arms, params.seeds, claimed, None) for seed, runs in params.runs.items()
}
made = {seed: tables.table1(study) for seed, study in studies.items()}
verdicts = {seed: claims.h1(study) for seed, study in studies.items()}
both = pd.concat([table.assign(model_seed=seed) for seed, table in made.items()], ignore_index=True)
text = horizon.render_bases(studies, made, verdicts, params.note)
artifacts.write_atomic(output.csv, lambda path: both.to_csv(path, index=False))
artifacts.write_atomic(output.markdown, lambda path: path.write_text(text))
