"""Method 5: the gradients of a step, by source and by rollout, against one row at a time."""

import dataclasses

import numpy as np
import pytest
import torch
from training_harness import CONFIG, judge

from projected_grpo.method.gradients import SOURCES, backward
from projected_grpo.method.groups import source
from projected_grpo.method.loss import LossError, collate, completion_logprobs
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.trainer import loss_config

TIGHT = dataclasses.replace(CONFIG, token_budget=30)  # several micro-batches


@pytest.fixture
def step(world):
    """Rows of all four sources, and some without any part in the loss, with their advantages."""
    rng = np.random.default_rng(1)
    rows, advantage = [], []
    for i in range(12):
        ids = [*rng.integers(1, 60, rng.integers(1, 6)).tolist(), 0]
        verdict = judge(world.problems[0], f"{i}")
        rows.append(Rollout(world.problems[0], [5, 6, 7][: 1 + i % 3], ids, "", verdict, teacher=i % 2 == 0))
        advantage.append([0.75, -0.25, 0.5, 0.0, -0.5][i % 5])
    assert {source(*pair) for pair in zip(rows, advantage, strict=True)} == set(SOURCES)
    return rows, advantage


def gradients(made, rows, advantage, config, routed=None, ablated=None):
    tokens = [(row.prompt_ids, row.completion_ids) for row in rows]
    sources = [source(*pair) for pair in zip(rows, advantage, strict=True)]
    limits = config.token_budget, config.gradient_checkpointing
    how = loss_config(config), *limits, 1, routed, ablated
    return backward(made.model, made.adapter, tokens, sources, advantage, *how)


def one_by_one(made, rows, advantage, config):
    """The gradient of every row's plain loss (method 5), by module: (rows, r), and the quarantine's (rows, q)."""
    constant = config.group_size * config.max_new_tokens * config.prompts_per_step
    single, quarantine = {name: [] for name in made.adapter.layers}, {name: [] for name in made.adapter.layers}
    for row, a in zip(rows, advantage, strict=True):
        with made.adapter.segments([0, 1]) as probes, made.adapter.own_basis() as own:
            logp = completion_logprobs(made.model, collate([(row.prompt_ids, row.completion_ids)]))
            (-a * logp.sum() / constant).backward()
        for name, probe in probes.items():
            single[name].append(probe.grad[0])
        for name, probe in own.items():
            quarantine[name].append(probe.grad[0])
    return {name: torch.stack(rows) for name, rows in single.items()}, quarantine


def close(got, expected):
    return torch.allclose(got, expected, rtol=1e-3, atol=1e-6 * expected.abs().max())


def test_each_source_has_its_own_gradient_of_the_dr_grpo_loss(step, tiny):
    made, (rows, advantage) = tiny(), step
    got = gradients(made, rows, advantage, TIGHT)
    single, _ = one_by_one(made, rows, advantage, TIGHT)
    origin = torch.tensor([SOURCES.index(source(row, a)) for row, a in zip(rows, advantage, strict=True)])
    for name, g in single.items():
        assert close(got.by_source[name], torch.stack([g[origin == s].sum(0) for s in range(len(SOURCES))])), name
    lengths = [len(row.completion_ids) for row in rows]
    constant = TIGHT.group_size * TIGHT.max_new_tokens * TIGHT.prompts_per_step
    assert got.loss == pytest.approx(-sum(a * n for a, n in zip(advantage, lengths, strict=True)) / constant, rel=1e-4)
    assert got.kept is got.by_source and got.quarantine == {}


def test_of_routed_rows_delta_keeps_nothing_and_the_quarantine_all(step, tiny):
    made, (rows, advantage) = tiny(quarantine_rank=3), step
    routed = [i % 3 == 1 for i in range(len(rows))]
    got, plain = gradients(made, rows, advantage, TIGHT, routed), gradients(made, rows, advantage, TIGHT)
    single, _ = one_by_one(made, rows, advantage, TIGHT)
    for name, g in single.items():
        assert close(got.kept[name].sum(0), g[~torch.tensor(routed)].sum(0)), name
        assert close(got.by_source[name], plain.by_source[name]), name
        assert close(got.quarantine[name], plain.quarantine[name]), name
    everything = gradients(made, rows, advantage, TIGHT, [True] * len(rows))
    assert not any(g.any() for g in everything.kept.values())  # exactly: Adam would make full steps of rounding
    nothing = gradients(made, rows, advantage, TIGHT, [False] * len(rows))
    assert all(torch.equal(g, plain.by_source[name]) for name, g in nothing.kept.items())


def test_a_quarantine_in_its_own_basis_gets_the_gradient_of_all_rollouts(step, tiny):
    made, (rows, advantage) = tiny(quarantine_rank=3), step
    got = gradients(made, rows, advantage, TIGHT)
    _, single = one_by_one(made, rows, advantage, TIGHT)
    assert got.quarantine.keys() == made.adapter.layers.keys()
    for name, parts in single.items():
        assert got.quarantine[name].shape == (3,) and close(got.quarantine[name], torch.stack(parts).sum(0)), name


@pytest.mark.parametrize("rank", [0, 3])
def test_ablated_rows_have_the_gradient_of_the_model_without_its_quarantine(step, tiny, rank):
    made, (rows, advantage) = tiny(quarantine_rank=rank), step
    ablated = [i % 3 == 0 for i in range(len(rows))]
    generator = torch.Generator().manual_seed(0)
    made.adapter.load(
        {name: 0.3 * torch.randn(v.shape, generator=generator) for name, v in made.adapter.state().items()}
    )
    knobs = made.adapter.state()
    routed = [i % 2 == 0 for i in range(len(rows))]
    got = gradients(made, rows, advantage, TIGHT, ablated=ablated)
    split = gradients(made, rows, advantage, TIGHT, routed, ablated)
    whole, quarantine = one_by_one(made, rows, advantage, TIGHT)
    with made.adapter.ablated():
        without, _ = one_by_one(made, rows, advantage, TIGHT)
    off, aside = torch.tensor(ablated), torch.tensor(routed)
    for name in whole:
        expected = torch.where(off[:, None], without[name], whole[name])
        assert not close(whole[name], without[name])
        assert close(got.by_source[name].sum(0), expected.sum(0)), name
        assert close(got.ablated[name], without[name][off].sum(0)), name
        assert close(split.ablated[name], got.ablated[name]) and close(split.by_source[name], got.by_source[name])
        assert close(split.kept[name].sum(0), expected[~aside].sum(0)), name
        if rank:  # which only the rows that it took part in teach
            assert close(got.quarantine[name], torch.stack(quarantine[name])[~off].sum(0)), name
    assert all(torch.equal(value, made.adapter.state()[name]) for name, value in knobs.items())


def test_checkpointing_changes_the_memory_and_not_the_gradients(step, tiny):
    made, (rows, advantage) = tiny(layers=4), step
    config = dataclasses.replace(TIGHT, token_budget=10_000)

    def measured(config):
        kept = 0

        def pack(tensor):
            nonlocal kept
            kept += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            got = gradients(made, rows, advantage, config)
        return got, kept

    (plain, kept), (again, kept_then) = (
        measured(dataclasses.replace(config, gradient_checkpointing=on)) for on in (False, True)
    )
    assert kept_then < kept / 3
    assert plain.loss == again.loss
    for name, g in plain.by_source.items():
        assert torch.equal(g, again.by_source[name]), name
    assert not made.model.training


def test_a_model_with_dropout_cannot_be_checkpointed(step, tiny):
    made, (rows, advantage) = tiny(), step
    made.model.config.attention_dropout = 0.1
    with pytest.raises(LossError, match="gradient_checkpointing: the model has dropout"):
        gradients(made, rows, advantage, dataclasses.replace(TIGHT, gradient_checkpointing=True))
