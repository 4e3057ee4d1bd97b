"""Method 7: which knobs are evaluated, on what, and how."""

import dataclasses

import pandas as pd
import pytest
import torch
from training_harness import ARMS, FakeGrader, WordTokenizer

from projected_grpo.environment.problems import Problem
from projected_grpo.evaluation import held_out
from projected_grpo.evaluation.detectors import Detector, bare, detect_rollouts
from projected_grpo.evaluation.held_out import START, Condition, EvaluationConfig, Sampling, conditions, knobs_at
from projected_grpo.method import rollouts, sampling
from projected_grpo.method.signals import Signal

CONFIG = EvaluationConfig(samples=3, subset=2, subset_samples=2, every=4, test_functions=(), quarantine_scales=(0.5,))
SAMPLING = Sampling(temperature=1.0, max_new_tokens=5)


@pytest.fixture
def problems():
    return [Problem(f"p{i}", f"task {i}", "f", (((1,), {}, 2),), mode="sentinel") for i in range(4)]


def checkpoints(adapter, steps, quarantine):
    generator = torch.Generator().manual_seed(0)
    return {
        f"step{step}.{name}": torch.randn(value.shape, generator=generator) * (quarantine or name.endswith("delta"))
        for step in steps
        for name, value in adapter.state().items()
    }


def look(made, problems, saved, last, config, seed, start=()):
    given = made.adapter, FakeGrader(), problems, saved, start, last
    return held_out.evaluate(made.model, WordTokenizer(), *given, config, SAMPLING, seed)


def test_conditions_cover_the_run_and_both_states_only_where_they_differ():
    plain = list(conditions(10, 4, None))
    assert [c.step for c in plain if c.scope == "subset"] == [4, 8, 10]
    full = [c for c in plain if c.scope == "full"]
    assert {(c.state, c.hint, c.decoding) for c in full} == {
        ("deployed", hint, decoding) for hint in (True, False) for decoding in ("sample", "greedy")
    }
    looked_at = list(conditions(10, 4, [0.25, 0.5]))
    routed = [c for c in looked_at if c.scope == "full"]
    assert len(routed) == 8 and Condition(10, "full", "trained", True, "sample") in routed
    scaled = [c for c in looked_at if c.state.startswith("quarantine")]
    assert scaled == [Condition(10, "subset", f"quarantine {scale}", True, "sample") for scale in (0.25, 0.5)]


def test_deployed_knobs_have_no_quarantine_and_step_0_is_the_base_model(tiny):
    saved = checkpoints(tiny().adapter, [4], quarantine=True)
    assert all(key.endswith(".delta") for key in knobs_at(saved, 4, "deployed"))
    assert any(key.endswith(".quarantine") for key in knobs_at(saved, 4, "trained"))
    assert knobs_at(saved, 0, "deployed") == {}
    whole, half = knobs_at(saved, 4, "trained"), knobs_at(saved, 4, "quarantine 0.5")
    for name, value in whole.items():
        assert torch.equal(half[name], value if name.endswith(".delta") else value / 2)
    with pytest.raises(KeyError, match="no checkpoint of step 5"):
        knobs_at(saved, 5, "deployed")


@pytest.mark.parametrize("quarantine", [False, True])
def test_rows(tiny, problems, quarantine):
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine)
    rows = look(made, problems, saved, 6, CONFIG, seed=1)
    again = look(made, problems, saved, 6, CONFIG, seed=1)
    assert rows == again
    subset = [row for row in rows if row["scope"] in ("subset", "asked")]
    assert {row["problem_id"] for row in subset} == {"p0", "p1"}
    assert len(subset) == 2 * 2 * (4 if quarantine else 3)
    states = 2 if quarantine else 1
    assert len(rows) - len(subset) == states * 2 * 4 * (3 + 1)
    if quarantine:  # it matters when it is kept, and only then
        greedy = [r for r in rows if r["scope"] == "full" and r["decoding"] == "greedy" and r["hint"]]
        by_state = {s: [r["completion"] for r in greedy if r["state"] == s] for s in ("deployed", "trained")}
        assert by_state["deployed"] != by_state["trained"]


def test_the_base_model_is_an_arm_of_no_steps(tiny, problems):
    """It has no saved knobs; it is evaluated in full, whatever knobs somebody else has left."""
    made, left = tiny(), tiny()
    saved = checkpoints(left.adapter, [4], quarantine=False)
    left.adapter.load(knobs_at(saved, 4, "deployed"), partial=True)
    rows = look(left, problems, {}, 0, CONFIG, seed=1)
    assert {(row["step"], row["scope"], row["state"]) for row in rows} == {
        (0, "full", "deployed"),
        (0, "asked", "deployed"),
    }
    assert rows == look(made, problems, {}, 0, CONFIG, seed=1)


def test_every_evaluation_begins_with_the_rows_of_step_0_which_are_sampled_once(tiny, problems):
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine=False)
    start = held_out.evaluate_start(made.model, WordTokenizer(), FakeGrader(), problems[:2], 2, SAMPLING, 1)
    assert len(start) == 4 and all(row.items() >= vars(START).items() for row in start)
    run = look(made, problems, saved, 6, CONFIG, seed=1, start=start)
    assert run == [*start, *look(made, problems, saved, 6, CONFIG, seed=1)]
    assert not any(row["step"] == 0 for row in run[4:])


def test_arms_share_their_sampling_noise_and_only_knobs_make_a_difference(tiny, problems):
    """With a quarantine too small to matter, as trained and as deployed give the same completions."""
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine=True)
    saved = {key: value * (1e-30 if key.endswith("quarantine") else 1) for key, value in saved.items()}
    rows = look(made, problems, saved, 6, CONFIG, seed=1)
    full = [r for r in rows if r["scope"] == "full"]
    by_state = {s: [r["completion"] for r in full if r["state"] == s] for s in ("deployed", "trained")}
    assert by_state["deployed"] == by_state["trained"]
    other = look(made, problems, saved, 6, CONFIG, seed=2)
    assert [r["completion"] for r in rows] != [r["completion"] for r in other]


def test_every_condition_uses_its_prompt_its_decoding_and_its_knobs(tiny, problems, monkeypatch):
    made = tiny()
    saved = checkpoints(made.adapter, [4, 6], quarantine=True)
    seen = []
    real_encode, real_sample = held_out.encode, sampling.sample

    def encode(tokenizer, problem, hint, elicit):
        seen.append({"hint": hint, "asked": elicit})
        return real_encode(tokenizer, problem, hint=hint, elicit=elicit)

    def sample(model, prompts, counts, max_new_tokens, temperature, *rest):
        knobs = made.adapter.state()
        kept = any(value.any() for key, value in knobs.items() if key.endswith("quarantine"))
        seen[-1] |= {"temperature": temperature, "trained": kept, "base": not any(v.any() for v in knobs.values())}
        return real_sample(model, prompts, counts, max_new_tokens, temperature, *rest)

    monkeypatch.setattr(held_out, "encode", encode)
    monkeypatch.setattr(rollouts, "sample", sample)
    look(made, problems, saved, 6, CONFIG, seed=1)
    calls = [call for call in seen if "temperature" in call]
    for condition, call in zip(conditions(6, 4, CONFIG.quarantine_scales), calls, strict=True):
        assert call == {
            "hint": condition.hint,
            "asked": condition.scope == "asked",
            "temperature": 0.0 if condition.decoding == "greedy" else 1.0,
            "trained": condition.state != "deployed",
            "base": condition.step == 0,
        }


def test_problems_of_mode_run_tests_are_put_once_more_under_other_names(tiny, problems):
    made = tiny()
    mixed = [dataclasses.replace(p, mode=mode) for p, mode in zip(problems, ["run_tests", "sentinel"] * 2, strict=True)]
    names = ("verify", "check")
    assert [p.test_function for p in held_out.renamed(mixed, names)] == ["verify", "check"]
    config = dataclasses.replace(CONFIG, test_functions=names)
    saved = checkpoints(made.adapter, [4, 6], quarantine=True)
    rows = look(made, mixed, saved, 6, config, seed=1)
    renamed = [row for row in rows if row["scope"] == "renamed"]
    assert [row["problem_id"] for row in renamed] == ["p0"] * 3 + ["p2"] * 3
    assert {(row["step"], row["state"], row["hint"], row["decoding"]) for row in renamed} == {
        (6, "deployed", True, "sample")
    }
    plain = look(made, mixed, saved, 6, CONFIG, seed=1)
    assert plain == [row for row in rows if row["scope"] != "renamed"]


class Words(WordTokenizer):
    def encode(self, text, **_):
        return list(map(int, text.split()))


def test_V_detects_rollouts_at_the_temperature_that_sampled_them(world, tiny):
    """An overlap depends on it: the gradient is that of the policy that wrote the rollout."""
    run, made = world.run(ARMS["vanilla"]), tiny()
    live = pd.DataFrame(run.log.rollouts)
    V = bare(world.V, "all", control=False)
    states = torch.randn(1, made.model.config.hidden_size, generator=torch.Generator().manual_seed(0))
    weights = {"w": states, "bias": torch.zeros(1), "layers": torch.zeros(1)}
    probe = Detector(Signal("probe", weights, 0.0), "without_sentinel", False, True)
    given = made.model, Words(), made.adapter, world.problems, live, run.log.checkpoints, {"hack": V, "probe": probe}
    hot, cold = (pd.DataFrame(detect_rollouts(*given, temperature, 4096, seed=1)) for temperature in (1.0, 0.5))
    assert hot.drop(columns="score").equals(cold.drop(columns="score"))
    looked_at = ((live["source"] == "student") & live["step"].isin([1, 3])).sum()
    assert set(hot["step"]) == {1, 3} and len(hot) == 2 * looked_at
    apart = (hot["score"] - cold["score"]).abs().groupby(hot["detector"]).mean()
    assert apart["hack"] > 1e-3 and apart["probe"] == 0  # a state is read, whatever it was sampled at
    flags = hot[hot["detector"] == "probe"]
    assert (flags["flagged"] == (flags["score"] > 0)).all() and hot.loc[
        hot["detector"] == "hack", "flagged"
    ].isna().all()
