"""Projected GRPO: does projecting a hack direction out of the gradient stop reward hacking?

base model -> teacher pool -> pairs -> directions and signals -> training per arm and seed -> evaluation -> tables and figures.
Used as `snakemake -j4 results/table1.csv`; config.yaml explains every setting.
"""

from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.current_basedir}/config.yaml"  # wherever it is run from


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/model.smk"
include: "rules/problems.smk"
include: "rules/teacher.smk"
include: "rules/direction.smk"
include: "rules/signal.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/tables.smk"
include: "rules/report.smk"
include: "rules/export.smk"
include: "rules/inspect.smk"


rule all:
    default_target: True
    input:
        expand(f"{RESULTS}/{{table}}.csv", table=TABLES),
        expand(f"{RESULTS}/figures/{{figure}}.png", figure=figures_of(*TABLES)),
        f"{RESULTS}/checks.md",
        f"{RESULTS}/detectors.csv",
        expand(f"{RESULTS}/pages/{{page}}.html", page=[*PAGES, *TABLE_PAGES]),
        expand(f"{RESULTS}/pages/arms/{{arm}}.html", arm=GRID),
