"""Evaluation of every run on held-out problems.

in   the run's knobs, the base model, the evaluation problems
out  {results}/replicate{n}/start.parquet                  the rows of step 0, the same for all arms, sampled once
     {results}/replicate{n}/runs/{arm}/evaluation.parquet    one row per completion: the last step in full, a fixed
                                                           subset along the run, on a finer grid where (b) stops it
     {results}/replicate{n}/detection.parquet                V tried on single live rollouts of the first trained arm
"""


rule evaluate_start:
    input:
        base=BASE_FILES,
        problems=f"{RESULTS}/problems/evaluation.parquet",
    output:
        f"{REPLICATE}/start.parquet",
    log:
        f"{RESULTS}/logs/evaluate_start/replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_start/replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("evaluate_start", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/evaluate_start.py"),
        packages=PACKAGES,
        subset=config["evaluation"]["subset"],
        samples=config["evaluation"]["subset_samples"],
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        sandbox=config["grading"]["sandbox"],
        temperature=config["train"]["temperature"],
        max_new_tokens=config["train"]["max_new_tokens"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/evaluate_start.py"


rule evaluate:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/evaluation.parquet",
        start=f"{REPLICATE}/start.parquet",
        checkpoints=f"{REPLICATE}/runs/{{arm}}/checkpoints.safetensors",
    output:
        f"{REPLICATE}/runs/{{arm}}/evaluation.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{arm}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{arm}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("evaluate", mem_mb=2000, runtime=30),
    params:
        code=code_version("workflow_scripts/evaluate.py"),
        packages=PACKAGES,
        evaluation=lambda wildcards: evaluation_settings(config, wildcards.arm),
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
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
        rollouts=f"{REPLICATE}/runs/{FIRST_ARM}/rollouts.parquet",
        checkpoints=f"{REPLICATE}/runs/{FIRST_ARM}/checkpoints.safetensors",
        V=[
            f"{REPLICATE}/directions/{name}/V.safetensors"
            for name in tried_directions()
        ],
        signals=[
            f"{REPLICATE}/signals/{name}/weights.safetensors"
            for name in tried_signals()
        ],
    output:
        f"{REPLICATE}/detection.parquet",
    log:
        f"{RESULTS}/logs/detection/replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/detection/replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("detection", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/detection.py"),
        packages=PACKAGES,
        directions=Brief(
            {name: direction_spec(config, name) for name in tried_directions()}
        ),
        signals=Brief({name: signal_spec(config, name) for name in tried_signals()}),
        own=[own_code(config["signals"][name]["kind"]) for name in tried_signals()],
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        temperature=train_settings(config, FIRST_ARM)["temperature"],
        token_budget=config["train"]["token_budget"],
        checkpointing=config["train"]["gradient_checkpointing"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/detection.py"
