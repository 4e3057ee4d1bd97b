"""Export, on request: `snakemake results/replicate1/export/{arm}/README.md`.

in   the base model, the run's trained knobs, held-out problems for the comparison
out  {results}/replicate{n}/export/{arm}/    a plain Hugging Face checkpoint of the deployed model, with its model card
"""


rule export:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/evaluation.parquet",
        knobs=f"{REPLICATE}/runs/{{arm}}/adapter.safetensors",
    output:
        card=f"{REPLICATE}/export/{{arm}}/README.md",
        weights=f"{REPLICATE}/export/{{arm}}/model.safetensors",
        rest=[
            f"{REPLICATE}/export/{{arm}}/{name}"
            for name in [
                "config.json",
                "generation_config.json",
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
