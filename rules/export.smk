"""Export, on request: `snakemake -j1 results/replicate1/export/{arm}/README.md`.

in   the base model, the run's trained knobs, held-out problems for the comparison; for the card, the run's evaluation
     and the verdicts of table 1, if that judges the arm
out  {results}/replicate{n}/export/{arm}/    a plain Hugging Face checkpoint of the deployed model, with its model card
     {results}/replicate{n}/peft/{arm}/      with export.format peft: the same as a LoRA
"""

if config["export"]["format"] == "peft":
    EXPORT = f"{REPLICATE}/peft/{{arm}}"
    WRITTEN = ["adapter_model.safetensors", "adapter_config.json"]
else:
    EXPORT = f"{REPLICATE}/export/{{arm}}"
    WRITTEN = ["model.safetensors", "config.json", "generation_config.json"]


rule export:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/evaluation.parquet",
        knobs=f"{REPLICATE}/runs/{{arm}}/adapter.safetensors",
        evaluation=f"{REPLICATE}/runs/{{arm}}/evaluation.parquet",
        verdicts=lambda wildcards: (
            f"{RESULTS}/h1.json" if wildcards.arm in claims(PLAIN, "table1") else []
        ),
    output:
        card=f"{EXPORT}/README.md",
        written=[f"{EXPORT}/{name}" for name in WRITTEN],
        tokenizer=[
            f"{EXPORT}/{name}"
            for name in [
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja",
            ]
        ],
    log:
        f"{RESULTS}/logs/export/{{arm}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export/{{arm}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("export", mem_mb=2000, runtime=15),
    params:
        code=code_version("workflow_scripts/export.py"),
        packages=PACKAGES,
        export=config["export"],
        quarantine_rank=lambda wildcards: quarantine_rank(wildcards.arm),
        max_new_tokens=config["train"]["max_new_tokens"],
        compute=COMPUTE,
        note=NOTE,
    script:
        "../workflow_scripts/export.py"
