"""Tables and figures.

in   steps and evaluations of the table's runs, the summaries of their directions
out  {results}/table1.csv, table1.md    one row per arm; the same to read, with the doubts of method 9
     {results}/h1.json                  the verdicts H1 and H1s and the clauses that decided them
     {results}/figures/*.{png,svg}
"""


rule table1:
    input:
        evaluations=runs("table1", "evaluation.parquet"),
        steps=runs("table1", "steps.parquet"),
        directions=direction_summaries("table1"),
    output:
        csv=f"{RESULTS}/table1.csv",
        markdown=f"{RESULTS}/table1.md",
        h1=f"{RESULTS}/h1.json",
    log:
        f"{RESULTS}/logs/table1.log",
    benchmark:
        f"{RESULTS}/benchmarks/table1.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code_version("workflow_scripts/table1.py"),
        arms=table_arms("table1"),
        seeds=SEEDS,
        claims=config["claims"],
        ceiling=config["ceiling"],
        note=NOTE,
    script:
        "../workflow_scripts/table1.py"


rule figures:
    input:
        evaluations=runs("table1", "evaluation.parquet"),
        steps=runs("table1", "steps.parquet"),
    output:
        expand(
            f"{RESULTS}/figures/{{figure}}.{{kind}}",
            figure=FIGURES,
            kind=["png", "svg"],
        ),
    log:
        f"{RESULTS}/logs/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code_version("workflow_scripts/figures.py"),
        arms=table_arms("table1"),
        seeds=SEEDS,
        claims=config["claims"],
        ceiling=config["ceiling"],
        note=NOTE,
    script:
        "../workflow_scripts/figures.py"
