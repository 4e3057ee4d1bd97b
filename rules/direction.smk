"""Hack directions and their controls.

in   the base model, its factors, the pairs of the direction's subset
out  {results}/replicate{n}/directions/{direction}/V.safetensors      {module}.V (k, r) and {module}.S (k,)
     {results}/replicate{n}/directions/{direction}/summary.parquet    V's own test on held-out pairs
"""


rule direction:
    input:
        base=BASE,
        pairs=lambda wildcards: pairs_file(wildcards.direction),
    output:
        V=f"{REPLICATE}/directions/{{direction}}/V.safetensors",
        summary=f"{REPLICATE}/directions/{{direction}}/summary.parquet",
    log:
        f"{RESULTS}/logs/direction/{{direction}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/direction/{{direction}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("direction", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/direction.py"),
        packages=PACKAGES,
        direction=lambda wildcards: direction_spec(config, wildcards.direction),
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        modes=config["modes"],
        group={
            key: config["train"][key]
            for key in ("group_size", "prompts_per_step", "max_new_tokens")
        },
        temperature=config["train"]["temperature"],
        token_budget=config["train"]["token_budget"],
        checkpointing=config["train"]["gradient_checkpointing"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/direction.py"
