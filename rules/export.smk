"""Export, on request: `snakemake results/export/{arm}/seed{seed}/README.md`.

in   the base model, the run's trained knobs, held-out problems for the comparison
out  {results}/export/{arm}/seed{seed}/    a plain Hugging Face checkpoint of the deployed model, with its model card
"""


rule export:
    input:
        base=BASE,
        problems=f"{RESULTS}/problems/evaluation.parquet",
        knobs=f"{RESULTS}/runs/{{arm}}/seed{{seed}}/adapter.safetensors",
    output:
        card=f"{RESULTS}/export/{{arm}}/seed{{seed}}/README.md",
        weights=f"{RESULTS}/export/{{arm}}/seed{{seed}}/model.safetensors",
        rest=[
            f"{RESULTS}/export/{{arm}}/seed{{seed}}/{name}"
            for name in [
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja",
            ]
        ],
    log:
        f"{RESULTS}/logs/export/{{arm}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export/{{arm}}_seed{{seed}}.tsv"
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
