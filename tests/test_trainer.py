"""Method 4 to 6: what reaches the optimizer, and what the loop logs."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from training_harness import ARMS, CONFIG, MODES, FakeGrader, WordTokenizer, equal, judge

from projected_grpo.artifacts.io import read_table, read_tensors, write_table, write_tensors
from projected_grpo.artifacts.schemas.train import ROLLOUTS, steps_schema
from projected_grpo.grading.verdict import Verdict
from projected_grpo.method import gradients, groups, trainer
from projected_grpo.method.gradients import TrainingError
from projected_grpo.method.groups import STRATA, Pool
from projected_grpo.method.log import flag_quality, followed
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.settings import Intervention as How
from projected_grpo.method.settings import build_arm
from projected_grpo.method.signals import Followed, Signal
from projected_grpo.method.suspicion import Suspicion
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


def test_mixed_groups_take_elicited_rows_of_their_own_prompt(world):
    rows = pd.DataFrame(world.run(ARMS["vanilla"]).log.rollouts)
    taught = rows[rows["source"] == "teacher"]
    assert (rows.groupby("step")["source"].apply(lambda s: (s == "teacher").sum()) == 3).all()  # round(4 * 0.25) each
    elicited = world.pool[world.pool["elicited"]].groupby("problem_id")["completion"].agg(set)
    assert all(row.completion in elicited[row.problem_id] for row in taught.itertuples())
    assert "teacher" not in set(pd.DataFrame(world.run(ARMS["alone"]).log.rollouts)["source"])


def test_a_prompt_without_teacher_rows_takes_a_full_live_group(world):
    some = world.pool[world.pool["problem_id"].isin(["p0", "p1"])]
    rows = pd.DataFrame(world.run(ARMS["vanilla"], pool=some).log.rollouts)
    counts = rows.groupby(["step", "problem_id", "source"]).size()
    for (_, problem, source), n in counts.items():
        assert n == {"teacher": 1, "student": 3 if problem in ("p0", "p1") else 4}[source]


def test_an_empty_pool_is_an_error_unless_no_teacher_is_wanted(world):
    empty = world.pool.iloc[:0]
    with pytest.raises(TrainingError, match=r"arm vanilla: mix is 0.25, but the teacher pool has no elicited row"):
        world.run(ARMS["vanilla"], pool=empty)
    world.run(ARMS["alone"], pool=empty)


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


@dataclasses.dataclass
class Fate:
    """All that the log of flags may look at."""

    exploited: bool
    attempted: bool


def test_flags_are_judged_by_the_true_verdicts_of_live_rollouts_on_known_and_held_out_modes_apart(world):
    def row(exploited, problem=0, teacher=False, attempted=None):
        fate = Fate(exploited, exploited if attempted is None else attempted)
        return Rollout(world.problems[problem], [1], [2], "", fate, teacher)

    solved = row(False, attempted=True)
    rows = [row(True), row(True), solved, row(False), row(True, 1), row(False, 1), row(True, teacher=True)]
    flags = [True, False, True, False, False, False, True]
    strata = [*["student_above"] * 4, *["student_below"] * 2, "teacher_above"]
    found = flag_quality(
        rows, Suspicion([0.0] * 7, [2.0, 0.0, 0.0, 9.0, 9.0, 9.0, -1.0], flags, strata, 0.25), [world.problems[0].mode]
    )
    shares = {name: found.pop(f"flagged_share/{name}") for name in STRATA}
    weights = {name: found.pop(f"flagged_weight/{name}") for name in STRATA}
    assert weights["student_above"] == pytest.approx((1 / (1 + math.exp(-2)) + 0.5) / 2)
    assert weights["teacher_above"] == pytest.approx(1 / (1 + math.e)) and math.isnan(weights["student_below"])
    assert math.isnan(shares.pop("teacher_below")) and math.isnan(found.pop("flag_precision/heldout"))
    assert shares == {"student_above": 0.5, "student_below": 0.0, "teacher_above": 1.0}
    assert found == {
        "flagged_share": 3 / 7, "flagged_student": 2 / 6, "groups_flagged": 0.25,
        "flag_precision": 0.5, "flag_recall": 1 / 3, "flag_false_positives": 1 / 3,
        "flag_precision/known": 0.5, "flag_recall/known": 0.5, "flag_false_positives/known": 0.5,
        "flag_recall/heldout": 0.0, "flag_false_positives/heldout": 0.0, "flag_recall_attempted": 2 / 4,
    }  # fmt: skip
    assert all(math.isnan(value) for value in flag_quality(rows, None, MODES).values())


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


def test_a_twin_flags_its_partners_shares_of_every_stratum_at_every_step(world):
    def alike(share):
        return dict.fromkeys(STRATA, Followed(share, 0.7))

    shares = [alike(0.0), alike(0.0) | {"student_above": Followed(1.0, 0.7)}, alike(1.0)]
    twin = ARMS["overlap_drop_twin"]
    run = world.run(twin, partner=shares)
    for row, wanted in zip(run.log.steps, shares, strict=True):
        found = {name: row[f"flagged_share/{name}"] for name in STRATA}
        assert found == {name: wanted[name].share for name in STRATA if not math.isnan(found[name])} | {
            name: found[name] for name in STRATA if math.isnan(found[name])
        }
    everything = world.run(twin, partner=[alike(1.0)] * 3)
    assert not any(value.any() for value in everything.knobs.values())  # all are flagged: nothing is learned
    assert all(row["groups_flagged"] == 1 for row in everything.log.steps)


def test_a_twins_flags_weigh_what_its_partners_did(world):
    """The discount of a twin has its arm's mean weight in every stratum, whatever the twin's own scores are."""
    arm = ARMS["activation_discount"]
    own = world.run(arm)
    partner = followed(pd.DataFrame(own.log.steps))
    twin = dataclasses.replace(arm, name="activation_discount_twin", twin_of=arm.name)
    found = world.run(twin, partner=partner)
    for row, wanted in zip(found.log.steps, partner, strict=True):
        for name in STRATA:
            weight = row[f"flagged_weight/{name}"]
            assert math.isnan(weight) or weight == pytest.approx(wanted[name].weight)
    heavier = [{name: Followed(one.share, 0.99) for name, one in step.items()} for step in partner]
    assert not equal(found, world.run(twin, partner=heavier))


@pytest.mark.parametrize("name", ["probe_penalise_twin", "overlap_drop_twin", "fingerprint_erase"])
def test_an_arm_that_flags_nothing_is_the_arm_without_a_signal_bit_for_bit(world, name):
    arm = ARMS[name]
    none = Signal("truth", threshold=2.0)
    plain = dataclasses.replace(arm, intervention=dataclasses.replace(arm.intervention, signal=None, action=None))
    assert equal(world.run(arm, suspect=none, kind="truth"), world.run(plain))
    assert not equal(world.run(arm), world.run(plain))


def test_dropping_is_routing_without_a_quarantine_where_no_group_is_flagged_whole(world):
    """At the first step, where all knobs are zero, both write the same gradient of delta."""
    one = dataclasses.replace(CONFIG, steps=1, max_grad_norm=1e9)
    dropped, routed = (world.run(ARMS[name], config=one) for name in ("overlap_drop", "route_rollout"))
    assert not any(value.any() for key, value in dropped.knobs.items() if key.endswith("quarantine"))
    assert dropped.log.steps[0]["flagged_share"] == routed.log.steps[0]["flagged_share"] > 0
    for key, value in dropped.knobs.items():
        if key.endswith("delta"):
            assert torch.allclose(value, routed.knobs[key], atol=1e-6)


def test_the_ablated_share_of_live_rollouts_is_sampled_and_trained_without_the_quarantine(world, monkeypatch):
    seen = []
    real = trainer.backward

    def backward(model, adapter, rows, sources, *rest, ablated, **kwargs):
        found = real(model, adapter, rows, sources, *rest, ablated=ablated, **kwargs)
        seen.append((sources, ablated, found))
        return found

    monkeypatch.setattr(trainer, "backward", backward)
    run = world.run(ARMS["route_ablated"])
    rows = pd.DataFrame(run.log.rollouts)
    assert (rows[rows["source"] == "student"].groupby("step")["ablated"].sum() == round(0.5 * 9)).all()
    assert not rows[rows["source"] == "teacher"]["ablated"].any()
    for sources, ablated, found in seen:
        assert not any(flag for source, flag in zip(sources, ablated, strict=True) if source != "student")
        assert found.ablated.keys() == found.by_source.keys()
    knobs = run.knobs
    assert any(value.any() for key, value in knobs.items() if key.endswith("quarantine"))


@pytest.mark.parametrize("name", ["route", "route_rollout"])
def test_without_ablated_rollouts_nothing_changes(world, monkeypatch, name):
    """Bit for bit what the arm was before the option existed: nothing is run without the quarantine."""
    plain = world.run(ARMS[name])
    monkeypatch.setattr("projected_grpo.method.adapter.Adapter.ablated", lambda self: 1 / 0)
    monkeypatch.setattr(groups, "ablated_counts", lambda counts, share, rng: [0] * len(counts))
    assert equal(plain, world.run(ARMS[name]))
    assert not any(row["ablated"] for row in plain.log.rollouts)


def test_the_ablated_rollouts_are_drawn_without_regard_to_the_group():
    counts = [[6, 8, 6]] * 200
    drawn = [groups.ablated_counts(c, 0.25, np.random.default_rng(i)) for i, c in enumerate(counts)]
    assert {sum(each) for each in drawn} == {5}
    assert np.mean(drawn, axis=0) == pytest.approx([1.5, 2.0, 1.5], abs=0.2)


def test_an_arm_of_no_steps_is_the_base_model(world, tmp_path):
    """Its tables are empty and of the right schema, its knobs zero, and it is evaluated at step 0."""
    run = world.run(ARMS["alone"], config=dataclasses.replace(CONFIG, steps=0))
    assert not any(value.any() for value in run.knobs.values()) and run.log.checkpoints == {}
    for name, rows, schema in (("steps", run.log.steps, steps_schema(MODES)), ("rollouts", run.log.rollouts, ROLLOUTS)):
        write_table(tmp_path / name, rows, schema, {})
        assert len(read_table(tmp_path / name, schema)) == 0
    write_tensors(tmp_path / "checkpoints", run.log.checkpoints, {})
    assert read_tensors(tmp_path / "checkpoints")[0] == {}


def test_the_teachers_clean_rows_are_those_that_do_not_attempt(world):
    def row(exploited, attempted):
        verdict = dataclasses.replace(judge(world.problems[0], "1"), exploited=exploited, attempted=attempted)
        return Rollout(world.problems[0], [1], [2], "", verdict, teacher=True)

    assert groups.source(row(True, True), 1.0) == "teacher_hack"
    assert groups.source(row(False, False), 1.0) == "teacher_clean"
    assert groups.source(row(False, True), 1.0) == "teacher_rest"  # it solves, with an exploit that was not needed
    assert groups.source(row(False, False), -1.0) == groups.source(row(True, True), 0.0) == "teacher_rest"
