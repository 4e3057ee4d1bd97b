"""Logs of Inspect, on request: `snakemake -j1 results/inspect/replicate1/{arm}/evaluation.eval`. Needs inspect_ai.

in   a run's evaluation or its rollouts, and the problems that they answer
out  {results}/inspect/replicate{n}/{arm}/evaluation.eval    the completions that the tables count
     {results}/inspect/replicate{n}/{arm}/step{step}.eval    the rollouts of one step of training
"""


rule inspect:
    input:
        problems=lambda wildcards: f"{RESULTS}/problems/{'evaluation' if wildcards.log == 'evaluation' else 'train'}.parquet",
        rows=lambda wildcards: f"{REPLICATE}/runs/{{arm}}/{'evaluation' if wildcards.log == 'evaluation' else 'rollouts'}.parquet",
        steps=f"{REPLICATE}/runs/{{arm}}/steps.parquet",
    output:
        f"{RESULTS}/inspect/replicate{{replicate}}/{{arm}}/{{log}}.eval",
    log:
        f"{RESULTS}/logs/inspect/{{arm}}_replicate{{replicate}}_{{log}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/inspect/{{arm}}_replicate{{replicate}}_{{log}}.tsv"
    wildcard_constraints:
        log=r"evaluation|step[1-9]\d*",
    conda:
        "../envs/inspect.yaml"
    threads: 1
    resources:
        **needs("inspect", mem_mb=2000, runtime=10),
    params:
        code=code_version("workflow_scripts/inspect_logs.py"),
    script:
        "../workflow_scripts/inspect_logs.py"
