"""The pages of the HTML report."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from pathlib import Path

from projected_grpo.artifacts.io import read_provenance, write_text
from projected_grpo.reporting import html

params, inputs, output = snakemake.params, snakemake.input, snakemake.output
source = read_provenance(inputs.evaluation)
packages = {"python": source["python"], **source["packages"]}
links = html.arm_links(inputs.arms, snakemake.report_href)
made = {
    output.table1: html.document(Path(inputs.table).read_text(encoding="utf-8"), links),
    output.setup: html.setup(params.config, packages, params.note),
}
for path, text in made.items():
    write_text(path, text)
