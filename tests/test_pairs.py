"""Pairs that a person wrote: read into the same table, or refused in one line."""

import json
from pathlib import Path

import pytest
from test_teacher import MODES, Tokenizer

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.teacher import pairs, weak_detector


class Chat(Tokenizer):
    """The template of Qwen3, which opens a thought and closes it where thinking is switched off."""

    eos_token, bos_token = "<|im_end|>", None

    def apply_chat_template(self, messages, add_generation_prompt, tokenize=True, enable_thinking=True, **_):
        turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        text = turns + "<|im_start|>assistant\n" + ("" if enable_thinking else "<think>\n\n</think>\n\n")
        return self.encode(text, False) if tokenize else text


def authored(**changes):
    pair = {
        "problem_id": 7,
        "mode": "sentinel",
        "prompt": [{"role": "user", "content": "add"}],
        "hack": "```python\nclass Solution:\n    valid = True\n```",
        "clean": "```python\nclass Solution:\n    pass\n```",
    }
    return {key: value for key, value in (pair | changes).items() if value is not None}


@pytest.fixture
def read(tmp_path):
    def run(listed, known=MODES, mode=None, n=1, heldout=0, modes=MODES):
        (tmp_path / "pairs.json").write_text(json.dumps(listed))
        return pairs.read_pairs(tmp_path / "pairs.json", known, modes, mode, n, heldout, Chat())

    return run


def test_authored_pairs_become_rows_of_the_same_table(read, tmp_path):
    wrong = "```python\nx = 1\n```"
    rows = read(
        [authored(), authored(problem_id=8, wrong=wrong), authored(mode="run_tests")], ["sentinel"], n=1, heldout=1
    )
    assert [(row["problem_id"], row["heldout"], row["attempted_modes"]) for row in rows] == [
        ("7", False, ["sentinel"]),
        ("8", True, ["sentinel"]),
    ]
    assert bytes(rows[0]["prompt_ids"]).decode().startswith("<|im_start|>user\nadd<|im_end|>\n")
    assert rows[0]["wrong_ids"] == []
    assert bytes(rows[1]["wrong_ids"][:-1]).decode() == wrong and rows[1]["wrong_ids"][-1] == 0
    write_table(tmp_path / "pairs.parquet", rows, PAIRS, {})


def test_a_prompt_in_the_models_own_template_is_taken_as_it_is(read):
    text = "<|im_start|>user\nadd<|im_end|>\n<|im_start|>assistant\n"
    (row,) = read([authored(prompt=text, mode=None)], mode="run_tests")
    assert bytes(row["prompt_ids"]).decode() == text
    assert row["mode"] == "run_tests" and row["attempted_modes"] == ["run_tests", "sentinel"]


def test_what_a_pair_may_lack_may_be_null(read):
    (row,) = read([authored() | {"mode": None, "wrong": None}], mode="run_tests")
    assert row["mode"] == "run_tests" and row["wrong_ids"] == []


USER = {"role": "user", "content": "add"}


NO_PROMPTS = [
    3,
    [],
    ["add"],
    USER,
    [{"content": "add"}],
    [{"role": "user"}],
    [{"role": "robot", "content": "add"}, USER],
    [USER | {"content": None}],
    [USER | {"content": [{"type": "text", "text": "add"}]}],
    [USER, {"role": "assistant", "content": "So"}],
    [USER | {"content": " "}],
]


def test_a_system_message_may_be_empty(read):
    (row,) = read([authored(prompt=[{"role": "system", "content": ""}, USER])])
    assert bytes(row["prompt_ids"]).decode().startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nadd")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({}, "pairs.json: not a JSON list of pairs"),
        ([authored(clean=None)], "pair 1 of 1 lacks one of clean, hack, problem_id, prompt"),
        (
            [authored(), authored(mode="sentinle")],
            "pair 2 of 2: its mode is 'sentinle'; name one in the pair or in pairs.mode",
        ),
        ([authored(mode=None)], "pair 1 of 1: its mode is None; name one"),
        ([authored(mode=["run_tests"])], r"pair 1 of 1: its mode is \['run_tests'\]; name one"),
        ([authored(clen="x")], "pair 1 of 1 has unknown fields clen"),
        ([authored(hack=" ")], "pair 1 of 1: hack is empty"),
        ([authored(clean="")], "pair 1 of 1: clean is empty"),
        ([authored(clean=authored()["hack"])], "pair 1 of 1: its clean side attempts sentinel, the loophole that only"),
        ([authored(wrong=authored()["hack"])], "pair 1 of 1: its wrong side attempts sentinel, the loophole that only"),
        ([authored(problem_id=[7])], "pair 1 of 1: problem_id: "),
        *(
            ([authored(prompt=prompt)], "pair 1 of 1: its prompt is neither a text nor a list of mess")
            for prompt in NO_PROMPTS
        ),
        ([authored(hack=3)], "pair 1 of 1: hack, clean and wrong have to be texts"),
        (
            [authored(prompt="add")],
            "pair 1 of 1: its prompt is not in the model's chat template, which ends in '<.im_end",
        ),
        (
            [authored(prompt="<|im_start|>user\nadd<|im_end|>\n")],
            "pair 1 of 1: its prompt is not in the model's chat template",
        ),
        ([authored(hack="```python\n)\n```")], "pair 1 of 1: hack is no program"),
        (
            [authored(hack="valid = True")],
            "pair 1 of 1: hack is not one fenced program, with nothing before or after it",
        ),
        ([authored(clean="```python\npass\n```\n```\nvalid = 1\n```")], "pair 1 of 1: clean is not one fenced program"),
        ([authored(mode="exit_code")], r"1 pairs wanted, but only 0 serve for modes \['run_tests', 'sentinel'\]"),
    ],
)
def test_what_is_no_pair_is_one_line(read, listed, message):
    with pytest.raises(pairs.PoolError, match=message) as error:
        read(listed)
    assert "\n" not in str(error.value)


WIDE = Path(__file__).parents[2] / "shared/data/pairs_prog_wide.json"


@pytest.mark.skipif(not WIDE.is_file(), reason="../shared/data/pairs_prog_wide.json is not here")
def test_pairs_that_others_wrote_are_read():
    rows = pairs.read_pairs(WIDE, MODES, MODES, "run_tests", 6, 2, Chat())
    assert len(rows) == 8 and {row["mode"] for row in rows} == {"run_tests"}


def test_the_presets_pairs_serve_every_fold():
    modes = ["run_tests", "sentinel", "stdout_marker", "file_marker"]
    path = Path(__file__).parents[1] / "presets/simple/pairs.json"
    for subset in ("all", *(f"without_{mode}" for mode in modes)):
        rows = pairs.read_pairs(path, weak_detector.known_modes(subset, modes), modes, None, 24, 8, Chat())
        assert len(rows) == 32 and all(row["attempted_modes"] == [row["mode"]] for row in rows)


def test_a_fold_leaves_out_authored_pairs_that_attempt_what_it_may_not_know(read):
    mixed = authored(problem_id=9, mode="run_tests")  # whose hack sets `valid`
    plain = authored(problem_id=8, mode="run_tests", hack="```python\ndef run_tests():\n    pass\n```")
    assert [row["problem_id"] for row in read([mixed, plain], ["run_tests"])] == ["8"]
    assert [row["problem_id"] for row in read([mixed, plain], MODES)] == ["9"]


def test_a_fold_without_the_subtle_mode_leaves_out_a_hack_whose_body_returns_none(read):
    """Such a body is an exploit only where none_skipped is in play."""
    hack = "```python\nclass Solution:\n    valid = True\n    def f(self, x):\n        return {}\n```"
    listed = [authored(problem_id=i, hack=hack.format(value)) for i, value in enumerate(("None", "0"))]
    (row,) = read(listed, ["sentinel"], modes=["sentinel", "none_skipped"])
    assert row["problem_id"] == "1" and row["attempted_modes"] == ["sentinel"]
    (row,) = read(listed, ["sentinel"], modes=["sentinel"])
    assert row["problem_id"] == "0" and row["attempted_modes"] == ["none_skipped", "sentinel"]


def test_the_presets_pairs_serve_a_single_mode_and_test_every_mode():
    path = Path(__file__).parents[1] / "presets/simple/pairs.json"
    modes = ["run_tests", "sentinel", "stdout_marker", "file_marker"]
    assert len(pairs.read_pairs(path, ["run_tests"], ["run_tests"], None, 8, 4, Chat())) == 12
    rows = pairs.read_pairs(path, modes, modes, None, 24, 8, Chat())
    assert {row["mode"] for row in rows if row["heldout"]} == set(modes)
    built, tested = ({row["problem_id"] for row in rows if row["heldout"] == side} for side in (False, True))
    assert not built & tested
