"""On a GPU, what a processor says: logits, tokens, gradients, and a training of every kind of arm."""

from functools import partial

import numpy as np
import pytest
import torch
from test_gradients import TIGHT, gradients
from training_harness import ARMS, judge, make_world, without_adapter

from projected_grpo.method.in_place import LOOK_EVERY
from projected_grpo.method.rollouts import Rollout
from projected_grpo.method.sampling import keeps_rows, sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here to run on")
PROMPTS = [[5, 9, 11], [7], [3, 3, 8, 20, 41]]


@pytest.fixture
def on_gpu(tiny):
    return partial(tiny, device="cuda")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_zero_knobs_give_the_base_models_logits_bit_for_bit(on_gpu, dtype):
    made = on_gpu(dtype)
    base = without_adapter(made)
    tokens = torch.arange(40, device="cuda").reshape(4, 10)
    assert torch.equal(made.model(tokens).logits, base(tokens).logits)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_captured_step_draws_the_tokens_of_a_processor(tiny, on_gpu, temperature):
    drawn, tokens = [], 2 * LOOK_EVERY + 3
    for model in (tiny().model, on_gpu().model):
        generator = torch.Generator().manual_seed(4)
        drawn.append(sample(model, PROMPTS, [9, 0, 6], tokens, temperature, generator, 17))
    assert keeps_rows(model)
    assert drawn[0] == drawn[1]


def test_gradients_by_source_are_those_of_a_processor(tiny, on_gpu, world):
    rng, rows = np.random.default_rng(1), []
    for i in range(12):
        ids = [*rng.integers(1, 60, rng.integers(1, 6)).tolist(), 0]
        verdict = judge(world.problems[0], f"{i}")
        rows.append(Rollout(world.problems[0], [5, 6, 7][: 1 + i % 3], ids, "", verdict, teacher=i % 2 == 0))
    advantage = [(-0.5) ** (i % 4) for i in range(len(rows))]
    routed = [i % 3 == 1 for i in range(len(rows))]
    said = gradients(tiny(quarantine_rank=3), rows, advantage, TIGHT, routed)
    found = gradients(on_gpu(quarantine_rank=3), rows, advantage, TIGHT, routed)
    assert found.loss == pytest.approx(said.loss, rel=1e-4)
    for name in said.by_source:
        for kind in ("by_source", "kept", "quarantine"):
            expected = getattr(said, kind)[name]
            assert (getattr(found, kind)[name].cpu() - expected).norm() < 1e-4 * expected.norm(), (kind, name)


@pytest.mark.parametrize("name", ARMS)
def test_every_kind_of_arm_trains_as_on_a_processor(tiny, on_gpu, name):
    said, found = (make_world(made).run(ARMS[name]) for made in (tiny, on_gpu))
    for log in (said.log, found.log):
        assert any(value.any() for value in log.checkpoints.values())
    first = [[row["completion"] for row in log.rollouts if row["step"] == 0] for log in (said.log, found.log)]
    assert first[0] == first[1]
    for key, value in said.log.steps[0].items():
        assert found.log.steps[0][key] == pytest.approx(value, rel=5e-3, abs=1e-5, nan_ok=True), key
