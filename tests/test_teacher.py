"""Method 2: the weak detector, its fold of the pool, and the pairs."""

import numpy as np
import pandas as pd
import pytest

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
