"""Training: one run per arm and seed.

in   the base model, its factors, the train problems, the teacher pool, V (and the pairs, for arms that refresh V)
out  {results}/runs/{arm}/seed{seed}/steps.parquet              one row per optimizer step
     {results}/runs/{arm}/seed{seed}/rollouts.parquet           every rollout with its verdict
     {results}/runs/{arm}/seed{seed}/timing.parquet             seconds per phase, exempt from byte-identity
     {results}/runs/{arm}/seed{seed}/adapter.safetensors        the trained knobs
     {results}/runs/{arm}/seed{seed}/checkpoints.safetensors    the knobs every N steps
     {results}/runs/{arm}/seed{seed}/resume/    undeclared: where an interrupted run resumes; removed when it is complete
"""


rule train:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/train.parquet",
        pool=lambda wildcards: f"{RESULTS}/pools/{subset_of(config, wildcards.arm)}.parquet",
        V=lambda wildcards: direction_file(wildcards.arm, wildcards.seed),
        pairs=lambda wildcards: refresh_pairs(wildcards.arm),
    output:
        steps=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/steps.parquet",
        rollouts=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/rollouts.parquet",
        timing=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/timing.parquet",
        adapter=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/adapter.safetensors",
        checkpoints=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/checkpoints.safetensors",
    log:
        f"{RESULTS}/logs/train/{{arm}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{arm}}_seed{{seed}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("train", mem_mb=2000, runtime=60, resumes=True),
    params:
        code=code_version("workflow_scripts/train.py"),
        packages=PACKAGES,
        train=lambda wildcards: train_settings(wildcards.arm),
        arm=lambda wildcards: training_spec(config, wildcards.arm),
        direction=lambda wildcards: direction_of(config, wildcards.arm),
        subset=lambda wildcards: subset_of(config, wildcards.arm),
        modes=config["modes"],
        sandbox=config["grading"]["sandbox"],
        compute=COMPUTE,
        resume=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/resume",
    script:
        "../workflow_scripts/train.py"
