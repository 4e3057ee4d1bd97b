"""Evaluation of every run on held-out problems.

in   the run's knobs, the base model, the evaluation problems
out  {results}/runs/{arm}/seed{seed}/evaluation.parquet    one row per completion: the last step in full, a fixed
                                                           subset along the run
"""


rule evaluate:
    input:
        base=BASE_FILES,
        problems=f"{RESULTS}/problems/evaluation.parquet",
        checkpoints=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/checkpoints.safetensors",
    output:
        f"{RESULTS}/runs/{{arm}}/seed{{seed}}/evaluation.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{arm}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{arm}}_seed{{seed}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_version("workflow_scripts/evaluate.py"),
        packages=PACKAGES,
        evaluation=config["evaluation"],
        last=lambda wildcards: steps_of(config, wildcards.arm),
        quarantine_rank=lambda wildcards: quarantine_rank(wildcards.arm),
        sandbox=config["grading"]["sandbox"],
        temperature=config["train"]["temperature"],
        max_new_tokens=config["train"]["max_new_tokens"],
        torch_threads=config["threads"],
    script:
        "../workflow_scripts/evaluate.py"
