"""Model directories as people have them: each trouble is one line, and none is accepted that cannot be prompted."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_external import CHATML, build, tokenizer

from projected_grpo.models import external
from projected_grpo.models.base import Compute, load_base

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134\n"


@pytest.fixture
def directory(tmp_path):
    """A model's directory that is as it should be."""
    model, _ = build("Qwen3")
    model.resize_token_embeddings(72)
    model.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def weights(change):
    def damage(directory):
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})

    return damage


def config(**changes):
    def damage(directory):
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def write(name, text):
    return lambda directory: (directory / name).write_text(text)


def without(*names):
    def damage(directory):
        for name in names:
            (directory / name).unlink()

    return damage


def sharded(directory):
    (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


DAMAGES = {
    "weights: pointer": (write("model.safetensors", POINTER), "model.safetensors is a git-lfs pointer; fetch the file"),
    "weights: empty": (write("model.safetensors", ""), "a safetensors file is cut or damaged"),
    "weights: cut": (lambda directory: cut(directory / "model.safetensors"), "a safetensors file is cut or damaged"),
    "weights: none": (without("model.safetensors"), "model.safetensors"),
    "weights: HTML": (
        write("model.safetensors", "<!DOCTYPE html><title>Sign in</title>"),
        "a safetensors file is cut or damaged",
    ),
    "weights: a shard is missing": (sharded, "model-00002-of-00002.safetensors"),
    "weights: one is missing": (
        weights(lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight")),
        "its files lack 1 weights of a Qwen3ForCausalLM, such as model.layers.1.mlp.up_proj.weight",
    ),
    "weights: other names": (
        weights(lambda tensors: tensors.update({f"base.{name}": tensors.pop(name) for name in list(tensors)})),
        "its files lack",
    ),
    "weights: another shape": (
        config(intermediate_size=40),
        r"mlp.down_proj.weight is of shape \(32, 48\) in its files, of \(32, 40\) in its config",
    ),
    "weights: another architecture": (config(model_type="gpt2", architectures=["GPT2LMHeadModel"]), "its files lack"),
    "config: none": (without("config.json"), "config.json|model_type"),
    "config: empty": (write("config.json", ""), "config.json"),
    "config: HTML": (write("config.json", "<html>"), "config.json"),
    "config: a list": (write("config.json", "[]"), "config.json is no JSON object; fetch it again"),
    "config: a number that is a text": (config(hidden_size="32"), "tokenizer: .*hidden_size.*int"),
    "config: another number of layers": (config(num_hidden_layers=3), "tokenizer: .*layer"),
    "generation: pointer": (write("generation_config.json", POINTER), "generation_config.json is a git-lfs pointer"),
    "generation: cut": (write("generation_config.json", "{"), "generation_config.json: not JSON"),
    "generation: HTML": (write("generation_config.json", "<html>"), "generation_config.json: is HTML or XML"),
    **{
        f"generation: {end!r} ends": (
            write("generation_config.json", json.dumps({"eos_token_id": end})),
            "its generation config has .* as an end token, which is no token's id",
        )
        for end in ("x", ["a"], -1, 3.0, True)
    },
    "weights: not a number": (
        weights(lambda tensors: tensors["model.norm.weight"].fill_(torch.nan)),
        "model.norm.weight holds a number that is not finite",
    ),
    "weights: infinite": (
        weights(lambda tensors: tensors["model.embed_tokens.weight"][3].fill_(torch.inf)),
        "model.embed_tokens.weight holds a number that is not finite",
    ),
    "template: pointer": (write("chat_template.jinja", POINTER), "chat_template.jinja is a git-lfs pointer"),
    "config: no type": (write("config.json", "{}"), "model_type"),
    "tokenizer: none": (
        without("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        "has no tokenizer files",
    ),
    "tokenizer: none but a template": (without("tokenizer.json", "tokenizer_config.json"), "has no tokenizer files"),
    "tokenizer: no vocabulary": (without("tokenizer.json"), "tokenizer"),
    "tokenizer: pointer": (write("tokenizer.json", POINTER), "tokenizer.json is a git-lfs pointer"),
    "tokenizer: cut": (lambda directory: cut(directory / "tokenizer.json"), "tokenizer: Expecting"),
    "tokenizer: empty": (write("tokenizer.json", ""), "tokenizer: Expecting"),
    "template: fails": (write("chat_template.jinja", "{{ raise_exception('no system') }}"), "no system"),
    "template: no Jinja": (write("chat_template.jinja", "{% for %}"), "TemplateSyntaxError"),
    "template: nothing": (write("chat_template.jinja", "{{ '' }}"), "make the same tokens, .*, of every prompt"),
    "template: the same": (write("chat_template.jinja", "[INST]"), "make the same tokens, .*, of every prompt"),
    "template: unknown names": (write("chat_template.jinja", "{{ messages[0].content.text.x }}"), "UndefinedError"),
    "embedding: too short": (
        weights(lambda tensors: tensors.update({"model.embed_tokens.weight": torch.zeros(62, 32)})),
        r"embed_tokens.weight is of shape \(62, 32\)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_directory_is_one_line(directory, tmp_path, damage):
    spoil, message = DAMAGES[damage]
    spoil(directory)
    with pytest.raises(external.ModelError, match=message) as error:
        external.obtain("hf", str(directory), None, "float32", tmp_path / "base")
    assert str(error.value).startswith(f"model {directory}: ") and "\n" not in str(error.value)
    assert len(str(error.value)) > len(f"model {directory}: ") + 5
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name.startswith(("weights", "tokenizer", "config"))])
def test_a_damaged_teacher_is_one_line(directory, damage):
    base, _ = build("Qwen3")
    base.resize_token_embeddings(72)
    DAMAGES[damage][0](directory)
    with pytest.raises(external.ModelError) as error:
        external.checkpoint(str(directory), None, base, tokenizer(), Compute(1))
    assert str(error.value).startswith(f"teacher {directory}: ") and "\n" not in str(error.value)


def test_a_pointer_that_nothing_reads_is_no_trouble(directory, tmp_path):
    write("pytorch_model.bin", POINTER)(directory)
    external.obtain("hf", str(directory), None, "float32", tmp_path / "base")


def test_a_token_that_the_model_has_no_embedding_of_is_one_line(tmp_path):
    model, _ = build("Qwen3")
    model.resize_token_embeddings(62)
    model.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(external.ModelError, match=r"its tokenizer has a token 6., the model an embedding of 62 tokens"):
        external.obtain("hf", str(tmp_path / "model"), None, "float32", tmp_path / "base")


@pytest.mark.parametrize("listed", [3, [3, 61]])
def test_end_tokens_of_the_source_end_a_turn_beside_the_templates(directory, tmp_path, listed):
    """As a base model's config that was left as it was, and Qwen3's two."""
    settings = {"eos_token_id": listed, "do_sample": True, "temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1}
    write("generation_config.json", json.dumps(settings))(directory)
    external.obtain("hf", str(directory), None, "float32", tmp_path / "base")
    model, tokens = load_base(tmp_path / "base", Compute(1))
    end = tokens.convert_tokens_to_ids("<|im_end|>")
    assert CHATML and tokens.eos_token_id == end
    assert set(model.generation_config.eos_token_id) == {end, *(listed if isinstance(listed, list) else [listed])}
    found = json.loads((tmp_path / "base/generation_config.json").read_text())
    assert found.keys() <= {"eos_token_id", "pad_token_id", "bos_token_id", "transformers_version"}
