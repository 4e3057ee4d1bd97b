"""Table 2, as CSV and to read, and its verdicts."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json
from pathlib import Path

from projected_grpo.analysis import table2
from projected_grpo.analysis.study import read_study
from projected_grpo.artifacts.io import write_atomic
from projected_grpo.artifacts.provenance import provenance

params, output = snakemake.params, snakemake.output
runs = Path(snakemake.input.evaluations[0]).parents[2]
studies = {mode: read_study(runs, arms, params.seeds, {}, None) for mode, arms in params.folds.items()}
table, verdicts = table2.table2(studies), table2.fold_verdicts(studies)
text = table2.render(studies, table, verdicts, params.note)
verdicts["provenance"] = provenance(dict(params.items()), params.code)
write_atomic(output.csv, lambda path: table.to_csv(path, index=False))
write_atomic(output.markdown, lambda path: path.write_text(text))
write_atomic(output.verdicts, lambda path: path.write_text(json.dumps(verdicts, indent=1) + "\n"))
