"""Method 4 to 6: what reaches the optimizer, and what the loop logs."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from training_harness import ARMS, CONFIG, MODES, FakeGrader, WordTokenizer, equal

from projected_grpo.artifacts.io import read_table, read_tensors, write_table, write_tensors
from projected_grpo.artifacts.schemas.train import ROLLOUTS, steps_schema
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method import gradients, trainer
from projected_grpo.method.gradients import TrainingError
from projected_grpo.method.groups import Pool
from projected_grpo.method.settings import Intervention as How
from projected_grpo.method.settings import build_arm
from projected_grpo.workflow.arms import signal_of, training_spec
from projected_grpo.workflow.folds import with_folds
from projected_grpo.workflow.twins import with_twins


class LyingGrader(FakeGrader):
    """Everything but the reward of a live rollout is random."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def grade(self, items, audit=False):
        return [dataclasses.replace(verdict, **self.lies()) for verdict in super().grade(items)]

    def lies(self):
        lies = {field.name: bool(self.rng.random() < 0.5) for field in dataclasses.fields(Verdict)}
        del lies["reward"]
        return lies | {"attempted_modes": ("sentinel",), "status": str(self.rng.choice(["ok", "error", "timeout"]))}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_logs_all_columns_and_repeats_bit_for_bit(world, name):
    first, second = world.run(ARMS[name]), world.run(ARMS[name])
    assert equal(first, second)
    assert any(value.any() for key, value in first.knobs.items() if key.endswith("delta"))
    assert [set(row) for row in first.log.steps] == [set(steps_schema(MODES).names)] * CONFIG.steps
    assert all(set(row) == set(ROLLOUTS.names) for row in first.log.rollouts)
    assert len(first.log.rollouts) == CONFIG.steps * CONFIG.prompts_per_step * CONFIG.group_size
    assert {key.split(".")[0] for key in first.log.checkpoints} == {"step2", "step3"}
    assert (
        pd.DataFrame(first.log.steps)
        .drop(columns=["step"])
        .equals(pd.DataFrame(second.log.steps).drop(columns=["step"]))
    )
    quarantined = any(value.any() for key, value in first.knobs.items() if key.endswith("quarantine"))
    flags = ARMS[name].intervention.signal is not None
    assert all(math.isfinite(row["flagged_share"]) == flags for row in first.log.steps)
    assert all(math.isfinite(row["score"]) == flags for row in first.log.rollouts)
    assert quarantined == name.startswith("route")


DEFAULT = yaml.safe_load((Path(__file__).resolve().parents[1] / "config.yaml").read_text())
EVERY = with_folds(with_twins({**DEFAULT, "modes": MODES}))


@pytest.mark.parametrize("name", EVERY["arms"])
def test_every_arm_of_the_default_experiment_takes_two_steps(world, name):
    spec = {**training_spec(EVERY, name), "k": 2}
    if spec.get("quarantine_rank"):
        spec["quarantine_rank"] = 3
    if spec.get("refresh_every"):
        spec["refresh_every"] = 1
    arm = build_arm(name, spec)
    own = {key: EVERY["arms"][name][key] for key in DEFAULT["train"] if key in EVERY["arms"][name]}
    config = dataclasses.replace(CONFIG, **own | {"steps": 2})
    kind = (signal_of(EVERY, name) or {}).get("kind")
    assert set(steps_schema(MODES, arm.measures).names) >= {f"overlap_student/{name}" for name in arm.measures}
    run = world.run(arm, config=config, refresh=lambda: world.V, kind=kind)
    assert [row["step"] for row in run.log.steps] == [1, 2]
    assert all(math.isfinite(row["delta_norm"]) for row in run.log.steps) and run.log.steps[-1]["delta_norm"] > 0
    assert math.isfinite(run.log.steps[0]["flagged_share"]) == (kind is not None)
    assert [set(row) for row in run.log.steps] == [set(steps_schema(MODES, arm.measures).names)] * 2


@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
@pytest.mark.parametrize("name", ARMS)
def test_no_cheat_only_the_reward_of_a_live_rollout_reaches_the_optimizer(world, name, kl_coef):
    config = dataclasses.replace(CONFIG, kl_coef=kl_coef)
    honest, lying = world.run(ARMS[name], config=config), world.run(ARMS[name], LyingGrader(), config)
    assert equal(honest, lying)
    told, lied = (pd.DataFrame(run.log.rollouts)["correct"] for run in (honest, lying))
    assert not told.equals(lied)


class HalfLyingGrader(LyingGrader):
    """It tells the truth of the channel too."""

    def lies(self):
        return {key: value for key, value in super().lies().items() if key != "channel_fired"}


@pytest.mark.parametrize("action", ["penalise", "drop", "route"])
def test_a_detector_is_told_of_the_channel_and_of_nothing_else(world, action):
    how = How(signal="detector", action=action, strength=2.0, quarantine_rank=3 if action == "route" else 0)
    arm = dataclasses.replace(ARMS["vanilla"], intervention=how)
    honest = world.run(arm)
    assert equal(honest, world.run(arm, HalfLyingGrader()))
    assert not equal(honest, world.run(arm, LyingGrader()))
    truth = dataclasses.replace(arm, intervention=dataclasses.replace(how, signal="truth"))
    assert not equal(world.run(truth), world.run(truth, HalfLyingGrader()))  # the ceiling


def test_the_reward_does_reach_the_optimizer(world):
    class Contrary(FakeGrader):
        def grade(self, items, audit=False):
            return [dataclasses.replace(v, reward=1.5 - v.reward) for v in super().grade(items)]

    assert not equal(world.run(ARMS["alone"]), world.run(ARMS["alone"], Contrary()))


@pytest.mark.parametrize("name", ["erase", "erase_update", "route"])
def test_an_empty_V_is_vanilla_bit_for_bit(world, name):
    assert equal(world.run(ARMS["vanilla"], directions={}), world.run(ARMS[name], directions={}))
    assert not equal(world.run(ARMS["vanilla"]), world.run(ARMS[name]))


def test_measuring_V_changes_nothing(world):
    assert equal(world.run(ARMS["vanilla"]), world.run(ARMS["vanilla"], directions={}))


def test_no_loophole_trains_in_mode_none(world):
    rows = pd.DataFrame(world.run(ARMS["no_loophole"]).log.rollouts)
    assert set(rows["mode"]) == {"none"}


def test_a_loss_that_is_not_finite_stops_the_run(world, monkeypatch):
    monkeypatch.setattr(
        gradients,
        "completion_logprobs",
        lambda model, batch, temperature: torch.full((int(batch.lengths.sum()),), math.nan),
    )
    with pytest.raises(TrainingError, match="step 1: the loss is nan"):
        world.run(ARMS["alone"])


def test_groups_without_variance_are_counted_and_teach_nothing(world):
    class Same(FakeGrader):
        def grade(self, items, audit=False):
            return [dataclasses.replace(v, reward=0.3) for v in super().grade(items)]

    run = world.run(ARMS["alone"], Same())
    assert all(row["frac_reward_zero_std"] == 1 for row in run.log.steps)
    assert not any(value.any() for value in run.knobs.values())


def test_kl_is_zero_at_the_base_model_and_then_pulls_back(world):
    free = world.run(ARMS["vanilla"], config=dataclasses.replace(CONFIG, kl_coef=1e-9, steps=6))
    pulled = world.run(ARMS["vanilla"], config=dataclasses.replace(CONFIG, kl_coef=10.0, steps=6))
    assert pulled.log.steps[0]["kl"] == 0
    assert 0 < pulled.log.steps[-1]["kl"] < 0.5 * free.log.steps[-1]["kl"]
    assert math.isnan(world.run(ARMS["vanilla"]).log.steps[0]["kl"])


@pytest.mark.parametrize("broken", ["gradient", "knobs"])
def test_a_broken_gradient_or_knob_stops_the_run(world, monkeypatch, broken):
    if broken == "gradient":
        real = trainer.backward

        def backward(*args, **kwargs):
            found = real(*args)
            return dataclasses.replace(found, kept={name: g * math.nan for name, g in found.kept.items()})

        monkeypatch.setattr(trainer, "backward", backward)
        with pytest.raises(TrainingError, match="step 1: grad_norm is nan; lower the learning rate"):
            world.run(ARMS["alone"])
    else:
        config = dataclasses.replace(CONFIG, lr=1e30)
        with pytest.raises(TrainingError, match=r"step \d: (delta_norm is inf|the loss is nan)"):
            world.run(ARMS["alone"], config=config)


def test_the_slow_control_is_slow(world):
    slow = world.run(dataclasses.replace(ARMS["vanilla"], lr_scale=0.25))
    for row, full in zip(slow.log.steps, world.run(ARMS["vanilla"]).log.steps, strict=True):
        assert row["lr"] == pytest.approx(full["lr"] / 4)
    assert slow.log.steps[0]["delta_norm"] < 0.3 * full["delta_norm"]


def test_refresh_replaces_V_and_logs_the_rotation(world):
    arm = dataclasses.replace(ARMS["erase"], refresh_every=2)
    run = world.run(arm, refresh=lambda: {name: -V for name, V in world.V.items()})
    basis = [row["basis_overlap"] for row in run.log.steps]
    assert math.isnan(basis[0]) and math.isnan(basis[1]) and basis[2] == pytest.approx(1)
    assert not equal(run, world.run(ARMS["erase"]))


def test_a_refresh_sees_the_current_model_without_its_quarantine(world, tiny):
    seen = []
    made = tiny()

    def refresh():
        state = made.adapter.state()
        seen.append(
            {kind: any(v.any() for k, v in state.items() if k.endswith(kind)) for kind in ("delta", "quarantine")}
        )
        return world.V

    arm = dataclasses.replace(ARMS["route"], refresh_every=2)
    inputs = trainer.RunInputs(
        made.model, WordTokenizer(), made.adapter, world.problems, Pool(world.pool), arm, CONFIG, 1, 1,
        FakeGrader(), MODES, refresh,
    )  # fmt: skip
    trainer.train(inputs, world.V)
    assert seen == [{"delta": True, "quarantine": False}]
    assert any(value.any() for key, value in made.adapter.state().items() if key.endswith("quarantine"))


def test_learning_rate_warms_up_and_ends_near_zero():
    config = dataclasses.replace(CONFIG, steps=50)
    rates = [trainer.learning_rate(step, config) for step in range(1, 51)]
    assert rates[0] == pytest.approx(0.01) and max(rates) == rates[4] == pytest.approx(0.05)
    assert rates[-1] < 0.001 and rates[4:] == sorted(rates[4:], reverse=True)
    assert trainer.learning_rate(10, config, 0.25) == pytest.approx(rates[9] / 4)


def test_the_order_of_prompts_and_the_noise_have_seeds_of_their_own(world):
    def order(run):
        return [row["problem_id"] for row in run.log.rollouts]

    def answers(run):
        return [row["completion"] for row in run.log.rollouts]

    plain = world.run(ARMS["alone"])
    other_noise, other_order = world.run(ARMS["alone"], seed=2), world.run(ARMS["alone"], data_seed=2)
    assert order(other_noise) == order(plain) and answers(other_noise) != answers(plain)
    assert order(other_order) != order(plain)


def test_measures_log_the_overlaps_of_further_directions_and_change_nothing(world):
    run = world.run(dataclasses.replace(ARMS["vanilla"], measures=("random", "shuffled")))
    assert equal(run, world.run(ARMS["vanilla"]))
    for row in run.log.steps:  # here both are the arm's own V
        assert row["overlap_student/random"] == row["overlap_student/shuffled"] == row["overlap_student"]


def test_an_arm_of_no_steps_is_the_base_model(world, tmp_path):
    """Its tables are empty and of the right schema, its knobs zero, and it is evaluated at step 0."""
    run = world.run(ARMS["alone"], config=dataclasses.replace(CONFIG, steps=0))
    assert not any(value.any() for value in run.knobs.values()) and run.log.checkpoints == {}
    for name, rows, schema in (("steps", run.log.steps, steps_schema(MODES)), ("rollouts", run.log.rollouts, ROLLOUTS)):
        write_table(tmp_path / name, rows, schema, {})
        assert len(read_table(tmp_path / name, schema)) == 0
    write_tensors(tmp_path / "checkpoints", run.log.checkpoints, {})
    assert read_tensors(tmp_path / "checkpoints")[0] == {}
