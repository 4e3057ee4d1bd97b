"""A Markdown page of the results, for the HTML report."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.artifacts.io import write_text
from projected_grpo.reporting import html

inputs = snakemake.input
links = html.arm_links(inputs.arms, snakemake.report_href)
text = html.document(Path(inputs.table).read_text(encoding="utf-8"), links, *snakemake.params.folds)
write_text(snakemake.output[0], text)
