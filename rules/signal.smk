"""Signals and their twins, as far as they are fitted: `detector` and `truth` are not.

in   the base model, its factors, the pairs of the signal's subset, of `overlap` its V
out  {results}/replicate{n}/signals/{signal}/weights.safetensors  what was fitted, of signal and twin; the threshold
     {results}/replicate{n}/signals/{signal}/summary.parquet      its own test on held-out pairs
"""


rule signal:
    input:
        base=BASE,
        pairs=lambda wildcards: signal_pairs(wildcards.signal),
        V=lambda wildcards: signal_direction(wildcards.signal),
    output:
        weights=f"{REPLICATE}/signals/{{signal}}/weights.safetensors",
        summary=f"{REPLICATE}/signals/{{signal}}/summary.parquet",
    log:
        f"{RESULTS}/logs/signal/{{signal}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/signal/{{signal}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("signal", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/signal.py"),
        own=lambda wildcards: own_code(signal_spec(config, wildcards.signal)["kind"]),
        packages=PACKAGES,
        signal=lambda wildcards: signal_spec(config, wildcards.signal),
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        modes=config["modes"],
        temperature=config["train"]["temperature"],
        token_budget=config["train"]["token_budget"],
        checkpointing=config["train"]["gradient_checkpointing"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/signal.py"
