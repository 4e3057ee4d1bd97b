"""Table 2, as CSV and to read, and its verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json
from pathlib import Path

from projected_grpo import artifacts, folds, measurements

params, output = snakemake.params, snakemake.output
runs = Path(snakemake.input.evaluations[0]).parents[2]
studies = {mode: measurements.read_study(runs, arms, params.seeds, {}, None) for mode, arms in params.folds.items()}
table, verdicts = folds.table2(studies), folds.fold_verdicts(studies)
text = folds.render(studies, table, verdicts, params.note)
verdicts["provenance"] = artifacts.provenance(dict(params.items()), params.code)
artifacts.write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
artifacts.write_atomic(output.markdown, lambda path: path.write_text(text))
artifacts.write_atomic(output.verdicts, lambda path: path.write_text(json.dumps(verdicts, indent=1) + "\n"))
