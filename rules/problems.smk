"""Problems.

in   nothing (kind organism: generated from their seed), or the file of LeetCode rows that problems.path names
out  {results}/problems/{split}.parquet    train, pairs and evaluation: disjoint, one loophole mode each
"""


rule problems:
    input:
        config["problems"]["path"] or [],
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
        splits=PROBLEM_SPLITS,
    script:
        "../workflow_scripts/problems.py"
