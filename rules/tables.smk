"""Tables.

in   steps and evaluations of the table's runs, the summaries of their directions
out  {results}/table1.csv, table1.md    one row per arm; the same to read, with the threats of method 9
     {results}/h1.json                  the verdicts H1 and H1s and the clauses that decided them
     {results}/table2.{csv,md,json}     the weak detector: one row per held-out mode, kind of modes and arm; verdicts
     {results}/table3.{csv,md,json}     signal x action, with what each arm may know; verdicts on held-out modes
     {results}/table4.{csv,md}          ablations, each beside the arm that it is an ablation of
     {results}/horizon.{csv,md,json}    arms with more steps: prevention or delay
     {results}/relearning.{csv,md}      from deployed models, without intervention: how soon is hacking back?
     {results}/doses.{csv,md}           every dose of an arm, and the one that the rule chooses (presets/tuning.yaml)
     {results}/detectors.{csv,md}       every V and signal on the same live rollouts: does it stay calibrated?
     {results}/checks.md                the threats that table 2 decides, and every check, each with its number
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
            labels={"what": "numbers in full", "table": "table1"},
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
        **needs("table1", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/table1.py"),
        arms=Brief(table_arms(config, "table1")),
        replicates=replicates_of(config, "table1"),
        claims=Brief(claims(PLAIN, "table1")),
        ceiling=ceiling(config, "table1"),
        note=NOTE,
    script:
        "../workflow_scripts/table1.py"


rule table2:
    input:
        evaluations=wanted("table2", fold_runs("evaluation.parquet")),
        steps=fold_runs("steps.parquet"),
    output:
        csv=f"{RESULTS}/table2.csv",
        markdown=f"{RESULTS}/table2.md",
        verdicts=f"{RESULTS}/table2.json",
    log:
        f"{RESULTS}/logs/table2.log",
    benchmark:
        f"{RESULTS}/benchmarks/table2.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("table2", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/table2.py"),
        folds=Brief(folds(PLAIN)),
        claims=Brief(claims(PLAIN, "table2")),
        replicates=replicates_of(config, "table2"),
        note=NOTE,
    script:
        "../workflow_scripts/table2.py"


rule table3:
    input:
        evaluations=wanted(
            "table3", files_in_turn(in_turn(PLAIN).values(), "evaluation.parquet")
        ),
        steps=files_in_turn(in_turn(PLAIN).values(), "steps.parquet"),
    output:
        csv=f"{RESULTS}/table3.csv",
        markdown=f"{RESULTS}/table3.md",
        verdicts=f"{RESULTS}/table3.json",
    log:
        f"{RESULTS}/logs/table3.log",
    benchmark:
        f"{RESULTS}/benchmarks/table3.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("table3", mem_mb=2000, runtime=15),
    params:
        **TABLE_3,
        code=code_version("workflow_scripts/table3.py"),
        note=NOTE,
    script:
        "../workflow_scripts/table3.py"


rule relearning:
    input:
        evaluations=wanted("relearning", runs("relearning", "evaluation.parquet")),
        steps=runs("relearning", "steps.parquet"),
    output:
        csv=f"{RESULTS}/relearning.csv",
        markdown=f"{RESULTS}/relearning.md",
    log:
        f"{RESULTS}/logs/relearning.log",
    benchmark:
        f"{RESULTS}/benchmarks/relearning.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("relearning", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/relearning.py"),
        arms=Brief(table_arms(config, "relearning")),
        starts=Brief(
            (arm, config["arms"][arm].get("start"))
            for arm in config["tables"].get("relearning", [])
        ),
        replicates=replicates_of(config, "relearning"),
        note=NOTE,
    script:
        "../workflow_scripts/relearning.py"


rule doses:
    input:
        evaluations=wanted("doses", runs("doses", "evaluation.parquet")),
        steps=runs("doses", "steps.parquet"),
    output:
        csv=f"{RESULTS}/doses.csv",
        markdown=f"{RESULTS}/doses.md",
        figure=f"{RESULTS}/figures/doses.png",
        vector=f"{RESULTS}/figures/doses.svg",
    log:
        f"{RESULTS}/logs/doses.log",
    benchmark:
        f"{RESULTS}/benchmarks/doses.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("doses", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/doses.py"),
        arms=Brief(table_arms(config, "doses")),
        families=Brief(dose_families(config)),
        replicates=replicates_of(config, "doses"),
        note=NOTE,
    script:
        "../workflow_scripts/doses.py"


rule detectors:
    input:
        detected=expand(
            f"{REPLICATE}/detection.parquet", replicate=config["replicates"]
        ),
    output:
        csv=f"{RESULTS}/detectors.csv",
        markdown=f"{RESULTS}/detectors.md",
    log:
        f"{RESULTS}/logs/detectors.log",
    benchmark:
        f"{RESULTS}/benchmarks/detectors.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("detectors", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/detectors.py"),
        note=NOTE,
    script:
        "../workflow_scripts/detectors.py"


rule table4:
    input:
        evaluations=wanted("table4", runs("table4", "evaluation.parquet")),
        steps=runs("table4", "steps.parquet"),
    output:
        csv=f"{RESULTS}/table4.csv",
        markdown=f"{RESULTS}/table4.md",
    log:
        f"{RESULTS}/logs/table4.log",
    benchmark:
        f"{RESULTS}/benchmarks/table4.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("table4", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/table4.py"),
        arms=Brief(table_arms(config, "table4")),
        claims=Brief(claims(PLAIN, "table4")),
        ablations=Brief(ablations(config, "table4")),
        replicates=replicates_of(config, "table4"),
        note=NOTE,
    script:
        "../workflow_scripts/table4.py"


rule horizon:
    input:
        evaluations=wanted(
            "horizon",
            runs("horizon", "evaluation.parquet") + short_runs("evaluation.parquet"),
        ),
        steps=runs("horizon", "steps.parquet") + short_runs("steps.parquet"),
    output:
        csv=f"{RESULTS}/horizon.csv",
        markdown=f"{RESULTS}/horizon.md",
        verdicts=f"{RESULTS}/horizon.json",
    log:
        f"{RESULTS}/logs/horizon.log",
    benchmark:
        f"{RESULTS}/benchmarks/horizon.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("horizon", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/horizon.py"),
        arms=Brief(table_arms(config, "horizon")),
        claims=Brief(claims(PLAIN, "horizon")),
        ceiling=ceiling(config, "horizon"),
        short=Brief(short_table_arms(config)),
        shorter=Brief(short_arms(config)),
        replicates=replicates_of(config, "horizon"),
        note=NOTE,
    script:
        "../workflow_scripts/horizon.py"


rule checks:
    input:
        runs=runs("table1", "evaluation.parquet") + runs("table1", "steps.parquet"),
        folds=fold_runs("evaluation.parquet") + fold_runs("steps.parquet"),
        horizon=runs("horizon", "evaluation.parquet") + runs("horizon", "steps.parquet"),
        directions=direction_summaries("table1"),
        detected=expand(
            f"{REPLICATE}/detection.parquet", replicate=config["replicates"]
        ),
    output:
        f"{RESULTS}/checks.md",
    log:
        f"{RESULTS}/logs/checks.log",
    benchmark:
        f"{RESULTS}/benchmarks/checks.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        **needs("checks", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/checks.py"),
        arms=Brief(table_arms(config, "table1")),
        folds=Brief(folds(PLAIN) if "table2" in TABLES else {}),
        fold_claims=Brief(claims(PLAIN, "table2")),
        long=Brief(table_arms(config, "horizon")),
        replicates={table: replicates_of(config, table) for table in TABLES},
        claims=Brief(claims(PLAIN, "table1")),
        ceiling=ceiling(config, "table1"),
        note=NOTE,
    script:
        "../workflow_scripts/checks.py"
