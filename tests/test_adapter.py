"""Method 1: the adapter's two identities (zero knobs, fast gradient) against autograd through the textbook formula."""

import copy

import pytest
import torch
from torch import nn
from training_harness import without_adapter

from projected_grpo.method.adapter import (
    AdapterError,
    attach,
    factor,
    factorize,
    segment_gradient,
    stochastic_round,
    target_modules,
)
from projected_grpo.method.loss import collate, completion_logprobs

SEGMENTS = [0, 2, 3, 6]


class Textbook(nn.Module):
    """y = W x + U diag(knob) Vh x, one knob per segment of rows, all through autograd."""

    def __init__(self, layer, bounds):
        super().__init__()
        self.base, self.U, self.Vh = layer.base, layer.U, layer.Vh
        self.bounds = bounds
        self.knobs = nn.ParameterList((layer.delta + layer.quarantine).detach() for _ in bounds[1:])

    def forward(self, x):
        pieces = [x[low:high] for low, high in zip(self.bounds, self.bounds[1:], strict=False)]
        out = [self.base(p) + ((p @ self.Vh.T) * k) @ self.U.T for p, k in zip(pieces, self.knobs, strict=True)]
        return torch.cat(out)


def weighted_loss(model, batch):
    logp = completion_logprobs(model, batch)
    return (logp * torch.linspace(-1, 1, len(logp), dtype=logp.dtype)).sum()


def move_knobs(adapter, scale=0.05):
    generator = torch.Generator().manual_seed(1)
    state = {k: scale * torch.randn(v.shape, generator=generator, dtype=v.dtype) for k, v in adapter.state().items()}
    adapter.load(state)


def textbook_gradients(tiny, batch):
    model = copy.deepcopy(tiny.model)
    books = {}
    for name, layer in tiny.adapter.layers.items():
        books[name] = Textbook(layer, SEGMENTS)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, books[name])
    weighted_loss(model, batch).backward()
    return {name: torch.stack([k.grad for k in book.knobs]) for name, book in books.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_zero_knobs_give_the_base_logits_bit_for_bit(tiny, dtype):
    made = tiny(dtype)
    base = without_adapter(made)
    tokens = torch.arange(40).reshape(4, 10)
    assert torch.equal(made.model(tokens).logits, base(tokens).logits)
    move_knobs(made.adapter)
    assert not torch.equal(made.model(tokens).logits, base(tokens).logits)
    with made.adapter.at({}):
        assert torch.equal(made.model(tokens).logits, base(tokens).logits)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("form", ["module", "token", "auto"])
def test_fast_gradient_equals_autograd_per_module_and_source(tiny, rows, dtype, tolerance, form, monkeypatch):
    made = tiny(dtype)
    move_knobs(made.adapter)
    batch = collate(rows)
    expected = textbook_gradients(made, batch)

    def forced(*args):
        return segment_gradient(*args, form=form)

    monkeypatch.setattr("projected_grpo.method.adapter.segment_gradient", forced)
    with made.adapter.segments(SEGMENTS) as probes:
        weighted_loss(made.model, batch).backward()
    for name, probe in probes.items():
        for source in range(len(SEGMENTS) - 1):
            difference = (probe.grad[source] - expected[name][source]).norm()
            assert difference <= tolerance * expected[name][source].norm(), (name, source)


def test_segment_gradients_accumulate_over_micro_batches_and_add_up(tiny, rows):
    made = tiny(torch.float64)
    with made.adapter.segments([0, 6]) as whole:
        weighted_loss(made.model, collate(rows)).backward()
    with made.adapter.segments(SEGMENTS) as parts:
        weighted_loss(made.model, collate(rows)).backward()
        weighted_loss(made.model, collate(rows)).backward()
    for name in whole:
        assert torch.allclose(2 * whole[name].grad[0], parts[name].grad.sum(0), rtol=1e-10, atol=1e-14)


def linear_in_bfloat16(scale, name="q_proj", size=256):
    """Return a bfloat16 Linear of a model of its own, adapted, its knobs of one size and either sign."""
    torch.manual_seed(0)
    holder = nn.ModuleDict({name: nn.Linear(size, size, bias=False, dtype=torch.bfloat16)})
    adapter = attach(holder, factorize(holder))
    adapter.load({f"{name}.delta": scale * torch.randn(size).sign()}, partial=True)
    return adapter.layers[name]


def test_stochastic_rounding_takes_a_neighbour_and_keeps_the_mean():
    exact = torch.tensor([1.0, -1.0, 1 + 2**-9, -1 - 2**-9, 3e-39, 0.0]).repeat(40_000, 1)
    exact[:, 4] = exact[:, 4].bfloat16()  # subnormal, and on the grid
    found = stochastic_round(exact, torch.Generator().manual_seed(0)).float()
    assert torch.equal(found[:, [0, 1, 4, 5]], exact[:, [0, 1, 4, 5]])
    step = 2**-7
    assert set(found[:, 2].tolist()) == {1.0, 1 + step} and set(found[:, 3].tolist()) == {-1.0, -1 - step}
    assert torch.allclose(found.mean(0)[2:4], exact[0, 2:4], atol=0.02 * step)


def test_knobs_under_half_a_unit_of_the_weights_still_move_a_bfloat16_model():
    layer = linear_in_bfloat16(1e-3)
    weight, knob_term = layer.base.weight.float(), (layer.U.float() * layer.delta.detach()) @ layer.Vh.float()
    assert ((weight + knob_term).bfloat16() == layer.base.weight).float().mean() > 0.5  # lost by plain rounding
    kept = ((layer.merged.float() - weight) * knob_term).sum() / knob_term.square().sum()
    plain = (((weight + knob_term).bfloat16().float() - weight) * knob_term).sum() / knob_term.square().sum()
    assert abs(kept - 1) < 0.03 < abs(plain - 1)


def test_a_bfloat16_weight_is_merged_from_bfloat16_products_and_never_rounded_further_than_a_neighbour():
    layer = linear_in_bfloat16(0.05)
    exact = layer.base.weight.double() + (layer.U.double() * layer.delta.detach()) @ layer.Vh.double()
    knob_term = exact - layer.base.weight.double()
    unit = torch.finfo(torch.bfloat16).eps * exact.abs()
    assert ((layer.merged.double() - exact).abs() <= unit + 0.02 * knob_term.square().mean().sqrt()).all()


def test_equal_knobs_are_the_same_bfloat16_policy_wherever_they_are_loaded(tiny):
    made, again = tiny(torch.bfloat16), tiny(torch.bfloat16)
    move_knobs(made.adapter)
    merged = {name: layer.merged.clone() for name, layer in made.adapter.layers.items()}
    deltas = {name: layer.delta.detach().clone() for name, layer in made.adapter.layers.items()}
    again.adapter.load({f"{name}.delta": 2 * value for name, value in deltas.items()}, partial=True)
    again.adapter.load(made.adapter.state())
    with made.adapter.at({}):
        assert all(torch.equal(layer.merged, layer.base.weight) for layer in made.adapter.layers.values())
    for name, layer in made.adapter.layers.items():
        assert torch.equal(layer.merged, merged[name]) and torch.equal(again.adapter.layers[name].merged, merged[name])
    assert not torch.equal(linear_in_bfloat16(1e-3).merged, linear_in_bfloat16(1e-3, "k_proj").merged)


def test_bfloat16_gradients_are_within_a_percent_of_float64_per_module_and_segment(tiny, rows, monkeypatch):
    """From the same inputs and output gradients, and factors before the cast."""
    made, exact = tiny(torch.bfloat16), {}
    factors = {layer.U: factor(layer.base.weight) for layer in made.adapter.layers.values()}
    move_knobs(made.adapter)

    def both(grad_y, x, U, Vh, bounds):
        found = segment_gradient(grad_y, x, U, Vh, bounds)
        true = factors[U]
        exact[U] = found, segment_gradient(grad_y.double(), x.double(), true.U.double(), true.Vh.double(), bounds)
        return found

    monkeypatch.setattr("projected_grpo.method.adapter.segment_gradient", both)
    with made.adapter.segments(SEGMENTS) as probes:
        weighted_loss(made.model, collate(rows)).backward()
    assert len(exact) == len(probes)
    for found, true in exact.values():
        assert found.dtype == torch.float32
        assert ((found - true).norm(dim=1) < 0.01 * true.norm(dim=1)).all()


def test_low_precision_gradient_agrees_with_float32(tiny, rows):
    full, half = tiny(torch.float32), tiny(torch.bfloat16)
    gradients = {}
    for made in (full, half):
        move_knobs(made.adapter)
        with made.adapter.segments([0, 6]) as probes:
            weighted_loss(made.model, collate(rows)).backward()
        gradients[made.model.dtype] = torch.cat([probe.grad[0] for probe in probes.values()])
    cosine = torch.cosine_similarity(gradients[torch.float32], gradients[torch.bfloat16], dim=0)
    assert cosine > 0.95


def test_only_the_knobs_could_train(tiny):
    made = tiny()
    trainable = {name for name, p in made.model.named_parameters() if p.requires_grad}
    assert trainable and all(name.endswith((".delta", ".quarantine")) for name in trainable)


def test_a_model_without_targets_lists_its_leaves():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(AdapterError, match="leaves are \\['0'\\]"):
        target_modules(model)


def test_knobs_and_factors_of_another_model_are_refused(tiny):
    made = tiny()
    state = made.adapter.state()
    with pytest.raises(AdapterError, match="knobs do not fit"):
        made.adapter.load({**state, "elsewhere.delta": torch.zeros(3)})
    with pytest.raises(AdapterError, match="factors do not fit"):
        attach(nn.ModuleDict({"q_proj": nn.Linear(2, 2)}), {})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_quarantine_of_its_own_lies_in_a_fixed_orthonormal_basis(tiny, dtype):
    made, plain, again = tiny(dtype, quarantine_rank=3), tiny(dtype), tiny(dtype, quarantine_rank=3)
    tokens = torch.arange(40).reshape(4, 10)
    assert torch.equal(made.model(tokens).logits, plain.model(tokens).logits)
    for name, layer in made.adapter.layers.items():
        P, Q = layer.P.float(), layer.Q.float()
        assert torch.allclose(P.T @ P, torch.eye(3), atol=1e-5 if dtype == torch.float32 else 0.01)
        assert torch.allclose(Q @ Q.T, torch.eye(3), atol=1e-5 if dtype == torch.float32 else 0.01)
        assert torch.equal(layer.P, again.adapter.layers[name].P)
    move_knobs(made.adapter)
    x = torch.randn(2, 5, 24).to(dtype)
    layer = made.adapter.layers["model.layers.0.self_attn.q_proj"]
    W = layer.base.weight.float() + (layer.U * layer.delta) @ layer.Vh.float()
    W = W + (layer.P * layer.quarantine) @ layer.Q.float()
    assert torch.allclose(layer(x).float(), x.float() @ W.T, atol=1e-5 if dtype == torch.float32 else 0.1)


def test_both_gradients_of_a_distinct_quarantine_agree_with_autograd(tiny, rows):
    made = tiny(torch.float64, quarantine_rank=3)
    move_knobs(made.adapter)
    batch = collate(rows)
    with made.adapter.segments([0, 6]) as probes, made.adapter.own_basis() as own:
        weighted_loss(made.model, batch).backward()
    layers = made.adapter.layers
    leaves = {name: [layer.delta, layer.quarantine] for name, layer in layers.items()}
    for name, layer in layers.items():  # the textbook formula, through autograd
        parent, _, leaf = name.rpartition(".")
        setattr(made.model.get_submodule(parent), leaf, TwoBases(layer))
    weighted_loss(made.model, batch).backward()
    for name, (delta, quarantine) in leaves.items():
        assert torch.allclose(probes[name].grad[0], delta.grad, rtol=1e-8, atol=1e-12), name
        assert torch.allclose(own[name].grad[0], quarantine.grad, rtol=1e-8, atol=1e-12), name


class TwoBases(nn.Module):
    """y = W x + U diag(delta) Vh x + P diag(quarantine) Q x, through autograd."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        own = self.layer
        return own.base(x) + ((x @ own.Vh.T) * own.delta) @ own.U.T + ((x @ own.Q.T) * own.quarantine) @ own.P.T


def test_a_quarantine_rank_beyond_a_module_is_one_line(tiny):
    with pytest.raises(AdapterError, match=r"quarantine_rank 13 is larger than .*k_proj allows: at most 12"):
        tiny(quarantine_rank=13)
