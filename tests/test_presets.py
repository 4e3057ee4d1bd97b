"""Presets of real models: the right jobs are listed anywhere, and the workflow runs with a small model in place."""

import importlib.util
import json
import re

import pandas as pd
import pytest
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from workflow_harness import ROOT, copy_of_the_repository, snakemake

from projected_grpo.environment.problems import load_leetcode
from projected_grpo.environment.splits import draw_splits
from projected_grpo.grading import Grader
from projected_grpo.teacher.pool import LABELS

PRESET = ["presets/qwen3-4b.yaml"]
LEETCODE = ROOT.parent / "shared/data/leetcode_test_medhard.jsonl"
SIMPLE = ROOT / "presets/simple"
SMALL_TABLE = ["base", "vanilla", "vanilla_slow", "erase", "erase_random", "route", "route_random"]
MODES = ["run_tests", "sentinel", "stdout_marker", "file_marker"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def listed(folder, *presets, target):
    done = snakemake(folder, "-n", "--quiet", "rules", "--configfile", *presets, "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in counts}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copy_of_the_repository(tmp_path_factory.mktemp("presets") / "repository")


@pytest.mark.parametrize("more", [[], ["presets/qwen3-4b-long.yaml"]])
def test_the_right_jobs_are_listed_without_a_network_or_a_gpu(folder, more):
    presets = [yaml.safe_load((ROOT / path).read_text()) for path in [*PRESET, *more]]
    jobs = listed(folder, *PRESET, *more, target=f"{presets[-1]['results']}/table1.csv")
    runs = len(presets[0]["tables"]["table1"]) * len(presets[0]["replicates"])
    assert jobs.pop("total") == sum(jobs.values())
    n = len(presets[0]["replicates"])  # of one base model
    assert jobs == {
        "fetch": 3, "base_model": 1, "problems": 3, "teacher_pool": n, "pool_subset": n, "pairs": n,
        "direction": 4 * n, "evaluate_start": n, "train": runs, "evaluate": runs, "table1": 1,
    }  # fmt: skip


def test_every_job_that_runs_the_model_asks_for_a_gpu_and_no_other(folder):
    done = snakemake(folder, "-n", "--configfile", *PRESET)
    _, *parts = re.split(r"^(?:local)?rule (\w+):$", done.stdout + done.stderr, flags=re.MULTILINE)
    jobs = list(zip(parts[::2], parts[1::2], strict=True))
    asked = {rule for rule, text in jobs if "gpu=1" in text}
    preset = yaml.safe_load((ROOT / PRESET[0]).read_text())
    assert asked == preset["resources"].keys() - {"export", "signal"}  # which no arm of its tables asks for
    assert {"table1", "problems", "fetch"} <= {rule for rule, _ in jobs} - asked


def write_tiny_qwen3(directory):
    """A random Qwen3 that reads and writes text: byte-level BPE, and a template that can think."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=special, initial_alphabet=alphabet)
    bpe.train_from_iterator([problem.statement for problem in load_leetcode(LEETCODE)], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}
    Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **shape, **heads)).save_pretrained(directory)


@pytest.fixture(scope="module")
def run(folder):
    """The preset, run whole with a tiny model, the local file and few of everything."""
    if not LEETCODE.is_file():
        pytest.skip("../shared/data/leetcode_test_medhard.jsonl is not here")
    write_tiny_qwen3(folder / "tiny")
    local = dict.fromkeys(("train", "pairs", "evaluation"), str(LEETCODE))
    small = {
        "threads": 1,
        "replicates": [1],
        "model": {"id": "tiny", "revision": None, "device": "cuda" if torch.cuda.is_available() else "cpu"},
        "problems": {"files": local, "train": 12, "pairs": 1, "evaluation": 10},
        "teacher": {"elicited": 1, "ordinary": 0},
        "train": {"steps": 2, "prompts_per_step": 2, "max_new_tokens": 6, "checkpoint_every": 1},
        "evaluation": {"samples": 1, "subset": 6, "subset_samples": 2, "every": 1, "stops_every": 1},
        "resources": {rule: {"mem_mb": 2000, "gpu": 1} for rule in ("train", "evaluate_start", "evaluate")},
        "tables": {"table1": SMALL_TABLE},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    done = snakemake(folder, "-j2", "--resources", "gpu=2", "--configfile", *PRESET, "small.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder / "results/qwen3-4b"


def test_the_preset_runs_whole_with_a_small_model_in_place(run):
    table = pd.read_csv(run / "table1.csv")
    assert list(table["arm"]) == SMALL_TABLE
    assert (table["n_problems"] == 10).all() and table["hack_renamed"].notna().all()
    rows = pd.read_parquet(run / "replicate1/runs/vanilla/evaluation.parquet")
    renamed = rows[rows["scope"] == "renamed"]
    assert set(renamed["mode"]) == {"run_tests"} and len(renamed) == 3
    report = json.loads((run / "base/model.json").read_text())
    assert report["dtype"] == "bfloat16" and report["end_of_turn"] == "<|im_end|>"
    assert len(list((run / "base/factors").glob("*.safetensors"))) == 2
    assert (run / "checks.md").exists() and (run / "pages/table1.html").exists()


def test_the_files_beside_the_presets_are_what_their_script_writes(tmp_path):
    spec = importlib.util.spec_from_file_location("write", SIMPLE / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_text() == (SIMPLE / path.name).read_text(), path.name
    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in SIMPLE.iterdir() if p.suffix != ".py"}


def test_the_simple_problems_are_solved_by_their_canonical_programs_and_by_no_wrong_one():
    solved = []
    with Grader() as grader:
        for split in ("train", "pairs", "evaluation"):
            problems = load_leetcode(SIMPLE / f"{split}.jsonl")
            solved += grader.grade([(p, f"```python\n{p.canonical}```") for p in problems])
        pairs = json.loads((SIMPLE / "pairs.json").read_text())
        by_id = {p.id: p for p in load_leetcode(SIMPLE / "pairs.jsonl")}
        wrong = grader.grade([(by_id[pair["problem_id"]], pair["wrong"]) for pair in pairs])
    assert len(solved) == 48 and all(verdict.correct for verdict in solved)
    assert not any(verdict.correct for verdict in wrong)


def test_the_teachers_file_says_of_itself_what_the_grader_says():
    problems = draw_splits({"train": SIMPLE / "train.jsonl"}, {"train": 20}, 0, MODES)["train"]
    by_id = {problem.id: problem for problem in problems}
    rollouts = [json.loads(line) for line in (SIMPLE / "rollouts.jsonl").open()]
    with Grader() as grader:
        asked = [(by_id[rollout["problem_id"]], rollout["completion"]) for rollout in rollouts]
        verdicts = grader.grade(asked, audit=True)
    for rollout, verdict in zip(rollouts, verdicts, strict=True):
        assert {label: rollout[label] for label in LABELS} == {
            label: meaning(verdict) for label, meaning in LABELS.items()
        }


def test_the_teachers_share_is_the_same_in_every_arm_that_has_one():
    arms = yaml.safe_load((ROOT / "config.yaml").read_text())["arms"]
    own = yaml.safe_load((ROOT / PRESET[0]).read_text())["arms"]
    shared = {name: spec["mix"] for name, spec in own.items() if "mix" in spec}
    assert {name for name, spec in arms.items() if spec.get("mix")} == shared.keys()
    assert set(shared.values()) == {0.125}


def test_no_slow_control_of_the_organism_is_taken_for_one_that_was_matched_here():
    arms = yaml.safe_load((ROOT / "config.yaml").read_text())["arms"]
    own = yaml.safe_load((ROOT / PRESET[0]).read_text())["arms"]
    assert {name for name, spec in arms.items() if spec.get("slow")} == {n for n, spec in own.items() if "slow" in spec}
    assert {spec["slow"] for spec in own.values() if "slow" in spec} == {None}
