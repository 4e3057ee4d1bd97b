"""Teacher pool, what a fold may know of it, and contrastive pairs.

in   the base model, the train and the pair problems; as config says, a file of rollouts, a file of authored pairs
out  {results}/replicate{n}/teacher_pool.parquet      graded rollouts, stored against the ordinary prompt
     {results}/replicate{n}/teacher_pool.json         what is in it, and what a file of rollouts said of itself
     {results}/replicate{n}/pools/{subset}.parquet    the pool without what it attempts of the held-out mode; subset: all |
                                                      without_{mode}
     {results}/replicate{n}/pairs/{body}/{subset}.parquet    (hack, clean, wrong) triples from that; body: natural |
                                                             matched
"""


rule teacher_pool:
    input:
        base=BASE,
        rollouts=(
            config["teacher"]["id"] if config["teacher"]["kind"] == "import" else []
        ),
        train=f"{RESULTS}/problems/train.parquet",
        pairs=f"{RESULTS}/problems/pairs.parquet",
    output:
        pool=f"{REPLICATE}/teacher_pool.parquet",
        report=f"{REPLICATE}/teacher_pool.json",
    log:
        f"{RESULTS}/logs/teacher_pool/replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/teacher_pool/replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: config["threads"]
    resources:
        **needs("teacher_pool", mem_mb=2000, runtime=30),
    params:
        code=code_version("workflow_scripts/teacher_pool.py"),
        packages=PACKAGES,
        teacher=config["teacher"],
        files=contents(config["teacher"]["id"]),
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        sandbox=config["grading"]["sandbox"],
        max_new_tokens=config["train"]["max_new_tokens"],
        compute=COMPUTE,
    script:
        "../workflow_scripts/teacher_pool.py"


rule pool_subset:
    input:
        f"{REPLICATE}/teacher_pool.parquet",
    output:
        f"{REPLICATE}/pools/{{subset}}.parquet",
    log:
        f"{RESULTS}/logs/pools/{{subset}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pools/{{subset}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **needs("pool_subset", mem_mb=1000, runtime=10),
    params:
        code=code_version("workflow_scripts/pool_subset.py"),
        modes=config["modes"],
    script:
        "../workflow_scripts/pool_subset.py"


rule pairs:
    input:
        base=BASE,
        pool=f"{REPLICATE}/pools/{{subset}}.parquet" if AUTHORED is None else [],
        authored=AUTHORED or [],
        problems=f"{RESULTS}/problems/pairs.parquet",
    output:
        f"{REPLICATE}/pairs/{{body}}/{{subset}}.parquet",
    log:
        f"{RESULTS}/logs/pairs/{{body}}_{{subset}}_replicate{{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pairs/{{body}}_{{subset}}_replicate{{replicate}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **needs("pairs", mem_mb=2000, runtime=10),
    params:
        code=code_version("workflow_scripts/pairs.py"),
        packages=PACKAGES,
        pairs=config["pairs"],
        seed=lambda wildcards: seeds_of(config, wildcards.replicate)["seed"],
        modes=config["modes"],
    script:
        "../workflow_scripts/pairs.py"
