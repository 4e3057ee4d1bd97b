"""Base model.

in   nothing: the organism is trained from its seed, another model is read from a hub, a directory or a GGUF file
out  {results}/replicate{n}/base/            a Hugging Face directory, safetensors weights, and how it was made
     {results}/replicate{n}/base/factors/    the SVD of every target Linear, a file per decoder layer, named by the hash
                                             of the weights
     {results}/base/                         the same, of a model that all replicates share (kinds hf and gguf)
"""


rule base_model:
    input:
        model_file(),
    output:
        BASE_FILES,
        directory(f"{BASE_HOME}/factors"),
    log:
        f"{RESULTS}/logs/{BASE_JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BASE_JOB}.tsv"
    priority: 1  # a whole replicate waits for it, and it is the longest job
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("base_model", mem_mb=2000, runtime=30),
    params:
        code=code_version("workflow_scripts/base_model.py"),
        packages=PACKAGES,
        model=lambda wildcards: model_spec(config, wildcards.get("replicate", 0)),
        files=contents(config["model"]["id"]),
        modes=config["modes"],
        sandbox=config["grading"]["sandbox"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/base_model.py"
