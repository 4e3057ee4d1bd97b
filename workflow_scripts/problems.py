"""Generate one split of the organism's problems, or cut it from a file of LeetCode rows."""

from projected_grpo.errors import log_to

log_to(snakemake.log[0])

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.artifacts.schemas.problems import PROBLEMS
from projected_grpo.environment.problems import to_row
from projected_grpo.environment.prompts import for_chat
from projected_grpo.environment.splits import draw_splits
from projected_grpo.organism.families import generate

params, split = snakemake.params, snakemake.wildcards.split
section = params.problems
if section["kind"] == "leetcode":
    files = dict(zip(params.splits, snakemake.input, strict=True))
    sizes = {name: section[name] for name in params.splits}
    problems = draw_splits(files, sizes, section["seed"], params.modes, section["exclude"])[split]
else:
    drawn_from = section["heldout"] if split == "evaluation" else split
    problems = generate(drawn_from, section[split], section["seed"], params.modes, section["families"])
    problems = [for_chat(problem) for problem in problems] if section["chat"] else problems
source = provenance(dict(params.items()), params.code, section["seed"])
write_table(snakemake.output[0], [to_row(p) for p in problems], PROBLEMS, source)
