"""Hack directions and their controls.

in   the base model, its factors, the pairs of the direction's subset
out  {results}/directions/{direction}/draw{draw}/V.safetensors      {module}.V (k, r) and {module}.S (k,)
     {results}/directions/{direction}/draw{draw}/summary.parquet    V's own test on held-out pairs
"""


rule direction:
    input:
        base=BASE,
        pairs=lambda wildcards: pairs_file(wildcards.direction),
    output:
        V=f"{RESULTS}/directions/{{direction}}/draw{{draw}}/V.safetensors",
        summary=f"{RESULTS}/directions/{{direction}}/draw{{draw}}/summary.parquet",
    log:
        f"{RESULTS}/logs/direction/{{direction}}_draw{{draw}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/direction/{{direction}}_draw{{draw}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("direction", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/direction.py"),
        packages=PACKAGES,
        direction=lambda wildcards: direction_spec(config, wildcards.direction),
        modes=config["modes"],
        group={
            key: config["train"][key]
            for key in ("group_size", "prompts_per_step", "max_new_tokens")
        },
        token_budget=config["train"]["token_budget"],
        checkpointing=config["train"]["gradient_checkpointing"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/direction.py"
