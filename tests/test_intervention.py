"""Method 3: every equation against numbers worked out by hand, and the optimizer's part in it."""

import math

import pytest
import torch
from torch import nn

from projected_grpo.method.adapter import attach, factorize
from projected_grpo.method.intervention import (
    KnobOptimizer,
    mean_overlap,
    measured_overlaps,
    null_overlap,
    overlap,
    project,
)
from projected_grpo.method.settings import Intervention
from projected_grpo.rng import random_rows

V = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
G = torch.tensor([3.0, -4.0, 5.0, 0.0])


@pytest.mark.parametrize(
    ("how", "kept", "removed"),
    [
        (Intervention("erase"), [0, -4, 5, 0], [3, 0, 0, 0]),
        (Intervention("erase", "no_gate"), [0, 0, 5, 0], [3, -4, 0, 0]),
        (Intervention("erase", "reverse"), [-3, -4, 5, 0], [6, 0, 0, 0]),
        (Intervention("erase", overshoot=1.5), [-1.5, -4, 5, 0], [4.5, 0, 0, 0]),
    ],
)
def test_gates_by_hand(how, kept, removed):
    got = project(V, G, how)
    assert torch.equal(got[0], torch.tensor(kept, dtype=torch.float32))
    assert torch.equal(got[1], torch.tensor(removed, dtype=torch.float32))


def test_preserve_magnitude_rescales_to_the_norm_of_g():
    kept, _ = project(V, G, Intervention("erase", preserve_magnitude=True))
    assert kept.norm() == pytest.approx(G.norm().item())
    assert torch.allclose(kept / kept.norm(), torch.tensor([0, -4.0, 5, 0]) / 41**0.5)


def test_overlap_takes_relu_before_aggregating():
    assert overlap(V, G) == pytest.approx(3 / 50**0.5)
    assert overlap(V, torch.zeros(4)) != overlap(V, torch.zeros(4))  # nan: no gradient, no ratio
    both = {"a": V, "b": V}
    assert mean_overlap(both, {"a": G, "b": -G}) == pytest.approx((3 + 4) / 50**0.5 / 2)
    assert null_overlap({"a": V, "b": V[:1]}) == pytest.approx(((2 / 8) ** 0.5 + (1 / 8) ** 0.5) / 2)


@pytest.fixture
def knobs():
    """A factory: knobs(r) -> an adapter of one module with r knobs."""

    def make(r=4, quarantine_rank=0):
        torch.manual_seed(0)
        holder = nn.ModuleDict({"q_proj": nn.Linear(r, r, bias=False)})
        return attach(holder, factorize(holder), quarantine_rank)

    return make


def run(adapter, how, gradients, directions, lr=0.1, clip=1e9):
    optimizer = KnobOptimizer(adapter, how, (0.9, 0.99), clip)
    logs = [optimizer.step({"q_proj": g}, directions, lr) for g in gradients]
    return adapter.layers["q_proj"], logs


def noise(n, r, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(r, generator=generator) for _ in range(n)]


def test_what_is_written(knobs):
    layer, _ = run(knobs(), Intervention("erase"), [G], {"q_proj": V})
    assert torch.equal(layer.delta.grad, torch.tensor([0, -4.0, 5, 0]))
    assert layer.quarantine.grad is None and not layer.quarantine.any()
    layer, _ = run(knobs(), Intervention("route"), [G], {"q_proj": V})
    assert torch.equal(layer.delta.grad, torch.tensor([0, -4.0, 5, 0]))
    assert torch.equal(layer.quarantine.grad, torch.tensor([3.0, 0, 0, 0]))
    assert layer.quarantine.any()
    layer, _ = run(knobs(), Intervention("none"), [G], {"q_proj": V})
    assert torch.equal(layer.delta.grad, G)


def test_ablated_rollouts_reach_delta_alone(knobs):
    """Of two rollouts with gradients (3, -4, 5, 0) and (1, 1, 0, 2) the second ran without the quarantine."""
    ablated = torch.tensor([1.0, 1, 0, 2])
    for gate, kept, removed in (
        ("no_gate", [0, 0, 5, 2], [3, -4, 0, 0]),
        ("one_sided", [0, -3, 5, 2], [3, 0, 0, 0]),
    ):
        adapter = knobs()
        optimizer = KnobOptimizer(adapter, Intervention("route", gate, ablated=0.5), (0.9, 0.99), 1e9)
        optimizer.step({"q_proj": G + ablated}, {"q_proj": V}, 0.1, ablated={"q_proj": ablated})
        layer = adapter.layers["q_proj"]
        assert torch.equal(layer.delta.grad, torch.tensor(kept, dtype=torch.float32))
        assert torch.equal(layer.quarantine.grad, torch.tensor(removed, dtype=torch.float32))


def test_what_is_measured_is_the_live_gradient_alone():
    by_source = {"a": torch.stack([G, -3 * G, G, G])}
    got = measured_overlaps(by_source, {"hack": {"a": V}, "other": {"a": torch.eye(4)[2:3]}})
    assert got == {
        "overlap_student/hack": pytest.approx(3 / 50**0.5),
        "overlap_student/other": pytest.approx(5 / 50**0.5),
    }


ROUTES = Intervention(action="route", quarantine_rank=2)


def test_a_quarantine_that_learns_nothing_leaves_vanilla_bit_for_bit(knobs):
    steps = noise(5, 4)
    vanilla, _ = run(knobs(), Intervention(), steps, {"q_proj": V})
    adapter = knobs(quarantine_rank=2)
    optimizer = KnobOptimizer(adapter, ROUTES, (0.9, 0.99), 1e9)
    for g in steps:
        optimizer.step({"q_proj": g}, {"q_proj": V}, 0.1, {"q_proj": torch.zeros(2)})
    layer = adapter.layers["q_proj"]
    assert torch.equal(layer.delta, vanilla.delta) and not layer.quarantine.any()


def test_a_routing_action_writes_both_gradients_and_clips_them_jointly(knobs):
    adapter = knobs(quarantine_rank=2)
    kept, own = {"q_proj": torch.tensor([0.0, 0, 4, 0])}, {"q_proj": torch.tensor([3.0, 0])}
    log = KnobOptimizer(adapter, ROUTES, (0.9, 0.99), 1.0).step(kept, {"q_proj": V}, 0.1, own)
    layer = adapter.layers["q_proj"]
    assert log["grad_norm"] == pytest.approx(5.0) and log["overlap_after"] == pytest.approx(0.0)
    assert torch.allclose(layer.delta.grad, torch.tensor([0, 0, 0.8, 0]), atol=1e-5)
    assert torch.allclose(layer.quarantine.grad, torch.tensor([0.6, 0]), atol=1e-5)


def test_an_action_and_a_projection_combine(knobs):
    """Delta's part is projected, the quarantine's in its own basis is not."""
    adapter = knobs(quarantine_rank=2)
    how = Intervention("erase", action="route", quarantine_rank=2)
    own = {"q_proj": torch.tensor([7.0, 8.0])}
    KnobOptimizer(adapter, how, (0.9, 0.99), 1e9).step({"q_proj": G}, {"q_proj": V}, 0.1, own)
    layer = adapter.layers["q_proj"]
    assert torch.equal(layer.delta.grad, torch.tensor([0, -4.0, 5, 0]))
    assert torch.equal(layer.quarantine.grad, own["q_proj"])


def test_trusted_keeps_what_lies_in_the_span(knobs):
    """Gradient and step alike, and modules without V are left alone."""
    kept, removed = project(V, G, Intervention("trusted"))
    assert torch.equal(kept, torch.tensor([3.0, -4, 0, 0])) and torch.equal(removed, torch.tensor([0, 0, 5.0, 0]))
    layer, _ = run(knobs(), Intervention("trusted", project="both"), noise(20, 4, seed=1), {"q_proj": V})
    assert not layer.delta[2:].any() and layer.delta[:2].all()
    layer, _ = run(knobs(), Intervention("trusted"), [G], {"q_proj": torch.eye(4)})
    assert torch.equal(layer.delta.grad, G)


@pytest.mark.parametrize("kind", ["erase", "route"])
@pytest.mark.parametrize("project", ["gradient", "update", "both", "purge"])
def test_an_empty_V_is_vanilla_bit_for_bit(knobs, kind, project):
    if kind == "route" and project != "gradient":
        return
    steps = noise(5, 4)
    vanilla, _ = run(knobs(), Intervention("none"), steps, {})
    layer, _ = run(knobs(), Intervention(kind, project=project), steps, {})
    assert torch.equal(layer.delta, vanilla.delta)


def test_zero_overshoot_is_vanilla_bit_for_bit(knobs):
    steps = noise(5, 4)
    vanilla, _ = run(knobs(), Intervention("none"), steps, {"q_proj": V})
    for kind, how in (("erase", "gradient"), ("erase", "update"), ("route", "gradient")):
        layer, _ = run(knobs(), Intervention(kind, project=how, overshoot=0.0), steps, {"q_proj": V})
        assert torch.equal(layer.delta, vanilla.delta)


def test_clipping_is_by_the_joint_norm_of_what_is_written(knobs):
    layer, logs = run(knobs(), Intervention("route"), [G], {"q_proj": V}, clip=1.0)
    assert logs[0]["grad_norm"] == pytest.approx(50**0.5)
    written = torch.cat([layer.delta.grad, layer.quarantine.grad])
    assert written.norm() == pytest.approx(1.0, abs=1e-5)
    assert layer.quarantine.grad[0] / layer.delta.grad[2] == pytest.approx(3 / 5)


def hackward(layer, before):
    return V @ (before - layer.delta.detach())


@pytest.mark.parametrize("project", ["update", "both"])
def test_projecting_the_update_leaves_no_hack_ward_motion(knobs, project):
    adapter = knobs()
    optimizer = KnobOptimizer(adapter, Intervention("erase", project=project), (0.9, 0.99), 1e9)
    layer = adapter.layers["q_proj"]
    for g in noise(20, 4, seed=1):
        before = layer.delta.detach().clone()
        log = optimizer.step({"q_proj": g}, {"q_proj": V}, 0.1)
        assert (hackward(layer, before) <= 1e-6).all()
        assert log["overlap_update"] <= 1e-4


def test_projecting_the_gradient_does_not_bound_the_update_but_purging_the_moment_does(knobs):
    """Momentum banked while V was unknown carries on hack-ward under `gradient`, not under `purge`."""
    rotated = torch.eye(4)[[2, 3]]
    moved = {}
    for how in ("gradient", "purge"):
        adapter = knobs()
        optimizer = KnobOptimizer(adapter, Intervention("erase", project=how), (0.9, 0.99), 1e9)
        optimizer.step({"q_proj": torch.tensor([1.0, 1, 1, 1])}, {"q_proj": V}, 0.1)  # banks axes 2 and 3
        before = adapter.layers["q_proj"].delta.detach().clone()
        optimizer.step({"q_proj": torch.tensor([1.0, 1, 1, 1])}, {"q_proj": rotated}, 0.1)
        moved[how] = rotated @ (before - adapter.layers["q_proj"].delta.detach())
    assert (moved["gradient"] > 1e-3).all()
    assert (moved["purge"] <= 1e-6).all()


def test_a_random_one_sided_V_drifts_and_a_two_sided_one_does_not(knobs):
    """E relu(c) > 0 on zero-mean gradients: the gate rectifies noise, Adam scales the residue up (method 3)."""
    r, n = 64, 400
    directions = {"q_proj": random_rows(16, r, torch.Generator().manual_seed(5))}
    drift = {}
    for name, how in {
        "one_sided": Intervention("erase"),
        "no_gate": Intervention("erase", "no_gate"),
        "none": Intervention(),
    }.items():
        _, logs = run(knobs(r), how, noise(n, r, seed=2), directions, lr=0.01)
        drift[name] = logs[-1]["drift"]
    assert drift["one_sided"] < -0.5  # hundreds of steps of 0.01, nearly all the same way
    assert abs(drift["no_gate"]) < 0.1 * abs(drift["one_sided"])
    assert abs(drift["none"]) < 0.1 * abs(drift["one_sided"])


def test_a_one_sided_route_is_a_gauge_drift_and_a_two_sided_one_is_not(knobs):
    """On noise alone the one-sided gate pushes delta and quarantine apart, and the loss, which sees their sum, does not
    see it (method 3b)."""
    r, n = 64, 400
    directions = {"q_proj": random_rows(16, r, torch.Generator().manual_seed(5))}
    last = {
        gate: run(knobs(r), Intervention("route", gate), noise(n, r, seed=2), directions, lr=0.01)[1][-1]
        for gate in ("one_sided", "no_gate")
    }
    drifted = last["one_sided"]
    assert drifted["drift"] < -0.5 and drifted["drift_quarantine"] > 0.5
    assert abs(last["no_gate"]["drift"]) < 0.1 * abs(drifted["drift"])
    assert abs(last["no_gate"]["drift_quarantine"]) < 0.2 * drifted["drift_quarantine"]


def test_the_drift_of_a_quarantine_is_logged_where_it_has_the_basis_of_V(knobs):
    layer, logs = run(knobs(), Intervention("route"), [G], {"q_proj": V})
    assert logs[0]["drift_quarantine"] == pytest.approx(-(V @ layer.quarantine.detach()).mean().item())
    for how in (Intervention("erase"), ROUTES):
        _, logs = run(knobs(quarantine_rank=how.quarantine_rank), how, [G], {"q_proj": V})
        assert math.isnan(logs[0]["drift_quarantine"])
