"""Evaluation of every run on held-out problems.

in   the run's knobs, the base model, the evaluation problems
out  {results}/runs/{arm}/seed{seed}/evaluation.parquet    one row per completion: the last step in full, a fixed
                                                           subset along the run
     {results}/detection/seed{seed}.parquet                V tried on single live rollouts of the first arm
"""


rule evaluate:
    input:
        base=BASE,
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
        **needs("evaluate", mem_mb=2000, runtime=30),
    params:
        code=code_version("workflow_scripts/evaluate.py"),
        packages=PACKAGES,
        evaluation=config["evaluation"],
        last=lambda wildcards: steps_of(config, wildcards.arm),
        quarantine_rank=lambda wildcards: quarantine_rank(wildcards.arm),
        sandbox=config["grading"]["sandbox"],
        temperature=config["train"]["temperature"],
        max_new_tokens=config["train"]["max_new_tokens"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/evaluate.py"


rule detection:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/train.parquet",
        rollouts=f"{RESULTS}/runs/{FIRST_ARM}/seed{{seed}}/rollouts.parquet",
        checkpoints=f"{RESULTS}/runs/{FIRST_ARM}/seed{{seed}}/checkpoints.safetensors",
        V=lambda wildcards: [
            direction_path(name, wildcards.seed) for name in detectors()
        ],
    output:
        f"{RESULTS}/detection/seed{{seed}}.parquet",
    log:
        f"{RESULTS}/logs/detection/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/detection/seed{{seed}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("detection", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/detection.py"),
        packages=PACKAGES,
        subsets={name: direction_spec(config, name)["subset"] for name in detectors()},
        token_budget=config["train"]["token_budget"],
        checkpointing=config["train"]["gradient_checkpointing"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/detection.py"
