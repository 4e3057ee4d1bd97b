"""Export: what plain transformers loads is the deployed model."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from projected_grpo.method.sampling import sample
from projected_grpo.models import export

PROMPTS = [[1 + (7 * i + j) % 60 for j in range(3 + i % 4)] for i in range(32)]


class Saver:
    """A tokenizer as far as an export needs one."""

    eos_token_id = 0

    def save_pretrained(self, directory):
        (directory / "tokenizer.json").write_text("{}")


@pytest.fixture
def trained(tiny):
    """A model with knobs far from zero, and those knobs."""
    made = tiny(quarantine_rank=3)
    generator = torch.Generator().manual_seed(1)
    knobs = {name: 0.3 * torch.randn(value.shape, generator=generator) for name, value in made.adapter.state().items()}
    return made, knobs


def exported(trained, tmp_path, dtype="float32"):
    made, knobs = trained
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, knobs, dtype, PROMPTS, 8)
    return fidelity, AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")


def test_plain_transformers_gives_the_trainers_greedy_tokens(trained, tmp_path):
    made, knobs = trained
    fidelity, loaded = exported(trained, tmp_path)
    assert fidelity == export.Fidelity(0.0, 1.0, 32)
    deltas = {name.removesuffix(".delta"): value for name, value in knobs.items() if name.endswith(".delta")}
    with torch.no_grad(), made.adapter.at(deltas):
        groups = sample(made.model, PROMPTS, [1] * len(PROMPTS), 8, 0.0, torch.Generator(), 0)
        assert export.agreement([ids for (ids,) in groups], export.generated(tmp_path, PROMPTS, 8, "cpu")) == 1.0
        tokens = torch.tensor(PROMPTS[3:4])
        assert torch.allclose(made.model(tokens).logits, loaded(tokens).logits, atol=1e-5)
    with torch.no_grad():
        assert not torch.allclose(made.model(tokens).logits, loaded(tokens).logits, atol=1e-2)  # the base model


def test_merged_minus_base_is_the_knobs_contribution(trained, tmp_path):
    made, knobs = trained
    _, loaded = exported(trained, tmp_path)
    for name, layer in made.adapter.layers.items():
        merged = loaded.get_submodule(name).weight
        contribution = (layer.U * knobs[f"{name}.delta"]) @ layer.Vh
        assert torch.allclose(merged - layer.base.weight, contribution, atol=1e-6), name


def test_the_quarantine_stays_behind_and_the_run_is_left_as_it_was(trained, tmp_path):
    made, knobs = trained
    before = copy.deepcopy(made.adapter.state())
    _, loaded = exported(trained, tmp_path)
    without = {name: value for name, value in knobs.items() if name.endswith(".delta")}
    _, again = exported((made, without), tmp_path / "again")
    for one, other in zip(loaded.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(torch.equal(value, made.adapter.state()[name]) for name, value in before.items())
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.py"))


def test_bfloat16_says_what_it_lost(trained, tmp_path):
    made, knobs = trained
    fidelity, loaded = exported(trained, tmp_path, "bfloat16")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert 1e-4 < fidelity.rounding < 0.1 and 0 < fidelity.agreement <= 1
    small = {name: 1e-3 * value for name, value in knobs.items()}
    worse, _ = exported((made, small), tmp_path / "small", "bfloat16")
    assert worse.rounding > 100 * fidelity.rounding  # a small contribution falls under W's own grid


def test_disagreement_is_counted_position_by_position():
    assert export.agreement([[1, 2, 3, 0], [4, 0]], [[1, 9, 3], [4, 0]]) == 4 / 6


@pytest.fixture
def stubborn(tiny):
    """A model that says 5 and then 7, whatever it is asked, and an adapter without any knob turned."""
    made = tiny()
    with torch.no_grad():
        embedding = made.model.get_input_embeddings().weight  # which is the head's weight too
        for name, parameter in made.model.named_parameters():
            if "layers" in name and parameter.dim() > 1:
                parameter.zero_()
        embedding.zero_()
        embedding[:, 0] = 1  # all say 5 ...
        embedding[5], embedding[5, 1] = 0, 1
        embedding[5, 0] = 5
        embedding[7, 1] = 50  # ... which says 7
    made.adapter.refresh()
    return made


@pytest.mark.parametrize("ends", [7, [0, 7]])
def test_the_export_stops_where_the_trainers_model_does(stubborn, tmp_path, ends):
    model = stubborn.model
    model.generation_config.eos_token_id = ends
    knobs = {name: torch.zeros_like(value) for name, value in stubborn.adapter.state().items()}
    fidelity = export.export(tmp_path, model, Saver(), stubborn.adapter, knobs, "float32", PROMPTS, 8)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    out = loaded.generate(torch.tensor(PROMPTS[:1]), attention_mask=torch.ones(1, 3), max_new_tokens=8, do_sample=False)
    assert out[0, 3:].tolist() == [5, 7]
    assert fidelity.agreement == 1.0
    assert set(loaded.generation_config.eos_token_id) == {0, 7}


def test_the_cards_agreement_is_that_of_plain_generate(trained, tmp_path, monkeypatch):
    """Files that say something else than the trainer's model are not agreed with."""
    made, knobs = trained
    monkeypatch.setattr(export.AutoModelForCausalLM, "from_pretrained", classmethod(lambda *_, **__: other))
    other = copy.deepcopy(made.model)
    other.generation_config.repetition_penalty = 5.0
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, knobs, "float32", PROMPTS, 8)
    assert fidelity.agreement < 1.0


def test_a_bfloat16_run_exports_the_policy_that_it_sampled_from(tiny, tmp_path):
    made = tiny(torch.bfloat16)
    generator = torch.Generator().manual_seed(1)
    layers = made.adapter.layers
    knobs = {name: 0.3 * torch.randn(len(layer.delta), generator=generator) for name, layer in layers.items()}
    named = {f"{name}.delta": value for name, value in knobs.items()}
    fidelity, loaded = exported((made, named), tmp_path, "bfloat16")
    assert fidelity.rounding == 0 and fidelity.agreement > 0.5  # generate pads, and rounds other sums
    with made.adapter.at(knobs):
        for name, layer in layers.items():
            assert torch.equal(loaded.get_submodule(name).weight, layer.merged), name
    wider, again = exported((made, named), tmp_path / "wider", "float32")
    assert wider.rounding == 0
    for one, other in zip(loaded.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.float(), other)


def test_the_card_holds_the_arm_and_the_provenance():
    source = {"config": {"arm": {"intervention": "erase"}, "train": {"steps": 3}}, "code": "abc"}
    text = export.model_card("erase", 41, "float32", export.Fidelity(0.0, 1.0, 32), source, "A note.")
    assert text.startswith("---\nlibrary_name: transformers")
    for part in ("# erase, seed 41", "A note.", '"intervention": "erase"', "100.00% on 32", '"code": "abc"'):
        assert part in text
