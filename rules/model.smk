"""Base model.

in   nothing: the organism is trained from its seed, another model is read from a hub or a directory
out  {results}/base/                       a Hugging Face directory, safetensors weights, and how it was made
     {results}/base/factors.safetensors    the SVD of every target Linear, named by the hash of the weights
"""


rule base_model:
    output:
        BASE_FILES,
    log:
        f"{RESULTS}/logs/base_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/base_model.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_version("workflow_scripts/base_model.py"),
        packages=PACKAGES,
        model=model_spec(config),
        modes=config["modes"],
        sandbox=config["grading"]["sandbox"],
        torch_threads=config["threads"],
    script:
        "../workflow_scripts/base_model.py"
