"""Projected GRPO: does projecting a hack direction out of the gradient stop reward hacking?

base model -> teacher pool -> pairs -> directions -> training per arm and seed -> evaluation -> tables and figures.
Used as `snakemake -j4 results/table1.csv`; config.yaml explains every setting.
"""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/model.smk"
include: "rules/problems.smk"
include: "rules/teacher.smk"
include: "rules/direction.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/export.smk"


if "second_base" in TABLES:

    module second:
        snakefile:
            "Snakefile"
        config:
            SECOND

    use rule base_model from second as second_base_model

    use rule problems from second as second_problems

    use rule teacher_pool from second as second_teacher_pool

    use rule pool_subset from second as second_pool_subset

    use rule pairs from second as second_pairs

    use rule direction from second as second_direction

    use rule train from second as second_train

    use rule evaluate from second as second_evaluate


rule all:
    default_target: True
    input:
        expand(f"{RESULTS}/{{table}}.csv", table=TABLES),
        expand(f"{RESULTS}/figures/{{figure}}.png", figure=[*FIGURES, *table_figures()]),
        f"{RESULTS}/checks.md",
        expand(f"{RESULTS}/pages/{{page}}.html", page=[*PAGES, *TABLE_PAGES]),
