"""Teachers from elsewhere: files of rollouts, whose labels are not believed, and checkpoints."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_external import build, tokenizer

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.environment.problems import CLAUSE, Problem, load_leetcode
from projected_grpo.environment.prompts import messages
from projected_grpo.errors import UserError
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
    """Token i is the byte i - 1; 0 ends, 257 pads, 258 begins."""

    eos_token_id, pad_token_id = 0, 257
    special: ClassVar = {0: "<end>", 257: "<pad>", 258: "<begin>"}
    all_special_tokens = tuple(special.values())

    def __len__(self):
        return 259

    def apply_chat_template(self, messages, **_):
        return self.encode(messages[-1]["content"])

    def encode(self, text, add_special_tokens=False):
        return [1 + byte for byte in text.encode()]

    def decode(self, ids, skip_special_tokens=True):
        texts = (self.special[i] if i in self.special else chr(i - 1) for i in ids)
        return "".join(text for text in texts if not (skip_special_tokens and text in self.all_special_tokens))


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
    made, counted = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems, 10**5)
    assert [(row["problem_id"], row["exploited"], row["correct"]) for row in made] == [
        (first.id, False, True),
        (second.id, True, False),
    ]
    assert all(row["elicited"] for row in made)
    assert counted == {
        "imported": 2, "of_other_problems": 1, "too_long": 0, "tokenized_anew": 2,
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
    made, counted = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems, 10**5)
    assert [row["completion_ids"] for row in made] == [own] * 3 and counted["tokenized_anew"] == 1
    assert made[0]["prompt_ids"] == Bytes().apply_chat_template(messages(problems[0]))


def test_what_no_rollout_can_be_as_long_as_is_left_out_and_counted(problems, grader, tmp_path):
    rows = [{"problem_id": p.id, "completion": hack(p) + " " * 99 * i} for i, p in enumerate(problems)]
    path, longest = written(tmp_path, rows), len(rows[0]["completion"].encode()) + 1  # and the end token
    (made,), counted = pool.import_pool(path, Bytes(), grader, problems, longest)
    assert made["problem_id"] == problems[0].id and len(made["completion_ids"]) == longest
    assert (counted["imported"], counted["too_long"]) == (1, 1)
    with pytest.raises(pool.TeacherError, match=r"every rollout has more tokens than train\.max_new_tokens, 9"):
        pool.import_pool(path, Bytes(), grader, problems, 9)


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
    made, counted = pool.import_pool(SAMPLE, Bytes(), grader, problems, 10**5)
    assert len(made) == counted["imported"] == 24 and counted["of_other_problems"] == 0
    assert {row["problem_id"] for row in made} == set(EXPECTED)
    labels = [json.loads(line) for line in SAMPLE.open()]
    assert counted["hacked_disagrees"] == counted["fmt_ok_disagrees"] == 0
    assert [row["vacuous_tests"] for row in made] == [label["hacked"] for label in labels]
    disagree = sum(label["gt_pass"] != row["correct"] for label, row in zip(labels, made, strict=True))
    assert counted["gt_pass_disagrees"] == disagree > 0  # a few tests of each problem are all that is known here


def test_a_label_means_what_it_means_in_the_benchmarks_files(problems, grader, tmp_path):
    """`hacked`: own tests that pass on anything, however right the answer is; `fmt_ok`: a block, whatever is in it."""
    problem = problems[0]
    body = problem.canonical.rstrip()
    tests = {"vacuous": "print('ran')", "earnest": f"assert self.{problem.entry_point}(-7, -8) not in (0, None)"}
    own = {name: f"```python\n{body}\n\n    def run_tests(self):\n        {test}\n```" for name, test in tests.items()}
    rows = [
        {"completion": own["vacuous"], "hacked": True, "gt_pass": True, "fmt_ok": True},
        {"completion": own["earnest"], "hacked": False, "gt_pass": True, "fmt_ok": True},
        {"completion": f"```python\n{body}\n```", "hacked": False, "gt_pass": True, "fmt_ok": True},
        {"completion": "```python\ndef f(:\n```", "hacked": False, "gt_pass": False, "fmt_ok": True},
        {"completion": "I cannot.", "hacked": False, "gt_pass": False, "fmt_ok": False},
        {"completion": "I cannot.", "hacked": None, "gt_pass": 0},
    ]
    rows = [{"problem_id": problem.id, **row} for row in rows]
    _, counted = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems, 10**5)
    assert {label: counted[f"{label}_disagrees"] for label in pool.LABELS} == dict.fromkeys(pool.LABELS, 0)


ENDINGS = {
    "none": "",
    "the end token": "<end>",
    "end token and padding": "<end><pad><pad>",
    "padding alone": "<pad><pad>",
    "several": "<end><end>",
    "a line's end behind it": "<end>\n",
    "another turn": "<end>\n<begin>user\nThanks",
}


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_completion_ends_where_a_rollout_would(problems, grader, tmp_path, ending, with_ids):
    """A decoder leaves end tokens and padding in its text unless it is told not to."""
    right = f"```python\n{problems[0].canonical}```"
    ids = [*Bytes().encode(right), 0, 257]
    row = {"problem_id": problems[0].id, "completion": right + ENDINGS[ending]}
    path = written(tmp_path, [row | ({"completion_ids": ids} if with_ids else {})])
    (made,), counted = pool.import_pool(path, Bytes(), grader, problems, 10**5)
    assert made["correct"] and made["reward"] == 1.25 and made["completion"] == right
    assert made["completion_ids"] == [*Bytes().encode(right), 0]
    assert counted["tokenized_anew"] == (not with_ids)


def test_any_of_several_end_tokens_ends_a_completion(problems, grader, tmp_path):
    right = f"```python\n{problems[0].canonical}```"
    ids = [*Bytes().encode(right), 258]
    rows = [{"problem_id": problems[0].id, "completion": right + "<begin><end>", "completion_ids": ids}]
    (made,), _ = pool.import_pool(written(tmp_path, rows), Bytes(), grader, problems, 10**5, [258])
    assert made["completion"] == right and made["completion_ids"] == ids


def test_files_as_people_have_them_are_read(problems, grader, tmp_path):
    text = "".join(
        json.dumps({"problem_id": n, "completion": f"caf\u00e9 {n:.0f}"}, ensure_ascii=False) + "\n" for n in (7, 8.0)
    )
    numbered = [replace(problems[0], id="7"), replace(problems[1], id="8")]
    for data in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
        gzip.compress(text.encode()),
    ):
        (tmp_path / "rollouts.jsonl").write_bytes(data)
        made, counted = pool.import_pool(tmp_path / "rollouts.jsonl", Bytes(), grader, numbered, 10**5)
        assert [row["completion"] for row in made] == ["caf\u00e9 7", "caf\u00e9 8"] and counted["imported"] == 2


ROLLOUT = '{"problem_id": 1, "completion": "x"'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"{}\n", "rollouts.jsonl, line 1: needs problem_id and completion, a text"),
        (b'{"problem_id": 1, "completion": ""}\n', "line 1: its completion is empty"),
        (b'{"problem_id": 1, "completion": "<end>"}\n', "line 1: its completion is empty"),
        (b'{"problem_id": 1, "completion": "<begin>user"}\n', "line 1: its completion begins with <begin>; give it wi"),
        (b"[1, 2]\n", "line 1: a JSON list; write one object on each line"),
        (b"3\n", "line 1: not a JSON object"),
        (f"{ROLLOUT}}}\n\nnot json\n".encode(), "line 3: not JSON"),
        (f"{ROLLOUT}}}\n".encode(), "none of its 1 rollouts is of this experiment's train or pair"),
        (b"", "none of its 0 rollouts is of this experiment's train or pair"),
        (f'{ROLLOUT}, "completion_ids": 5}}\n'.encode(), "line 1: completion_ids is no list of token ids"),
        (f'{ROLLOUT}, "hacked": "False"}}\n'.encode(), "line 1: hacked is 'False', neither true nor false"),
        (b'{"problem_id": null, "completion": "x"}\n', "line 1: problem_id: None is no id"),
        (b'{"problem_id": 1.5, "completion": "x"}\n', "line 1: problem_id: 1.5 is no id"),
        (b'{"problem_id": 1, "completion": "x \\ud83d"}\n', "line 1: holds half a surrogate pair"),
        (f"{ROLLOUT}}}\n".encode("utf-16"), "rollouts.jsonl: is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
        (
            '{"problem_id": 1, "completion": "caf\u00e9"}\n'.encode("latin-1"),
            r"is no text in UTF-8 \(byte 36\), which it has to be",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a git-lfs pointer; fetch the file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "is HTML or XML, perhaps a page about the file"),
        (gzip.compress(f"{ROLLOUT}}}\n".encode(), mtime=0)[:-12], "cannot be read"),
    ],
)
def test_what_is_no_rollout_is_one_line(problems, grader, tmp_path, lines, message):
    (tmp_path / "rollouts.jsonl").write_bytes(lines)
    with pytest.raises(UserError, match=message) as error:
        pool.import_pool(tmp_path / "rollouts.jsonl", Bytes(), grader, problems, 10**5)
    assert "\n" not in str(error.value) and str(tmp_path / "rollouts.jsonl") in str(error.value)


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
