"""A Markdown page of the results, for the HTML report."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo import artifacts, pages

text = pages.document(Path(snakemake.input[0]).read_text())
artifacts.write_atomic(snakemake.output[0], lambda path: path.write_text(text))
