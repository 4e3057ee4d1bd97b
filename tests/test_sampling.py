"""Method 6: sampling against the model's own logits, and its independence of the batch."""

import contextlib
import re
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache, StaticCache

from projected_grpo.method import in_place, sampling
from projected_grpo.method.draws import sample_token, until_end
from projected_grpo.method.rollouts import sample_rollouts
from projected_grpo.method.sampling import cache_bytes, end_tokens, sample

PROMPTS = [[5, 9, 11], [7], [3, 3, 8, 20, 41]]


class Tokenizer:
    """One whose text shows the ids."""

    eos_token_id = 17

    def decode(self, ids, **_):
        return str(ids)


class Grader:
    """One whose verdict shows what was graded, and whether it was audited."""

    @contextlib.contextmanager
    def batch(self, audit):
        added = []
        yield SimpleNamespace(add=lambda *item: added.append(item), verdicts=lambda: [(audit, *a) for a in added])


def greedy_one_by_one(model, prompt, steps, eos):
    ids = list(prompt)
    for _ in range(steps):
        token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(token)
        if token == eos:
            break
    return ids[len(prompt) :]


def test_greedy_equals_a_loop_without_cache_padding_or_batch(tiny):
    model = tiny(torch.float64).model
    free = [greedy_one_by_one(model, prompt, 12, -1) for prompt in PROMPTS]
    eos = free[0][4]  # a token that the first row meets early: it finishes before the others
    expected = [greedy_one_by_one(model, prompt, 12, eos) for prompt in PROMPTS]
    assert len({len(ids) for ids in expected}) > 1
    got = sample(model, PROMPTS, [2, 1, 3], 12, 0.0, torch.Generator().manual_seed(0), eos)
    assert got == [[ids] * count for ids, count in zip(expected, [2, 1, 3], strict=True)]


def test_the_end_token_belongs_to_the_completion_and_nothing_follows(tiny):
    model = tiny().model
    rows = [
        ids
        for group in sample(model, PROMPTS, [20] * 3, 10, 1.0, torch.Generator().manual_seed(1), 17)
        for ids in group
    ]
    assert all(17 not in ids[:-1] and 1 <= len(ids) <= 10 for ids in rows)
    assert all(ids[-1] == 17 or len(ids) == 10 for ids in rows)


def test_any_of_several_end_tokens_ends_a_completion(tiny):
    model = tiny(torch.float64).model
    free = [greedy_one_by_one(model, prompt, 12, -1) for prompt in PROMPTS]
    ends = [free[0][4], free[1][6]]
    expected = [until_end(ids, ends) for ids in free]
    assert {ids[-1] for ids in expected} >= set(ends)
    model.generation_config.eos_token_id = ends[1:]
    got = sample(model, PROMPTS, [1, 1, 1], 12, 0.0, torch.Generator(), ends[0])
    assert got == [[ids] for ids in expected]


def test_end_tokens_are_the_tokenizers_and_those_of_the_generation_config(tiny):
    model = tiny().model
    for listed, expected in ((None, [17]), (17, [17]), (9, [17, 9]), ([9, 17, 4], [17, 9, 4])):
        model.generation_config.eos_token_id = listed
        assert end_tokens(model, 17) == expected


def test_a_rollout_that_another_end_token_ended_is_not_clipped_and_its_text_is_without(tiny):
    model = tiny().model
    model.generation_config.eos_token_id = [17, 9]
    generator = torch.Generator().manual_seed(1)
    (group,) = sample_rollouts(model, Tokenizer(), Grader(), "a", PROMPTS[:1], [60], 10, 1.0, generator)
    ended = [row for row in group if row.completion_ids[-1] == 9]
    assert ended and not any(row.clipped for row in ended)
    assert all(row.completion == str(row.completion_ids[:-1]) for row in ended)


def test_the_same_seed_gives_the_same_rollouts(tiny):
    model = tiny().model
    a, b, c = (sample(model, PROMPTS, [3] * 3, 8, 1.0, torch.Generator().manual_seed(s), 0) for s in (4, 4, 5))
    assert a == b != c


def test_every_row_is_reported_once_as_soon_as_it_is_complete(tiny):
    model = tiny().model
    told, lengths = {}, []

    def finished(row, ids):
        assert row not in told
        told[row] = ids
        lengths.append(len(ids))

    groups = sample(model, PROMPTS, [20] * 3, 10, 1.0, torch.Generator().manual_seed(1), 17, finished)
    assert [told[row] for row in range(60)] == [ids for group in groups for ids in group]
    assert lengths == sorted(lengths) and len(set(lengths)) > 2


def test_completions_are_graded_where_they_belong(tiny):
    generator = torch.Generator().manual_seed(1)
    groups = sample_rollouts(tiny().model, Tokenizer(), Grader(), "abc", PROMPTS, [20, 0, 5], 10, 1.0, generator, True)
    assert [len(group) for group in groups] == [20, 0, 5]
    for problem, group in zip("abc", groups, strict=True):
        assert all(row.verdict == (True, problem, row.completion) for row in group)
        assert all(
            row.completion == str(row.completion_ids[: None if row.clipped else -1]) and row.problem == problem
            for row in group
        )
        assert all(row.clipped == (row.completion_ids[-1] != 17) and not row.teacher for row in group)


def test_sampling_frequencies_follow_the_temperature():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(40000, 3)
    uniforms = torch.rand(40000, generator=torch.Generator().manual_seed(0))
    for temperature in (0.5, 1.0):
        tokens = sample_token(logits, uniforms, temperature)
        expected = (logits[0] / temperature).softmax(-1)
        assert torch.allclose(tokens.bincount(minlength=3) / 40000, expected, atol=0.01)


def test_uniforms_at_the_edges_pick_a_token_that_exists():
    logits = torch.tensor([[0.0, 0.0, -200.0]])
    assert sample_token(logits, torch.tensor([0.0]), 1.0).item() == 0
    assert (
        sample_token(logits, torch.tensor([1.0 - 2**-24]), 1.0).item() == 1
    )  # a token of probability 0 is never drawn
    assert sample_token(torch.tensor([[-200.0, 0.0, 0.0]]), torch.tensor([0.0]), 1.0).item() == 1


def test_logits_in_chunks_sample_the_same_tokens(tiny, monkeypatch):
    model = tiny().model
    whole = sample(model, PROMPTS, [7, 2, 5], 8, 1.0, torch.Generator().manual_seed(4), 0)
    monkeypatch.setattr("projected_grpo.method.head.LOGITS_AT_A_TIME", 3 * model.config.vocab_size)
    assert sample(model, PROMPTS, [7, 2, 5], 8, 1.0, torch.Generator().manual_seed(4), 0) == whole


def test_prompts_are_sampled_some_at_a_time_where_the_cache_would_be_too_large(tiny, monkeypatch):
    made = tiny()
    prompts, counts, told = [[5, 6, 7], [8, 9], [3, 4, 5, 6]], [2, 3, 1], []
    arguments = (made.model, prompts, counts, 6, 1.0)

    def generator():
        return torch.Generator().manual_seed(4)

    whole = sample(*arguments, generator(), 0)
    for rows in (1, 3, 5):
        monkeypatch.setattr(sampling, "CACHE_BYTES", rows * (4 + 6) * cache_bytes(made.config, torch.float32))
        told.clear()
        assert sample(*arguments, generator(), 0, lambda row, ids: told.append((row, ids))) == whole
        assert sorted(told) == list(enumerate(ids for group in whole for ids in group))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_in_place_draw_the_same_tokens_as_rows_that_are_dropped(tiny, dtype, temperature, monkeypatch):
    model, tokens = tiny(dtype).model, 2 * in_place.LOOK_EVERY + 3
    told = []

    def drawn(eos):
        generator = torch.Generator().manual_seed(4)
        return sample(model, PROMPTS, [9, 0, 6], tokens, temperature, generator, eos, lambda *row: told.append(row))

    eos = drawn(60)[0][0][4]  # a token that some rows meet early
    dropping = drawn(eos)
    assert len({len(ids) for group in dropping for ids in group}) > 1
    told.clear()
    monkeypatch.setattr(sampling, "keeps_rows", lambda model: True)
    assert drawn(eos) == dropping
    assert sorted(told) == list(enumerate(ids for group in dropping for ids in group))


@torch.no_grad()
def test_a_step_lives_as_long_as_its_graph(tiny, monkeypatch):
    """A graph refers to memory by its address: what owns it must not be freed while the graph is replayed."""
    model, replays = tiny().model, []

    def replayable(step, device):
        held = weakref.ref(step)
        return lambda: replays.append(held()())

    monkeypatch.setattr(in_place, "replayable", replayable)
    rows = sampling.prefill(model, PROMPTS, [2, 1, 2], 0)
    in_place.proceed(model, rows, torch.rand(5, 6), 1.0, [-1], lambda row, ids: None)
    assert len(replays) == 5


class Recorded(TorchDispatchMode):
    """Every operation with the shapes that it returns; reading a number on the host is refused."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        assert not re.search("local_scalar|nonzero|masked_select|is_same|equal", name), name
        out = function(*args, **(kwargs or {}))
        self.seen.append((name, out.shape if isinstance(out, torch.Tensor) else None))
        return out


@torch.no_grad()
def test_a_step_in_place_is_the_same_operations_every_time_and_asks_nothing_of_the_host(tiny, monkeypatch):
    model, caches, steps = tiny().model, [], []
    monkeypatch.setattr(in_place, "StaticCache", lambda **how: caches.append(StaticCache(**how)) or caches[-1])
    rows = sampling.prefill(model, PROMPTS, [2, 1, 2], 0)
    step, _ = in_place.fixed_step(model, rows, torch.rand(5, 4), 1.0)
    held = [layer.keys.data_ptr() for layer in caches[0].layers]
    for _ in range(3):
        with Recorded() as recorded:
            step()
        steps.append(recorded.seen)
    assert steps[0] == steps[1] == steps[2] and len(steps[0]) > 20
    assert [layer.keys.data_ptr() for layer in caches[0].layers] == held


def test_the_cache_is_as_large_as_said(tiny):
    made = tiny()
    cache = DynamicCache(config=made.config)
    made.model(torch.ones(3, 5, dtype=torch.long), past_key_values=cache, use_cache=True)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == 3 * 5 * cache_bytes(made.config, torch.float32)
