"""Problems.

in   nothing: the organism's problems are generated from their seed
out  {results}/problems/{split}.parquet    train, pairs and evaluation: disjoint, one loophole mode each
"""


rule problems:
    output:
        f"{RESULTS}/problems/{{split}}.parquet",
    log:
        f"{RESULTS}/logs/problems/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/problems/{{split}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_version("workflow_scripts/problems.py"),
        packages=PACKAGES,
        problems=config["problems"],
        modes=config["modes"],
    script:
        "../workflow_scripts/problems.py"
