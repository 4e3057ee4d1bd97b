"""Figures, and the pages of the HTML report.

in   tables, and the steps and evaluations of their runs
out  {results}/figures/*.{png,svg}
     {results}/pages/*.html             for `make report`: the tables, config and software
     {results}/pages/arms/{arm}.html    every arm's runs, curves and sample rollouts
"""


rule figures:
    input:
        evaluations=runs("table1", "evaluation.parquet"),
        steps=runs("table1", "steps.parquet"),
    output:
        shown("figures", figures_of("table1"), "png", "Figures"),
        expand(f"{RESULTS}/figures/{{figure}}.svg", figure=figures_of("table1")),
    log:
        f"{RESULTS}/logs/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("figures", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/figures.py"),
        arms=Brief(table_arms(config, "table1")),
        replicates=replicates_of(config, "table1"),
        claims=Brief(claims(PLAIN, "table1")),
        ceiling=ceiling(config, "table1"),
        note=NOTE,
    script:
        "../workflow_scripts/figures.py"


rule table_figures:
    input:
        table2=f"{RESULTS}/table2.csv" if "table2" in TABLES else [],
        table3=f"{RESULTS}/table3.csv" if "table3" in TABLES else [],
        table3_runs=(
            files_in_turn(in_turn(PLAIN).values(), "evaluation.parquet")
            + files_in_turn(in_turn(PLAIN).values(), "steps.parquet")
        ),
        horizon=runs("horizon", "evaluation.parquet") + runs("horizon", "steps.parquet"),
    output:
        shown("figures", figures_of(*DRAWN_TOGETHER), "png", "Figures"),
        expand(f"{RESULTS}/figures/{{figure}}.svg", figure=figures_of(*DRAWN_TOGETHER)),
    log:
        f"{RESULTS}/logs/table_figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/table_figures.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("table_figures", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/table_figures.py"),
        arms=Brief(table_arms(config, "horizon")),
        replicates=replicates_of(config, "horizon"),
        claims=Brief(claims(PLAIN, "horizon")),
        ceiling=ceiling(config, "horizon"),
        table3=Brief(TABLE_3),
        note=NOTE,
    script:
        "../workflow_scripts/table_figures.py"


rule pages:
    input:
        table=f"{RESULTS}/table1.md",
        arms=arm_pages("table1"),
        evaluation=run_files([FIRST_ARM], config["replicates"], "evaluation.parquet")[0],
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
        **needs("pages", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/pages.py"),
        config=Brief(canonical(config)),
        note=NOTE,
    script:
        "../workflow_scripts/pages.py"


rule arm_page:
    input:
        problems=f"{RESULTS}/problems/evaluation.parquet",
        evaluations=lambda wildcards: run_files(
            [wildcards.arm], GRID[wildcards.arm], "evaluation.parquet"
        ),
        tokenizers=lambda wildcards: [
            f"{BASE_HOME}/tokenizer.json".format(replicate=n)
            for n in GRID[wildcards.arm]
        ],
    output:
        report(
            f"{RESULTS}/pages/arms/{{arm}}.html",
            caption="../report/arm.rst",
            category="Arms",
            labels={"arm": "{arm}"},
        ),
    log:
        f"{RESULTS}/logs/arm_page/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/arm_page/{{arm}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **needs("arm_page", mem_mb=2000, runtime=10),
    params:
        code=code_version("workflow_scripts/arm_page.py"),
        packages=PACKAGES,
        replicates=lambda wildcards: GRID[wildcards.arm],
        modes=config["modes"],
        started=lambda wildcards: "start" in config["arms"][wildcards.arm],
        note=NOTE,
    script:
        "../workflow_scripts/arm_page.py"


rule table_page:
    input:
        table=f"{RESULTS}/{{page}}.md",
        arms=lambda wildcards: arm_pages(wildcards.page),
    output:
        report(
            f"{RESULTS}/pages/{{page}}.html",
            caption="../report/pages.rst",
            category="Pages",
            labels={"what": "{page}", "table": "{page}"},
        ),
    log:
        f"{RESULTS}/logs/pages/{{page}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pages/{{page}}.tsv"
    wildcard_constraints:
        page="|".join(TABLE_PAGES),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("table_page", mem_mb=1000, runtime=10),
    params:
        code=code_version("workflow_scripts/table_page.py"),
        folds=lambda wildcards: runs_in_folds(wildcards.page),
    script:
        "../workflow_scripts/table_page.py"
