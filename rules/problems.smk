"""Problems.

in   nothing (kind organism: generated from their seed), or the files of problems that problems.files names
out  {results}/sources/{source}            a file that is fetched, with its URL and SHA-256 beside it
     {results}/problems/{split}.parquet    train, pairs and evaluation: disjoint, one loophole mode each
"""


rule fetch:
    output:
        # Where config does not know the SHA-256 this only notices a file that changed while it was written.
        file=ensure(
            f"{RESULTS}/sources/{{source}}",
            sha256=lambda wildcards: config["problems"]["sha256"][wildcards.source]
            or recorded_sha256(wildcards.source),
        ),
        record=f"{RESULTS}/sources/{{source}}.json",
    log:
        f"{RESULTS}/logs/fetch/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch/{{source}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **needs("fetch", mem_mb=1000, runtime=10),
    params:
        code=code_version("workflow_scripts/fetch.py"),
        url=lambda wildcards: URLS[wildcards.source],
    script:
        "../workflow_scripts/fetch.py"


rule problems:
    input:
        [problem_file(split) for split in PROBLEM_SPLITS],
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
        **needs("problems", mem_mb=1000, runtime=10),
    params:
        code=code_version("workflow_scripts/problems.py"),
        packages=PACKAGES,
        problems=config["problems"],
        modes=config["modes"],
        splits=PROBLEM_SPLITS,
    script:
        "../workflow_scripts/problems.py"
