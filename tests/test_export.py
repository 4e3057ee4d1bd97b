"""Export: what plain transformers loads is the deployed model."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from transformers import AutoModelForCausalLM

from projected_grpo.method.sampling import sample
from projected_grpo.models import export
from projected_grpo.models.base import save_model

PLAIN = export.ExportConfig("checkpoint", "float32", 64)
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
    config = replace(PLAIN, dtype=dtype)
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, knobs, config, PROMPTS, 8)
    return fidelity, AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")


def test_plain_transformers_gives_the_trainers_greedy_tokens(trained, tmp_path):
    made, knobs = trained
    fidelity, loaded = exported(trained, tmp_path)
    assert fidelity == export.Fidelity(0.0, 1.0, 32)
    deltas = {name.removesuffix(".delta"): value for name, value in knobs.items() if name.endswith(".delta")}
    with torch.no_grad(), made.adapter.at(deltas):
        groups = sample(made.model, PROMPTS, [1] * len(PROMPTS), 8, 0.0, torch.Generator(), 0)
        assert export.agreement([ids for (ids,) in groups], export.generated(loaded, PROMPTS, 8)) == 1.0
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
    assert 1e-4 < fidelity.lost < 0.1 and 0 < fidelity.agreement <= 1
    small = {name: 1e-3 * value for name, value in knobs.items()}
    worse, _ = exported((made, small), tmp_path / "small", "bfloat16")
    assert worse.lost > 100 * fidelity.lost  # a small contribution falls under W's own grid


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
    fidelity = export.export(tmp_path, model, Saver(), stubborn.adapter, knobs, PLAIN, PROMPTS, 8)
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
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, knobs, PLAIN, PROMPTS, 8)
    assert fidelity.agreement < 1.0


def test_a_bfloat16_run_exports_the_policy_that_it_sampled_from(tiny, tmp_path):
    made = tiny(torch.bfloat16)
    generator = torch.Generator().manual_seed(1)
    layers = made.adapter.layers
    knobs = {name: 0.3 * torch.randn(len(layer.delta), generator=generator) for name, layer in layers.items()}
    named = {f"{name}.delta": value for name, value in knobs.items()}
    fidelity, loaded = exported((made, named), tmp_path, "bfloat16")
    assert fidelity.lost == 0 and fidelity.agreement > 0.5  # generate pads, and rounds other sums
    with made.adapter.at(knobs):
        for name, layer in layers.items():
            assert torch.equal(loaded.get_submodule(name).weight, layer.merged), name
    wider, again = exported((made, named), tmp_path / "wider", "float32")
    assert wider.lost == 0
    for one, other in zip(loaded.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.float(), other)


@pytest.fixture
def loaded_lora(trained, tmp_path):
    """A function that exports a LoRA of a rank and has PEFT load it: its fidelity, and the model."""
    made, knobs = trained
    made.model.generation_config.eos_token_id = Saver.eos_token_id  # a LoRA stops where its base does
    with made.adapter.at({}):
        base, _ = export.plain(made.model, made.adapter, torch.float32)
    base.save_pretrained(tmp_path / "base")

    def load(rank, dtype="float32", folder="lora"):
        config = export.ExportConfig("peft", dtype, rank)
        fidelity = export.export(tmp_path / folder, made.model, Saver(), made.adapter, knobs, config, PROMPTS, 8)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        return fidelity, PeftModel.from_pretrained(model, tmp_path / folder).eval()

    return load


def test_a_lora_of_full_rank_is_the_deployed_model_in_peft(trained, loaded_lora):
    made, knobs = trained
    fidelity, loaded = loaded_lora(24)  # the largest rank of a module
    assert fidelity.lost < 1e-5 and fidelity.agreement == 1.0 and fidelity.prompts == 32
    deltas = {name.removesuffix(".delta"): value for name, value in knobs.items() if name.endswith(".delta")}
    tokens = torch.tensor(PROMPTS[3:4])
    with torch.no_grad(), made.adapter.at(deltas):
        assert torch.allclose(made.model(tokens).logits, loaded(tokens).logits, atol=1e-4)


@pytest.mark.parametrize(("rank", "dtype"), [(5, "float32"), (5, "bfloat16")])
def test_a_truncated_lora_is_the_best_of_its_rank_and_says_what_it_lost(trained, loaded_lora, rank, dtype):
    made, knobs = trained
    fidelity, loaded = loaded_lora(rank, dtype)
    lost, whole = 0.0, 0.0
    for name, layer in made.adapter.layers.items():
        contribution = (layer.U * knobs[f"{name}.delta"]) @ layer.Vh
        singular = torch.linalg.svdvals(contribution)
        written = loaded.get_base_model().get_submodule(name).get_delta_weight("default")
        left = (written - contribution).norm().item()
        assert left == pytest.approx(singular[rank:].norm().item(), rel=1e-2), name
        lost, whole = lost + left**2, whole + contribution.square().sum().item()
    assert fidelity.lost == pytest.approx((lost / whole) ** 0.5, rel=1e-4)
    assert 0.1 < fidelity.lost < 1 and fidelity.agreement < 1


def test_the_loss_of_a_bfloat16_run_is_counted_from_the_policy_that_it_sampled_from(tiny, tmp_path):
    """The merged weights were rounded, which a LoRA of full rank leaves out."""
    made = tiny(torch.bfloat16)
    generator = torch.Generator().manual_seed(1)
    layers = made.adapter.layers
    knobs = {name: 0.3 * torch.randn(len(layer.delta), generator=generator) for name, layer in layers.items()}
    named = {f"{name}.delta": value for name, value in knobs.items()}
    config = export.ExportConfig("peft", "float32", 24)
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, named, config, PROMPTS, 8)
    lost, whole = 0.0, 0.0
    with made.adapter.at(knobs):
        for name, layer in layers.items():
            moved = layer.merged.float() - layer.base.weight
            lost += (moved - (layer.U.float() * knobs[name]) @ layer.Vh.float()).square().sum().item()
            whole += moved.square().sum().item()
    assert fidelity.lost == pytest.approx((lost / whole) ** 0.5, rel=1e-3) and 1e-4 < fidelity.lost < 0.1
    assert fidelity.agreement > 0.5


def test_a_lora_stops_where_its_base_does_and_the_card_says_what_that_costs(stubborn, tmp_path):
    knobs = {name: torch.zeros_like(value) for name, value in stubborn.adapter.state().items()}
    saver = SimpleNamespace(eos_token_id=7, save_pretrained=Saver().save_pretrained)
    made = stubborn.model, saver, stubborn.adapter, knobs, replace(PLAIN, format="peft", rank=2), PROMPTS, 8
    stubborn.model.generation_config.eos_token_id = 7
    assert export.export(tmp_path / "same", *made) == export.Fidelity(0.0, 1.0, 32)
    stubborn.model.generation_config.eos_token_id = 0  # the trainer's model also stops at the tokenizer's
    assert export.export(tmp_path / "other", *made).agreement < 0.3


def test_a_loras_agreement_is_that_of_its_files(trained, tmp_path, monkeypatch):
    made, knobs = trained

    def save_another(directory, lora, tokenizer):
        for name, parameter in lora.named_parameters():
            if "lora_B" in name:
                parameter.data.zero_()
        save_model(directory, lora, tokenizer)

    monkeypatch.setattr(export, "save_model", save_another)
    config = export.ExportConfig("peft", "float32", 24)
    fidelity = export.export(tmp_path, made.model, Saver(), made.adapter, knobs, config, PROMPTS, 8)
    assert fidelity.agreement < 1.0


def test_a_lora_is_the_same_files_each_time(loaded_lora, tmp_path):
    loaded_lora(5, folder="one")
    loaded_lora(5, folder="two")
    config = json.loads((tmp_path / "one/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"]) and config["lora_alpha"] == config["r"] == 5
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("form", ["checkpoint", "peft"])
def test_the_card_holds_the_arm_its_rates_its_verdicts_and_the_provenance(tmp_path, form):
    source = {"config": {"arm": {"intervention": "erase"}, "train": {"steps": 3}}, "code": "abc"}
    config, fidelity = export.ExportConfig(form, "float32", 64), export.Fidelity(0.25, 1.0, 32)
    rates = {"hack": 0.125, "solve": 0.5, "attempted": 0.25}
    verdict = ["- **H1: supported**"]
    text = export.model_card("erase, replicate 4", "a/base", config, fidelity, rates, 16, verdict, source, "A note.")
    for part in ("# erase, replicate 4", "A note.", '"intervention": "erase"', "100.00% on 32", '"code": "abc"'):
        assert part in text
    assert "- **H1: supported**" in text and "contribution: 2.50e-01" in text
    assert ("LoRA of the base model `a/base`" in text) == (form == "peft")
    (tmp_path / "README.md").write_text(text)
    card = ModelCard.load(tmp_path / "README.md").data  # as the hub reads it
    assert card.library_name == ("peft" if form == "peft" else "transformers")
    found = {result.metric_type: result.metric_value for result in card.eval_results}
    assert found == {"hack": 12.5, "solve": 50.0, "attempted": 25.0}
    assert {result.metric_type: result.metric_name for result in card.eval_results} == export.RATES
    assert card.model_name == "erase, replicate 4" and card.eval_results[0].dataset_name == "16 held-out problems"
    none = export.model_card("vanilla", "a/base", config, fidelity, rates, 16, [], source, "A note.")
    assert "None: only an arm of table 1 that intervenes is judged." in none
