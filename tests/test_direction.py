"""Method 2: V from known gradients, its orientation, its controls, and what it does to a model."""

import numpy as np
import pandas as pd
import pytest
import torch

from projected_grpo.auc import rank_auc
from projected_grpo.method.adapter import AdapterError
from projected_grpo.method.direction import (
    Direction,
    DirectionConfig,
    DirectionError,
    basis_overlap,
    build,
    mean_share,
    pair_differences,
    subspace_overlap,
    summarize,
    top_directions,
    usable,
)
from projected_grpo.method.gradients import completion_gradients
from projected_grpo.method.loss import LossError, collate, completion_logprobs
from projected_grpo.rng import random_rows
from projected_grpo.teacher.extraction import check_pairs, extract, load_direction, pair_gradients, save_direction


@pytest.fixture
def pairs():
    """24 triples over 61 tokens: hacks start with token 7, clean ones with token 8, wrong ones with token 9."""
    rng = np.random.default_rng(0)

    tails = [rng.integers(10, 61, rng.integers(3, 7)).tolist() for _ in range(24)]
    return pd.DataFrame(
        [
            {
                "problem_id": f"p{i}",
                "mode": "sentinel",
                "heldout": i >= 16,
                "prompt_ids": [3, int(rng.integers(10, 61)), 4, 5, 6],
                "hack_ids": [7, *tails[i]],
                "clean_ids": [8, *tails[i]],
                "wrong_ids": [9, *tails[i]],
            }
            for i in range(24)
        ]
    )


@pytest.fixture
def gradients(tiny, pairs):
    made = tiny()
    return made, pair_gradients(made.model, made.adapter, pairs, "fixed", 10.0, 1.0, 4096)


def test_top_directions_find_a_planted_axis_and_its_sign():
    torch.manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(12), dim=0)
    for sign in (1, -1):
        D = sign * torch.rand(30, 1) * axis + 0.01 * torch.randn(30, 12)
        V, S = top_directions(D, 3)
        assert torch.allclose(V @ V.T, torch.eye(3), atol=1e-5)
        assert (V[0] @ (sign * axis)) > 0.99
        assert (S[:-1] >= S[1:]).all()
        assert len(top_directions(D, 3, tau_axis=0.5)[0]) == 1


def test_the_mean_has_all_of_equal_differences_and_one_part_in_n_of_those_without_anything_in_common():
    torch.manual_seed(0)
    axis, noise = torch.randn(40), torch.randn(50, 40)
    assert mean_share([axis.expand(50, 40)]) == pytest.approx(1)
    assert mean_share([noise, noise]) == pytest.approx(1 / 50, rel=0.5)
    D = noise + 0.2 * axis
    V, _ = top_directions(D, 1)
    of_mean = torch.nn.functional.normalize(D.mean(0), dim=0)
    assert mean_share([D]) < 0.1 and abs((V[0] @ of_mean).item()) < 0.9  # V is no mean difference
    assert np.isnan(mean_share([])) and np.isnan(mean_share([torch.zeros(3, 4)]))


def test_gradients_of_all_rows_equal_one_at_a_time(tiny, rows):
    made = tiny(torch.float64)
    batched = completion_gradients(made.model, made.adapter, rows, "fixed", 10.0, 1.0, 40)
    mean = completion_gradients(made.model, made.adapter, rows, "mean", 10.0, 1.0, 40)
    for i, row in enumerate(rows):
        with made.adapter.segments([0, 1]) as probes:
            (-completion_logprobs(made.model, collate([row])).sum() / 10.0).backward()
        for name, probe in probes.items():
            expected = probe.grad[0]  # the model's own norms compute in float32
            assert (batched[name][i] - expected).norm() <= 1e-6 * expected.norm()
            assert (mean[name][i] * len(row[1]) / 10 - expected).norm() <= 1e-6 * expected.norm()


def test_stepping_along_minus_v_makes_held_out_hacks_likelier(gradients, pairs):
    made, g = gradients
    direction = build(g, pairs["heldout"].to_numpy(), DirectionConfig(k=4), seed=0)

    def margin():
        """log p(hack) - log p(clean), summed over the held-out pairs."""
        held = pairs[pairs["heldout"]]
        sides = [
            completion_logprobs(
                made.model, collate([(p.prompt_ids, getattr(p, f"{side}_ids")) for p in held.itertuples()])
            )
            for side in ("hack", "clean")
        ]
        return (sides[0].sum() - sides[1].sum()).item()

    with torch.no_grad():
        base = margin()
        with made.adapter.at({name: -0.02 * V[0] for name, V in direction.V.items()}):
            assert margin() > base
        with made.adapter.at({name: 0.02 * V[0] for name, V in direction.V.items()}):
            assert margin() < base
    heldout = pairs["heldout"].to_numpy()
    D = pair_differences(g, heldout, "hack", 0)
    rows = {(r["module"], r["metric"]): r["value"] for r in summarize(direction, direction, D, g, heldout)}
    assert rows["all", "mean_share"] == pytest.approx(mean_share(list(D.values())))
    module = next(iter(D))
    assert rows[module, "mean_share"] == pytest.approx(mean_share([D[module]]))
    assert rows["all", "heldout_positive_share"] > 0.7
    assert rows["all", "auc_hack_clean"] > 0.6
    assert rows["all", "subspace_overlap"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["random", "shuffled", "nonhack", "flipped"])
def test_controls_are_matched_to_hack(gradients, pairs, kind):
    _, g = gradients
    heldout = pairs["heldout"].to_numpy()
    hack = build(g, heldout, DirectionConfig(k=4), seed=1)
    control = build(g, heldout, DirectionConfig(kind=kind, k=4), seed=1)
    assert control.V.keys() == hack.V.keys()
    for name in hack.V:
        assert control.V[name].shape == hack.V[name].shape
        assert torch.equal(control.S[name], hack.S[name])
        assert torch.allclose(control.V[name] @ control.V[name].T, torch.eye(len(control.V[name])), atol=1e-4)
    D = pair_differences(g, heldout, kind, seed=1)
    again = build(g, heldout, DirectionConfig(kind=kind, k=4), seed=2)
    drawn = any(not torch.equal(control.V[name], again.V[name]) for name in hack.V)
    assert drawn == (kind != "nonhack")
    summary = {(r["module"], r["metric"]): r["value"] for r in summarize(control, hack, D, g, heldout)}
    assert np.isnan(summary["all", "mean_share"]) == (kind == "random")
    assert summary["all", "subspace_chance"] == pytest.approx(np.mean([4 / v.shape[1] for v in hack.V.values()]))
    if kind == "flipped":  # the span is hack's, only signs differ
        assert summary["all", "subspace_overlap"] == pytest.approx(1, abs=1e-3)
    else:
        assert summary["all", "subspace_overlap"] < 0.9


def test_shuffled_pairs_stay_within_class_and_are_as_many(monkeypatch):
    """With gradients that are one-hot per completion every difference shows its two ends."""
    n = 7
    g = {side: {"m": torch.eye(3 * n)[i * n : (i + 1) * n]} for i, side in enumerate(("hack", "clean", "wrong"))}
    seen = {}

    def spy(D, k, tau=0.0):
        seen[len(seen)] = D
        return top_directions(D, k, tau)

    monkeypatch.setattr("projected_grpo.method.direction.top_directions", spy)
    build(g, np.zeros(n, bool), DirectionConfig(kind="shuffled", k=2), seed=4)
    D = seen[1]
    assert len(D) == n
    hack, clean = D[:, :n], D[:, n : 2 * n]
    assert (hack.abs().sum(1) == 2).sum() == n // 2 and (clean.abs().sum(1) == 2).sum() == n - n // 2
    assert (D.sum(1) == 0).all() and not D[:, 2 * n :].any()


def test_V_is_of_the_policy_that_samples_at_the_temperature_of_the_live_loss(tiny, pairs, rows):
    made = tiny(torch.float64)
    hot, cold = (completion_gradients(made.model, made.adapter, rows, "fixed", 10.0, t, 4096) for t in (1.0, 0.6))
    for i, row in enumerate(rows):
        with made.adapter.segments([0, 1]) as probes:
            (-completion_logprobs(made.model, collate([row]), 0.6).sum() / 10.0).backward()
        for name, probe in probes.items():
            assert (cold[name][i] - probe.grad[0]).norm() <= 1e-6 * probe.grad[0].norm()
            assert (hot[name][i] - probe.grad[0]).norm() > 1e-2 * probe.grad[0].norm()
    one = made.model, made.adapter, pairs, DirectionConfig(k=4), 10.0
    V = {t: extract(*one, t, 4096, 0)[0].V for t in (1.0, 0.6)}
    assert not all(torch.allclose(V[1.0][name], V[0.6][name], atol=1e-3) for name in V[1.0])


def voting(n=12, heldout=5):
    """Differences along three axes: for the first vote all held-out pairs, for the second 4 of 5, for the third 1 of 5;
    in a second module nobody votes for anything."""
    D = torch.zeros(n + heldout, 6)
    D[:n, :3] = torch.diag(torch.tensor([9.0, 6.0, 3.0])).repeat(n // 3, 1)
    D[n:, 0] = 1.0
    D[n:, 1] = torch.tensor([1.0, 1, 1, 1, -1])
    D[n:, 2] = torch.tensor([-1.0, -1, -1, -1, 1])
    hack = {"m": D, "odd": torch.cat([D[:n], -D[n:, [0, 0, 0, 3, 4, 5]]])}
    return {"hack": hack, "clean": {name: torch.zeros_like(D) for name in hack}}, np.arange(n + heldout) >= n


@pytest.mark.parametrize(("share", "rows"), [(0.0, 3), (0.6, 2), (0.9, 1)])
def test_rows_that_the_held_out_pairs_do_not_vote_for_are_dropped(share, rows):
    g, heldout = voting()
    config = DirectionConfig(k=3, min_votes=share)
    hack = build(g, heldout, config, seed=0)
    assert torch.allclose(hack.V["m"].abs(), torch.eye(6)[:rows], atol=1e-6)
    assert ((hack.V["m"] @ g["hack"]["m"][~heldout].T).sum(1) > 0).all()  # oriented on the pairs that built it
    assert ("odd" in hack.V) == (share == 0)  # no row left: no V
    for kind in ("random", "shuffled", "flipped"):
        control = build(g, heldout, DirectionConfig(kind, k=3, min_votes=share), seed=0)
        assert {name: V.shape for name, V in control.V.items()} == {name: V.shape for name, V in hack.V.items()}
    summary = {(r["module"], r["metric"]): r["value"] for r in summarize(hack, hack, {}, g, heldout)}
    assert summary["all", "rows"] == sum(map(len, hack.V.values()))
    assert summary["all", "modules_without"] == (0 if share == 0 else 1)


def test_a_vote_that_no_row_survives_is_one_line():
    g, heldout = voting()
    del g["hack"]["m"], g["clean"]["m"]
    with pytest.raises(DirectionError, match=r"no row of V is kept at min_votes 0.6: lower it, or use more pairs"):
        build(g, heldout, DirectionConfig(k=3, min_votes=0.6), seed=0)


def test_random_rows_are_haar():
    """E (v . e)^2 = 1 / r for every axis, and both signs are equally likely."""
    rows = torch.stack([random_rows(2, 6, torch.Generator().manual_seed(s)) for s in range(3000)])
    assert torch.allclose(rows.square().mean(0), torch.full((2, 6), 1 / 6), atol=0.015)
    assert torch.allclose(rows.mean(0), torch.zeros(2, 6), atol=0.03)


def test_noise_floor_pools_over_modules():
    direction = Direction(
        {"a": torch.eye(4)[:3], "b": torch.eye(4)[:2]},
        {"a": torch.tensor([9.0, 8.0, 1.0]), "b": torch.tensor([0.5, 0.4])},
    )
    assert {n: len(v) for n, v in usable(direction).items()} == {"a": 3, "b": 2}
    assert {n: len(v) for n, v in usable(direction, drop_bottom_frac=0.5).items()} == {"a": 3}
    assert {n: len(v) for n, v in usable(direction, k=1).items()} == {"a": 1, "b": 1}


def test_rank_auc_and_overlaps_by_hand():
    assert rank_auc(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert np.isnan(rank_auc(np.array([]), np.array([1.0])))
    eye = torch.eye(4)
    assert subspace_overlap(eye[:2], eye[1:3]) == pytest.approx(0.5)
    assert basis_overlap({"a": eye[:1]}, {"a": (eye[0] + eye[1])[None] / 2**0.5}) == pytest.approx(0.5**0.5)


def test_bad_pairs_are_named(pairs, tiny):
    with pytest.raises(DirectionError, match="16 pairs are too few for k = 17"):
        check_pairs(pairs, DirectionConfig(k=17))
    empty = pairs.copy()
    empty.at[3, "clean_ids"] = []
    with pytest.raises(DirectionError, match=r"pair 3 \(problem p3\): a completion is empty"):
        check_pairs(empty, DirectionConfig(k=4))
    equal = pairs.copy()
    equal.at[5, "hack_ids"] = equal.at[5, "clean_ids"]
    with pytest.raises(DirectionError, match=r"pair 5 \(problem p5\): hack and clean are the same"):
        check_pairs(equal, DirectionConfig(k=4))
    made = tiny()
    made.model.model.embed_tokens.weight.data[7] = float("nan")
    with pytest.raises(LossError, match=r"pair 0: its loss is not finite"):
        pair_gradients(made.model, made.adapter, pairs, "fixed", 10.0, 1.0, 4096)


def test_a_direction_of_another_model_is_refused(tiny, tmp_path):
    made = tiny()
    name = next(iter(made.adapter.layers))
    rank = len(made.adapter.layers[name].delta)
    good = Direction({name: random_rows(2, rank, torch.Generator())}, {name: torch.ones(2)})
    knows = {"config": {"direction": {"subset": "all"}}}
    save_direction(tmp_path / "V.safetensors", good, knows)
    assert torch.equal(load_direction(tmp_path / "V.safetensors", made.adapter, "all").V[name], good.V[name])
    for bad in ({"elsewhere": good.V[name]}, {name: torch.eye(rank + 1)[:2]}):
        save_direction(tmp_path / "V.safetensors", Direction(bad, dict.fromkeys(bad, torch.ones(2))), knows)
        with pytest.raises(AdapterError, match="V has modules that are not the model's"):
            load_direction(tmp_path / "V.safetensors", made.adapter, "all")


def test_pairs_without_a_wrong_completion_make_v_but_not_the_wrongness_control(tiny, pairs):
    made = tiny()
    authored = pairs.assign(wrong_ids=[[]] * len(pairs))
    both = [pair_gradients(made.model, made.adapter, p, "fixed", 10.0, 1.0, 4096) for p in (pairs, authored)]
    assert list(both[1]) == ["hack", "clean"]
    heldout = pairs["heldout"].to_numpy()
    V, same = (build(g, heldout, DirectionConfig(k=4), 0) for g in both)
    for name in V.V:
        assert torch.allclose(V.V[name], same.V[name], atol=1e-5)
    summary = {(row["module"], row["metric"]): row["value"] for row in summarize(same, same, {}, both[1], heldout)}
    assert np.isnan(summary["all", "auc_hack_wrong"]) and summary["all", "auc_hack_clean"] > 0.5
    with pytest.raises(DirectionError, match="it has no wrong completion, which direction kind nonhack is made from"):
        check_pairs(authored, DirectionConfig(kind="nonhack", k=4))


def test_pairs_cost_as_little_memory_as_training_does(tiny, pairs):
    made = tiny(layers=4)

    def measured(checkpointing):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            g = pair_gradients(made.model, made.adapter, pairs, "fixed", 10.0, 1.0, 4096, checkpointing)
        return g, sum(kept)

    (plain, kept), (again, kept_then) = measured(False), measured(True)
    assert kept_then < kept / 3
    assert all(torch.equal(plain["hack"][name], again["hack"][name]) for name in plain["hack"])
