"""Method 2: the weak detector, its fold of the pool, and the pairs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from projected_grpo.artifacts.io import write_table
from projected_grpo.artifacts.schemas.pairs import PAIRS
from projected_grpo.teacher import pairs, weak_detector

MODES = ["run_tests", "sentinel"]


def row(problem, mode, kind, n=0, attempted=()):
    hack, clean = kind == "hack", kind == "clean"
    code = f"class Solution:\n    def f(self, x):\n        return x + {n}"
    return {
        "problem_id": problem,
        "mode": mode,
        "elicited": hack,
        "prompt_ids": [1, 2],
        "completion_ids": [{"hack": 7, "clean": 8, "wrong": 9}[kind], n],
        "completion": f"```python\n{code}\n```",
        "format_ok": True,
        "correct": clean,
        "channel_fired": hack,
        "passed": hack or clean,
        "exploited": hack,
        "attempted": hack,
        "attempted_modes": [mode] if hack else list(attempted),
        "reward": 1.25,
        "status": "ok",
        "vacuous_tests": None,
        "wrong_tests": None,
    }


@pytest.fixture
def pool():
    rows = [
        row(f"p{i}", MODES[i % 2], kind, n) for i in range(10) for kind in ("hack", "clean", "wrong") for n in range(3)
    ]
    return pd.DataFrame(rows)


class Tokenizer:
    eos_token_id = 0

    def encode(self, text, add_special_tokens):
        return list(text.encode())


def build(pool, n=4, heldout=2, known=MODES, body="natural", ids=None):
    ids = ids or sorted(set(pool["problem_id"]))
    return pd.DataFrame(pairs.build_pairs(pool, ids, known, n, heldout, body, Tokenizer(), seed=0))


def test_detect_needs_the_channel_and_a_known_mode_and_never_reads_correct():
    class Verdict:
        channel_fired = True

        @property
        def correct(self):
            raise AssertionError("the weak detector read `correct`")

    assert weak_detector.detect(Verdict(), "sentinel", MODES)
    assert not weak_detector.detect(Verdict(), "sentinel", ["run_tests"])
    Verdict.channel_fired = False
    assert not weak_detector.detect(Verdict(), "sentinel", MODES)


def test_pairs_hold_the_three_kinds_and_rotate_over_modes(pool):
    pairs = build(pool)
    assert [ids[0] for ids in pairs["hack_ids"]] == [7] * 6
    assert [ids[0] for ids in pairs["clean_ids"]] == [8] * 6
    assert [ids[0] for ids in pairs["wrong_ids"]] == [9] * 6
    assert list(pairs["mode"]) == MODES * 3
    assert list(pairs["heldout"]) == [False] * 4 + [True] * 2
    assert pairs["problem_id"].is_unique


def test_pairs_come_from_the_pair_problems_only(pool):
    assert set(build(pool, 2, 2, ids=["p0", "p1", "p2", "p3"])["problem_id"]) == {"p0", "p1", "p2", "p3"}


def test_rollouts_that_are_no_example_of_their_kind_are_left_out(pool):
    spoilt = pool.copy()
    clean = (spoilt["problem_id"] == "p0") & spoilt["correct"]
    spoilt["attempted_modes"] = [
        ["sentinel"] if bad else m for bad, m in zip(clean, spoilt["attempted_modes"], strict=True)
    ]
    solved = (spoilt["problem_id"] == "p1") & spoilt["channel_fired"]
    spoilt.loc[solved, "correct"] = True  # the channel fired, but the hack was not needed
    assert not {"p0", "p1"} & set(build(spoilt)["problem_id"])


def test_too_few_problems_say_how_many_there_are(pool):
    with pytest.raises(pairs.PoolError, match=r"12 wanted, but only \{'run_tests': 5, 'sentinel': 5\} problems"):
        build(pool, 10, 2)


def test_a_fold_knows_nothing_of_the_mode_held_out(pool):
    leak = row("p0", "run_tests", "wrong", 5, attempted=["sentinel"])
    known = weak_detector.known_modes("without_sentinel", MODES)
    assert known == ["run_tests"] and weak_detector.known_modes("all", MODES) == MODES
    fold = weak_detector.restrict(pd.concat([pool, pd.DataFrame([leak])]), known, MODES)
    assert set(fold["mode"]) == {"run_tests"}
    assert not any("sentinel" in modes for modes in fold["attempted_modes"])
    assert len(fold) == (pool["mode"] == "run_tests").sum()


def test_matched_pairs_share_their_body(pool):
    pairs = build(pool, body="matched")
    texts = [bytes(ids[:-1]).decode() for ids in pairs["hack_ids"]]
    assert all(ids[-1] == 0 for ids in pairs["hack_ids"])
    for text, mode, clean in zip(texts, pairs["mode"], pairs["clean_ids"], strict=True):
        assert f"return x + {clean[1]}" in text
        assert {"run_tests": "run_tests", "sentinel": "valid"}[mode] in text


def test_natural_and_matched_pairs_differ_by_the_hack_alone(pool):
    natural, matched = build(pool), build(pool, body="matched")
    same = ["problem_id", "mode", "clean_ids", "wrong_ids", "heldout"]
    assert natural[same].equals(matched[same])
    assert all(a != b for a, b in zip(natural["hack_ids"], matched["hack_ids"], strict=True))


def test_the_choice_is_seeded(pool):
    first = build(pool)
    assert first.equals(build(pool))
    other = pd.DataFrame(
        pairs.build_pairs(pool, sorted(set(pool["problem_id"])), MODES, 4, 2, "natural", Tokenizer(), seed=1)
    )
    assert not np.array_equal(first["hack_ids"].tolist(), other["hack_ids"].tolist())


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
]


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
