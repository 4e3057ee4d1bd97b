"""The pages of the HTML report."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

import pandas as pd

from projected_grpo.artifacts.io import read_provenance, read_table, write_text
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.evaluation import EVALUATION
from projected_grpo.reporting import html

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
tables = [read_table(path, EVALUATION) for path in inputs.evaluations]
rows = pd.concat([table.assign(replicate=n) for table, n in zip(tables, params.replicates, strict=True)])
problems = read_problems(inputs.problems)
source = read_provenance(inputs.evaluations[0])
packages = {"python": source["python"], **source["packages"]}
made = {
    output.table1: html.document(Path(inputs.table).read_text(encoding="utf-8")),
    output.samples: html.samples(rows, problems, params.modes, params.arm, params.note),
    output.setup: html.setup(params.config, packages, params.note),
}
for path, text in made.items():
    write_text(path, text)
