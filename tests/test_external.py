"""Base models from elsewhere: names of every architecture, the token that ends a turn, one line per trouble."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from projected_grpo.method.adapter import AdapterError, attach, factorize, target_modules
from projected_grpo.method.sampling import sample
from projected_grpo.models import external
from projected_grpo.models.base import Compute, load_base

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
DELTA_NET = {
    "num_hidden_layers": 4,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
EXPERTS = {
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
MLP = {"gate_proj", "up_proj", "down_proj"}
IN_PROJ = {"in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b"}
ARCHITECTURES = {
    "Qwen3": ({}, ATTENTION | MLP),
    "Llama": ({}, ATTENTION | MLP),
    "Gemma3": ({"architecture": "Gemma3ForCausalLM", "config": "Gemma3TextConfig"}, ATTENTION | MLP),
    "Qwen3_5": (
        DELTA_NET | {"config": "Qwen3_5TextConfig"},
        ATTENTION | MLP | {"in_proj_qkv", "in_proj_z", "out_proj"},
    ),
}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(name):
    changes, leaves = ARCHITECTURES[name]
    changes = dict(changes)
    config = getattr(transformers, changes.pop("config", f"{name}Config"))
    architecture = getattr(transformers, changes.pop("architecture", f"{name}ForCausalLM"))
    torch.manual_seed(0)
    return architecture(config(**{**SMALL, **changes})).eval(), leaves


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_its_linears_adapted_and_samples(name):
    model, leaves = build(name)
    assert {path.rsplit(".", 1)[-1] for path in target_modules(model)} >= leaves
    tokens = torch.arange(1, 13).reshape(2, 6)
    before = model(tokens).logits
    adapter = attach(model, factorize(model))
    assert torch.equal(model(tokens).logits, before)
    with adapter.segments([0, 1, 2]) as probes:
        model(tokens).logits.square().sum().backward()
    assert any(probe.grad.any() for probe in probes.values())
    prompts = [[1, 2, 3, 9, 4], [4, 5]]
    together = sample(model, prompts, [2, 1], 6, 0.0, torch.Generator(), eos_id=0)  # padded on the left
    alone = [sample(model, [prompt], [1], 6, 0.0, torch.Generator(), eos_id=0)[0][0] for prompt in prompts]
    assert together == [[alone[0], alone[0]], [alone[1]]]


def test_experts_that_see_tokens_one_by_one_are_refused_in_training():
    torch.manual_seed(0)
    config = transformers.Qwen3NextConfig(**SMALL | DELTA_NET | EXPERTS)
    model = transformers.Qwen3NextForCausalLM(config).eval()
    adapter = attach(model, factorize(model))
    with (
        adapter.segments([0, 1, 2]),
        pytest.raises(AdapterError, match=r"shape \(12, 32\), not \(rows, tokens, features\)"),
    ):
        model(torch.arange(1, 13).reshape(2, 6))


def tokenizer(template=CHATML, eos="<|endoftext|>", pad="<|endoftext|>"):
    vocabulary = {chr(33 + i): i for i in range(60)}
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({**vocabulary, "[UNK]": 60}, unk_token="[UNK]")),
        eos_token=eos,
        pad_token=pad,
    )
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    made.chat_template = template
    return made


@pytest.fixture
def local(tmp_path):
    """A function that writes a model of this architecture and a tokenizer into a directory."""

    def write(tokens=None, name="Qwen3"):
        model, _ = build(name)
        model.resize_token_embeddings(72)
        model.save_pretrained(tmp_path / "model")
        (tokens or tokenizer()).save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return write


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_written_is_a_plain_directory_that_ends_turns_where_the_template_does(local, tmp_path, dtype):
    report = external.obtain("hf", str(local()), None, dtype, tmp_path / "base")
    model, tokens = load_base(tmp_path / "base", Compute(1))
    assert model.dtype == external.DTYPES[dtype]
    assert tokens.eos_token == report["end_of_turn"] == "<|im_end|>" and tokens.pad_token == "<|endoftext|>"
    assert json.loads((tmp_path / "base/model.json").read_text()) == report
    assert (tmp_path / "base/model.safetensors").exists() and not list((tmp_path / "base").glob("*.bin"))


def test_a_template_that_ends_turns_with_nothing_leaves_the_eos_token():
    assert external.end_of_turn(tokenizer("{{ messages[-1]['content'] }}"), "m") == "<|endoftext|>"
    with pytest.raises(external.ModelError, match="m: neither its chat template nor its tokenizer"):
        external.end_of_turn(tokenizer("{{ messages[-1]['content'] }}", eos=None), "m")


def test_thinking_is_switched_off_where_the_template_allows():
    from projected_grpo.environment.problems import Problem
    from projected_grpo.environment.prompts import encode

    switch = "{% if enable_thinking is defined and enable_thinking is false %}<|im_end|>{% endif %}"
    problem = Problem("p", "x", "f", ())
    assert encode(tokenizer(CHATML + switch), problem)[-1] == tokenizer().convert_tokens_to_ids("<|im_end|>")


def test_a_tokenizer_without_a_chat_template_is_one_line(local, tmp_path):
    with pytest.raises(external.ModelError) as error:
        external.obtain("hf", str(local(tokenizer(template=None))), None, "float32", tmp_path / "base")
    assert "its tokenizer has no chat template; take an instruction-tuned model" in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "base").exists()


def test_a_model_without_a_matching_module_is_one_line(tmp_path):
    config = transformers.GPT2Config(vocab_size=72, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(AdapterError, match=r"no Linear to adapt: the model's leaves are \['lm_head'\]"):
        external.obtain("hf", str(tmp_path / "model"), None, "float32", tmp_path / "base")


@pytest.mark.parametrize("kind", external._REASONS)
def test_what_the_hub_says_is_one_line(monkeypatch, tmp_path, kind):
    def refuse(*_, **__):
        raise OSError("many words\nin many lines") from type(kind, (Exception,), {})()

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(external.ModelError) as error:
        external.obtain("hf", "someone/model", "abc", "float32", tmp_path / "base")
    assert str(error.value) == f"model someone/model at revision abc: {external._REASONS[kind]}"


def test_the_hubs_classes_have_these_names():
    from huggingface_hub import errors

    assert all(hasattr(errors, name) for name in external._REASONS)


def test_any_other_trouble_keeps_its_first_line(tmp_path):
    with pytest.raises(external.ModelError) as error:
        external.obtain("hf", str(tmp_path / "nowhere"), None, "float32", tmp_path / "base")
    assert str(error.value).startswith(f"model {tmp_path / 'nowhere'}: ") and "\n" not in str(error.value)


def test_a_model_that_brings_its_own_code_is_refused_without_a_question(local, tmp_path):
    directory = local()
    (directory / "evil.py").write_text("raise SystemExit('ran')\n")
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(external.ModelError) as error:
        external.obtain("hf", str(directory), None, "float32", tmp_path / "base")
    assert "\n" not in str(error.value) and not (tmp_path / "base").exists()
