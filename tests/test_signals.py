"""Method 2b: scores against numbers worked out by hand, flags, twins, and what a fit learns."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from training_harness import WordTokenizer, judge

from projected_grpo.artifacts.io import write_tensors
from projected_grpo.artifacts.provenance import provenance
from projected_grpo.method.actions import ACTIONS
from projected_grpo.method.loss import collate
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.signals import (
    KINDS,
    Followed,
    Seen,
    Signal,
    SignalError,
    as_heavy,
    depths,
    flag_above,
    flag_shares,
    mean_states,
    rollout_overlaps,
    score,
    sketch,
)
from projected_grpo.rng import random_rows
from projected_grpo.teacher.signals import aucs_of, examples, fit, in_use, save_signal, shuffle, summarize
from projected_grpo.teacher.weak_detector import LeakError
from projected_grpo.workflow import config_arms

V = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
G = torch.tensor([3.0, -4.0, 5.0, 0.0])


def seen(n, states=None, gradients=None, told=None, groups=None, seed=0):
    return Seen(
        [([1], [2])] * n,
        [""] * n,
        torch.zeros(n, dtype=torch.long) if groups is None else torch.tensor(groups),
        3,
        lambda layers: states[:, list(layers)],
        lambda: gradients,
        torch.Generator().manual_seed(seed),
        told,
    )


def test_a_rollouts_overlap_is_the_mean_over_the_modules_that_it_reaches():
    gradients = {"a": torch.stack([G, -G, torch.zeros(4), torch.zeros(4)]), "b": torch.stack([G, G, G, torch.zeros(4)])}
    got = rollout_overlaps({"a": V, "b": V}, gradients)
    assert got.tolist() == pytest.approx([3 / 50**0.5, (4 + 3) / 50**0.5 / 2, 3 / 50**0.5, 0.0])


def test_a_share_flags_the_largest_overlaps_and_of_equal_ones_the_first():
    overlaps = torch.tensor([0.1, 0.4, 0.3, 0.4, 0.2])

    def flagged(share):
        return flag_shares(overlaps, ["all"] * 5, {"all": share})

    assert flagged(0.2).tolist() == [False, True, False, False, False]
    assert flagged(0.6).tolist() == [False, True, True, True, False]
    assert flagged(1.0).all() and not flagged(0.0).any()
    assert not flagged(math.nan).any()  # the other arm's step had no such row


def test_every_stratum_has_its_own_share():
    overlaps = torch.tensor([0.1, 0.4, 0.3, 0.9, 0.8, 0.7])
    strata = ["above"] * 3 + ["below"] * 3
    assert flag_shares(overlaps, strata, {"above": 2 / 3, "below": 0.0}).tolist() == [False, True, True] + [False] * 3


def test_a_twins_flagged_rows_get_the_score_of_its_partners_weight_and_others_keep_theirs():
    scores, flags = torch.tensor([5.0, -1.0, 2.0, 0.5], dtype=torch.float64), torch.tensor([True, True, False, True])
    partner = {"above": Followed(0.5, 0.75), "below": Followed(0.5, 0.5)}
    found = as_heavy(scores, flags, ["above", "above", "above", "below"], partner)
    assert found.sigmoid().tolist() == pytest.approx([0.75, 0.75, torch.tensor(2.0).sigmoid().item(), 0.5])
    assert as_heavy(scores, flags, ["above"] * 4, {}).equal(scores)


def test_a_flag_is_a_score_above_the_threshold_and_not_at_it():
    assert flag_above(torch.tensor([0.4, 0.5, 0.6]), 0.5).tolist() == [False, False, True]


def test_the_overlap_is_that_of_the_rollouts_own_gradient():
    given = seen(2, gradients={"m": torch.stack([G, -G])})
    assert score(Signal("overlap", {"m.V": V}), given).tolist() == pytest.approx([3 / 50**0.5, 4 / 50**0.5])


def test_the_probe_is_log_odds_at_its_layer():
    states = torch.zeros(2, 3, 2)
    states[:, 1] = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    weights = {"w": torch.tensor([[2.0, 1.0]]), "bias": torch.tensor([-1.0]), "layers": torch.tensor([1.0])}
    assert score(Signal("probe", weights), seen(2, states)).tolist() == [3.0, 4.0]


def test_the_activation_is_a_z_score_in_the_group_with_a_floor():
    """Projections 0, 2 | 5, 5.02: the first group's deviation is 1, the second's 0.01, floored at 0.1 * 2."""
    states = torch.zeros(4, 3, 1)
    states[:, 1, 0], states[:, 2, 0] = torch.tensor([0.0, 3, 7, 7]), torch.tensor([0.0, 1, 3, 3.04])
    weights = {"w": torch.ones(2, 1), "layers": torch.tensor([1.0, 2.0]), "spread": torch.tensor([2.0])}
    got = score(Signal("activation", weights), seen(4, states, groups=[0, 0, 1, 1]))
    assert got.tolist() == pytest.approx([-1, 1, -0.05, 0.05], abs=1e-5)


def test_a_fingerprint_is_nearer_to_one_side_than_to_the_other():
    gradients = {"a": torch.randn(4, 50, generator=torch.Generator().manual_seed(0)), "b": torch.ones(4, 3)}
    made = sketch(gradients)
    assert made.shape == (4, 1024) and torch.allclose(made.norm(dim=1), torch.ones(4))
    assert torch.allclose(made, sketch({name: 7 * g for name, g in gradients.items()}), atol=1e-6)
    signal = Signal("fingerprint", {"hack": made[0], "clean": made[1]})
    got = score(signal, seen(4, gradients=gradients))
    assert got[0] > 0 > got[1] and got[0] == pytest.approx((made[0] - made[1]).norm().item())


def test_a_fingerprint_keeps_angles():
    wide = {"m": torch.randn(2, 4000, generator=torch.Generator().manual_seed(1))}
    wide["m"][1] += wide["m"][0]
    cosine = torch.cosine_similarity(*wide["m"], dim=0).item()
    assert (sketch(wide)[0] @ sketch(wide)[1]).item() == pytest.approx(cosine, abs=0.1)


def test_what_is_told_is_told_of_a_share_and_flipped_at_the_error_rate():
    bits = torch.arange(4000) % 2 == 0
    assert torch.equal(score(Signal("truth"), seen(4000, told=bits)), bits.double())
    wrong = score(Signal("truth", accuracy=0.9), seen(4000, told=bits)) != bits
    assert wrong.double().mean().item() == pytest.approx(0.1, abs=0.02)
    some = score(Signal("truth", share=0.25), seen(4000, told=bits))
    assert some[~bits].sum() == 0 and some[bits].mean().item() == pytest.approx(0.25, abs=0.03)


def test_a_twin_without_weights_has_its_scores_permuted():
    bits = torch.arange(400) < 100
    got = score(Signal("detector", twin=True), seen(400, told=bits))
    assert got.sum() == 100 and 10 < got[:100].sum() < 40
    other = score(Signal("detector", twin=True), seen(400, told=bits, seed=1))
    assert not torch.equal(got, other)


def test_a_signal_of_ones_own_has_to_give_one_finite_number_each(monkeypatch, tmp_path):
    (tmp_path / "own_signals.py").write_text(
        "import torch\n"
        "def length(seen, signal):\n    return torch.tensor([float(len(ids)) for _, ids in seen.tokens])\n"
        "def nothing(seen, signal):\n    return torch.full((len(seen.tokens),), torch.nan)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert score(Signal("own_signals:length"), seen(3)).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(SignalError, match="own_signals:nothing: it has to give one finite score per completion"):
        score(Signal("own_signals:nothing"), seen(3))


@pytest.mark.parametrize(("layers", "read"), [(3, [1]), (2, [0]), (36, [21, 22, 23, 24, 25, 26]), (1, [0])])
def test_the_layers_at_60_to_75_percent_of_the_depth(layers, read):
    assert depths(layers) == read


def test_mean_states_are_those_of_the_positions_that_predict_the_completion(tiny, rows):
    made = tiny(layers=3)
    got = mean_states(made.model, rows, [0, 2], token_budget=30)
    assert not made.model.get_decoder().layers[0]._forward_hooks
    for row, pair in enumerate(rows):
        out = made.model.get_decoder()(collate([pair]).tokens[:, :-1], output_hidden_states=True, use_cache=False)
        mask = collate([pair]).mask[0]
        assert torch.allclose(got[row, 0], out.hidden_states[1][0, mask].mean(0), atol=1e-5)
        assert not torch.allclose(got[row, 0], got[row, 1])
    assert got.shape == (len(rows), 2, 24) and not got.requires_grad


PAIRS = 12


@pytest.fixture
def pairs():
    """Hacks end in token 7, clean ones in 8, wrong ones in 9; a third of the pairs is held out."""
    rng = np.random.default_rng(0)

    def ids(last):
        return [*rng.integers(10, 60, 5).tolist(), last, last, last, 0]

    rows = [
        {"prompt_ids": [1, 2, 3], "hack_ids": ids(7), "clean_ids": ids(8), "wrong_ids": ids(9)} for _ in range(PAIRS)
    ]
    return pd.DataFrame(rows).assign(heldout=np.arange(PAIRS) >= 8)


def fitted(tiny, pairs, kind, seed=0):
    made = tiny(layers=3)
    found = examples(made.model, made.adapter, WordTokenizer(), pairs, 1.0, 200, seed)
    directions = {
        name: random_rows(2, len(layer.delta), torch.Generator().manual_seed(i))
        for i, (name, layer) in enumerate(made.adapter.layers.items())
    }
    return fit(kind, *found, directions, 0.25, seed), found


@pytest.mark.parametrize("kind", ["overlap", "probe", "activation", "fingerprint"])
def test_a_signal_is_fitted_thresholded_and_tested_on_held_out_pairs(tiny, pairs, kind):
    both, found = fitted(tiny, pairs, kind)
    again, _ = fitted(tiny, pairs, kind)
    for one, other in zip(both, again, strict=True):
        assert one.weights.keys() == other.weights.keys() and one.weights
        assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
    signal, twin = both
    assert twin.twin and signal.weights.keys() == twin.weights.keys()
    assert any(not torch.equal(value, twin.weights[name]) for name, value in signal.weights.items())
    numbers = {(row["of"], row["metric"]): row["value"] for row in summarize(both, *found)}
    assert numbers["signal", "n_heldout"] == 4 * 3 and numbers["signal", "n_built"] == 8 * 3
    if kind in ("probe", "activation", "fingerprint"):
        assert numbers["signal", "auc_hack_clean"] > 0.9
    if kind == "activation":
        assert signal.threshold == 0
    else:
        assert numbers["signal", "false_positives"] == 0.25


def test_the_config_knows_every_kind_of_signal_and_action():
    assert set(config_arms.SIGNALS) == KINDS.keys() and set(config_arms.ACTIONS) == ACTIONS.keys()


def test_the_twins_labels_say_nothing_of_any_side():
    sides = np.repeat(["hack", "clean", "wrong"], 48)
    labels = shuffle(sides, np.ones(144, bool), np.random.default_rng(0))
    for side in ("hack", "clean", "wrong"):
        assert [(labels[sides == side] == other).sum() for other in ("hack", "clean", "wrong")] == [16] * 3
    kept = shuffle(sides, np.arange(144) < 48, np.random.default_rng(0))
    assert (kept[48:] == sides[48:]).all()


def test_a_twin_is_blind_where_the_sides_are_far_apart():
    """Sides 100 deviations apart: plainly permuted labels would leave an axis between them, or its opposite."""
    rng = np.random.default_rng(1)
    sides = np.repeat(["hack", "clean", "wrong"], 48)
    x = rng.normal(size=(144, 5))
    x[:48, 0] += 100
    found = []
    for seed in range(20):
        labels = shuffle(sides, np.ones(144, bool), np.random.default_rng(seed))
        w = x[labels == "hack"].mean(0) - x[labels == "clean"].mean(0)
        found.append(abs(w[0]))
    assert max(found) < 1  # of 100


def test_without_held_out_pairs_there_is_no_threshold(tiny, pairs):
    with pytest.raises(SignalError, match="no pair is held out"):
        fitted(tiny, pairs.assign(heldout=False), "probe")


def test_pairs_without_wrong_completions_serve_too(tiny, pairs):
    both, found = fitted(tiny, pairs.assign(wrong_ids=[[]] * PAIRS), "probe")
    numbers = {(row["of"], row["metric"]): row["value"] for row in summarize(both, *found)}
    assert math.isnan(numbers["signal", "auc_hack_wrong"]) and numbers["signal", "auc_hack_clean"] > 0.9
    assert set(found[1]) == {"hack", "clean"}


def test_aucs_are_of_held_out_completions():
    sides, heldout = np.array(["hack", "clean", "wrong"] * 2), np.arange(6) >= 3
    assert aucs_of(np.array([0, 9, 9, 2, 1, 3.0]), sides, heldout) == {"auc_hack_clean": 1.0, "auc_hack_wrong": 0.0}


def test_a_signal_on_file_is_what_was_fitted_and_knows_its_subset(tiny, pairs, tmp_path):
    both, found = fitted(tiny, pairs, "probe")
    spec = {"kind": "probe", "subset": "without_sentinel"}
    path = tmp_path / "weights.safetensors"
    save_signal(path, both, provenance({"signal": spec}, "code"))
    for twin, own in zip((False, True), both, strict=True):
        got, told = in_use(spec, path, twin, ["run_tests"])
        assert told is None and got.twin == twin and got.weights.keys() == own.weights.keys()
        assert torch.equal(score(got, found[0]), score(own, found[0]))
    assert in_use(spec, path, False, [])[0].threshold == pytest.approx(both[0].threshold)
    with pytest.raises(LeakError, match="this signal knows 'without_sentinel', but the arm may know 'all'"):
        in_use(spec | {"subset": "all"}, path, False, [])
    write_tensors(path, {"threshold": torch.zeros(1)}, {})
    with pytest.raises(LeakError, match="this signal knows None"):
        in_use(spec, path, False, [])


def test_a_detector_is_told_of_known_modes_alone_and_truth_of_all(world):
    """And neither of anything else of the verdict."""
    spec = {"accuracy": 1.0, "share": 1.0}
    texts = [f"{i} 0" for i in range(2, 8)]
    rows = [Rollout(p, [1], [2], t, judge(p, t)) for p, t in zip(world.problems, texts, strict=True)]
    assert {row.verdict.channel_fired for row in rows} == {True, False}
    detector, hears = in_use({"kind": "detector", **spec}, None, False, ["run_tests"])
    truth, knows = in_use({"kind": "truth", **spec}, None, True, ["run_tests"])
    assert detector == Signal("detector") and truth == Signal("truth", twin=True)
    for row in rows:
        assert hears(row) == (row.verdict.channel_fired and row.problem.mode == "run_tests")
        assert knows(row) == row.verdict.exploited
