"""Generate one split of the organism's problems."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from projected_grpo import artifacts
from projected_grpo.environment.problems import to_row
from projected_grpo.organism.families import generate

params, split = snakemake.params, snakemake.wildcards.split
section = params.problems
drawn_from = section["heldout"] if split == "evaluation" else split
problems = generate(drawn_from, section[split], section["seed"], params.modes, section["families"])
source = artifacts.provenance({"problems": section, "modes": params.modes}, params.code, section["seed"])
artifacts.write_table(snakemake.output[0], [to_row(p) for p in problems], artifacts.PROBLEMS, source)
