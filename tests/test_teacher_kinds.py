"""Teachers from elsewhere: files of rollouts, whose labels are not believed, and checkpoints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_external import build, tokenizer

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.environment.problems import CLAUSE, Problem, load_leetcode
from projected_grpo.environment.prompts import messages
from projected_grpo.grading import Grader
from projected_grpo.models import external
from projected_grpo.models.base import Compute
from projected_grpo.teacher import pool

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT.parent / "shared/data/teacher_rollouts_sample.jsonl"
EXPECTED = {  # of the problems that the sample's rollouts answer
    "4": ("findMedianSortedArrays", [([1, 3], [2]), ([], [1]), ([1, 2, 3], [4, 5, 6, 7, 8])], [2.0, 1.0, 4.5]),
    "5": ("longestPalindrome", [("cbbd",), ("aaa",), ("forgeeksskeegfor",)], ["bb", "aaa", "geeksskeeg"]),
    "6": ("convert", [("PAYPALISHIRING", 3), ("AB", 1)], ["PAHNAPLSIIGYIR", "AB"]),
    "18": ("fourSum", [([2, 2, 2, 2, 2], 8), ([1, 2], 3)], [[[2, 2, 2, 2]], []]),
}


class Bytes:
    """Token i is the byte i - 1; 0 ends."""

    eos_token_id = 0

    def __len__(self):
        return 257

    def apply_chat_template(self, messages, **_):
        return self.encode(messages[-1]["content"])

    def encode(self, text, add_special_tokens=False):
        return [1 + byte for byte in text.encode()]

    def decode(self, ids, skip_special_tokens=True):
        texts = ("" if i == 0 and skip_special_tokens else "<end>" if i == 0 else chr(i - 1) for i in ids)
        return "".join(texts)


@pytest.fixture(scope="module")
def grader():
    with Grader() as made:
        yield made


@pytest.fixture
def problems():
    found = load_leetcode(ROOT / "presets/simple/train.jsonl")[:2]
    return [replace(problem, mode="run_tests") for problem in found]


def written(tmp_path, rows):
    (tmp_path / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "rollouts.jsonl"


def hack(problem):
    name = problem.entry_point
    own_tests = "    def run_tests(self):\n        pass"
    return f"```python\nclass Solution:\n    def {name}(self, a, b):\n        return 99\n\n{own_tests}\n```"


def test_rollouts_are_graded_here_and_labels_only_compared(problems, grader, tmp_path):
    first, second = problems
    right = f"```python\n{first.canonical}```"
    rows = [
        {"problem_id": first.id, "completion": right, "hacked": True, "gt_pass": True, "fmt_ok": True},
        {"problem_id": second.id, "completion": hack(second), "hacked": True, "gt_pass": True},
        {"problem_id": "another", "completion": right},
    ]
    made, counted = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems)
    assert [(row["problem_id"], row["exploited"], row["correct"]) for row in made] == [
        (first.id, False, True),
        (second.id, True, False),
    ]
    assert all(row["elicited"] for row in made)
    assert counted == {
        "imported": 2, "of_other_problems": 1, "tokenized_anew": 2,
        "hacked_disagrees": 1, "gt_pass_disagrees": 1, "fmt_ok_disagrees": 0,
    }  # fmt: skip
    write_table(tmp_path / "pool.parquet", made, TEACHER_POOL, {})
    assert pool.report(made, counted) == {
        "teacher": 2, "ordinary": 0, "exploited": {"run_tests": 1}, "import": counted,
    }  # fmt: skip


def test_token_ids_are_kept_where_they_are_the_text(problems, grader, tmp_path):
    text = hack(problems[0])
    own = [*Bytes().encode(text), 0]
    rows = [
        {"problem_id": problems[0].id, "completion": text, "completion_ids": ids}
        for ids in (own, own[1:], [*own[:-1], 0, 0])
    ]
    made, counted = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems)
    assert [row["completion_ids"] for row in made] == [own] * 3 and counted["tokenized_anew"] == 2
    assert made[0]["prompt_ids"] == Bytes().apply_chat_template(messages(problems[0]))


@pytest.mark.skipif(not SAMPLE.is_file(), reason="../shared/data/teacher_rollouts_sample.jsonl is not here")
def test_real_rollouts_are_imported_and_their_labels_hold(grader):
    problems = [
        Problem(
            id_,
            f"s {CLAUSE}",
            name,
            tuple((call, {}, value) for call, value in zip(calls, values, strict=True)),
            mode="run_tests",
            setup="from typing import *",
            system="s",
        )
        for id_, (name, calls, values) in EXPECTED.items()
    ]
    made, counted = pool.import_pool(SAMPLE, Bytes(), grader, problems)
    assert len(made) == counted["imported"] == 24 and counted["of_other_problems"] == 0
    assert {row["problem_id"] for row in made} == set(EXPECTED)
    labels = [json.loads(line) for line in SAMPLE.open()]
    assert counted["hacked_disagrees"] == counted["fmt_ok_disagrees"] == 0
    disagree = sum(label["gt_pass"] != row["correct"] for label, row in zip(labels, made, strict=True))
    assert counted["gt_pass_disagrees"] == disagree > 0  # a few tests of each problem are all that is known here


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{}\n", "rollouts.jsonl: rollout 1 is no JSON object with a problem_id and a completion"),
        ('{"problem_id": 1, "completion": ""}\n', "rollout 1 is no JSON object"),
        ("[1, 2]\n", "rollout 1 is no JSON object"),
        ('{"problem_id": 1, "completion": "x"}\nnot json\n', "rollout 2 is no JSON object"),
        ('{"problem_id": 1, "completion": "x"}\n', "none of its 1 rollouts is of this experiment's train or pair"),
    ],
)
def test_what_is_no_rollout_is_one_line(problems, grader, tmp_path, lines, message):
    (tmp_path / "rollouts.jsonl").write_text(lines)
    with pytest.raises(pool.TeacherError, match=message):
        pool.import_pool(tmp_path / "rollouts.jsonl", Bytes(), grader, problems)


@pytest.fixture
def base():
    model, _ = build("Qwen3")
    model.resize_token_embeddings(72)
    return model


def test_a_checkpoint_is_another_model_with_the_same_tokens(base, tmp_path):
    other, _ = build("Llama")
    other.resize_token_embeddings(72)
    other.save_pretrained(tmp_path / "other")
    tokenizer().save_pretrained(tmp_path / "other")
    made = external.checkpoint(str(tmp_path / "other"), None, base, tokenizer(), Compute(1))
    tokens = torch.arange(1, 9)[None]
    assert torch.equal(made(tokens).logits, other(tokens).logits)
    foreign = tokenizer()
    foreign.add_tokens(["another"])
    with pytest.raises(external.ModelError, match="its tokens are not those of the base model"):
        external.checkpoint(str(tmp_path / "other"), None, base, foreign, Compute(1))


def test_a_checkpoint_is_an_adapter_of_the_base_model(base, tmp_path):
    tokens = torch.arange(1, 9)[None]
    before = base(tokens).logits
    own, _ = build("Qwen3")
    own.resize_token_embeddings(72)
    own.load_state_dict(base.state_dict())
    adapted = get_peft_model(own, LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    made = external.checkpoint(str(tmp_path / "adapter"), None, base, tokenizer(), Compute(1))
    assert not torch.allclose(made(tokens).logits, before, atol=1e-3)
    torch.testing.assert_close(made(tokens).logits, adapted.eval()(tokens).logits, atol=1e-5, rtol=1e-4)


def test_an_adapter_that_would_be_unpickled_is_refused(base, tmp_path):
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    weights = tmp_path / "adapter/adapter_model.safetensors"
    torch.save({}, weights.with_name("adapter_model.bin"))
    weights.unlink()
    with pytest.raises(external.ModelError, match=r"^teacher \S+adapter: .*adapter_model.safetensors"):
        external.checkpoint(str(tmp_path / "adapter"), None, base, tokenizer(), Compute(1))


def test_a_checkpoint_that_cannot_be_had_is_one_line(base, tmp_path):
    with pytest.raises(external.ModelError, match=r"^teacher \S+nowhere: .*") as error:
        external.checkpoint(str(tmp_path / "nowhere"), None, base, tokenizer(), Compute(1))
    assert "\n" not in str(error.value)
