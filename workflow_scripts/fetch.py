"""Fetch one file and record what came."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

import json
from pathlib import Path

from projected_grpo.environment import sources

record = sources.fetch(snakemake.params.url, snakemake.output.file)
Path(snakemake.output.record).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
print(record)
