"""Tables and figures.

in   steps and evaluations of the table's runs, the summaries of their directions
out  {results}/table1.csv, table1.md    one row per arm; the same to read, with the doubts of method 9
     {results}/h1.json                  the verdicts H1 and H1s and the clauses that decided them
     {results}/figures/*.{png,svg}
     {results}/pages/*.html             for `make report`: table 1, sample rollouts, config and software
"""


rule table1:
    input:
        evaluations=runs("table1", "evaluation.parquet"),
        steps=runs("table1", "steps.parquet"),
        directions=direction_summaries("table1"),
    output:
        csv=report(
            f"{RESULTS}/table1.csv",
            caption="../report/numbers.rst",
            category="Tables",
            labels={"what": "numbers in full", "table": "1"},
        ),
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
        shown("figures", FIGURES, "png", "Figures"),
        expand(f"{RESULTS}/figures/{{figure}}.svg", figure=FIGURES),
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


rule pages:
    input:
        table=f"{RESULTS}/table1.md",
        problems=f"{RESULTS}/problems/evaluation.parquet",
        evaluations=expand(
            f"{RESULTS}/runs/{config['tables']['table1'][0]}/seed{{seed}}/evaluation.parquet",
            seed=SEEDS,
        ),
    output:
        **{Path(page).stem: page for page in shown("pages", PAGES, "html", "Pages")},
    log:
        f"{RESULTS}/logs/pages.log",
    benchmark:
        f"{RESULTS}/benchmarks/pages.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code_version("workflow_scripts/pages.py"),
        arm=config["tables"]["table1"][0],
        seeds=SEEDS,
        modes=config["modes"],
        config=canonical(config),
        note=NOTE,
    script:
        "../workflow_scripts/pages.py"
