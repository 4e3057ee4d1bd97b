"""The pages of the HTML report."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo import artifacts, pages

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
tables = [artifacts.read_table(path, artifacts.EVALUATION) for path in inputs.evaluations]
rows = pd.concat([table.assign(seed=seed) for table, seed in zip(tables, params.seeds, strict=True)])
problems = artifacts.read_problems(inputs.problems)
source = artifacts.read_provenance(inputs.evaluations[0])
packages = {"python": source["python"], **source["packages"]}
made = {
    output.table1: pages.document(Path(inputs.table).read_text()),
    output.samples: pages.samples(rows, problems, params.modes, params.arm, params.note),
    output.setup: pages.setup(params.config, packages, params.note),
}
for path, text in made.items():
    artifacts.write_atomic(path, lambda temporary, text=text: temporary.write_text(text))
