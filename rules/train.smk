"""Training: one run per arm and replicate.

in   the base model, its factors, the train problems, the teacher pool, and as the arm needs them: V; its signal; the
     pairs, to refresh V; further V, to measure; the steps of the arm whose twin it is, to flag as many; the knobs
     of the arm that it starts from
out  {results}/replicate{n}/runs/{arm}/steps.parquet              one row per optimizer step
     {results}/replicate{n}/runs/{arm}/rollouts.parquet           every rollout with its verdict
     {results}/replicate{n}/runs/{arm}/timing.parquet             seconds per phase, exempt from byte-identity
     {results}/replicate{n}/runs/{arm}/adapter.safetensors        the trained knobs
     {results}/replicate{n}/runs/{arm}/checkpoints.safetensors    the knobs every N steps
     {results}/replicate{n}/runs/{arm}/resume/    undeclared: where an interrupted run resumes; removed when it is complete
"""


rule train:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/train.parquet",
        pool=lambda wildcards: f"{REPLICATE}/pools/{subset_of(config, wildcards.arm)}.parquet",
        V=lambda wildcards: direction_file(wildcards.arm),
        signal=lambda wildcards: signal_file(wildcards.arm),
        pairs=lambda wildcards: refresh_pairs(wildcards.arm),
        measured=lambda wildcards: measured_files(wildcards.arm),
        partner=lambda wildcards: partner_file(wildcards.arm),
        start=lambda wildcards: start_file(wildcards.arm),
    output:
        steps=f"{REPLICATE}/runs/{{arm}}/steps.parquet",
        rollouts=f"{REPLICATE}/runs/{{arm}}/rollouts.parquet",
        timing=f"{REPLICATE}/runs/{{arm}}/timing.parquet",
        adapter=f"{REPLICATE}/runs/{{arm}}/adapter.safetensors",
        checkpoints=f"{REPLICATE}/runs/{{arm}}/checkpoints.safetensors",
    log:
        f"{RESULTS}/logs/train/{{arm}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{arm}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("train", mem_mb=2000, runtime=60, resumes=True),
    params:
        code=code_version("workflow_scripts/train.py"),
        own=lambda wildcards: own_code(
            (signal_of(config, wildcards.arm) or {}).get("kind"),
            config["arms"][wildcards.arm].get("action"),
        ),
        packages=PACKAGES,
        train=lambda wildcards: train_settings(config, wildcards.arm),
        arm=lambda wildcards: training_spec(config, wildcards.arm),
        direction=lambda wildcards: direction_of(config, wildcards.arm),
        signal=lambda wildcards: signal_of(config, wildcards.arm),
        subset=lambda wildcards: subset_of(config, wildcards.arm),
        seeds=lambda wildcards: seeds_of(config, wildcards.replicate),
        modes=config["modes"],
        sandbox=config["grading"]["sandbox"],
        compute=COMPUTE,
        resume=f"{REPLICATE}/runs/{{arm}}/resume",
    script:
        "../workflow_scripts/train.py"
