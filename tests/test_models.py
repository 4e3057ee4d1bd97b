"""Base models as the stages load them: factors in files by layer, and devices that are not there."""

import pytest
import torch
import transformers
from test_external import build, tokenizer

from projected_grpo.artifacts.io import ArtifactError, write_tensors
from projected_grpo.method.adapter import AdapterError, factorize
from projected_grpo.models.base import (
    FACTORS,
    Compute,
    DeviceError,
    StoredFactors,
    load_adapted,
    load_base,
    save_factors,
    start_from,
)


@pytest.fixture
def directory(tmp_path):
    model, _ = build("Qwen3")
    model.save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    save_factors(tmp_path / "base" / FACTORS, model, {"code": "x"})
    return tmp_path / "base"


def test_factors_are_stored_by_decoder_layer_and_read_as_they_were(directory):
    model, _ = load_base(directory, Compute(1))
    assert [path.name for path in sorted((directory / FACTORS).iterdir())] == ["00000.safetensors", "00001.safetensors"]
    stored = load_adapted(directory, Compute(1))[2]
    for name, made in factorize(model).items():
        layer = stored.layers[name]
        assert torch.equal(layer.U, made.U) and torch.equal(layer.Vh, made.Vh)


def test_a_run_starts_from_anothers_knobs_without_their_quarantine(directory, tmp_path):
    adapter = load_adapted(directory, Compute(1))[2]
    generator = torch.Generator().manual_seed(0)
    trained = {name: torch.randn(knob.shape, generator=generator) for name, knob in adapter.state().items()}
    write_tensors(tmp_path / "adapter.safetensors", trained, {})
    start_from(tmp_path / "adapter.safetensors", adapter)
    for name, knob in adapter.state().items():
        assert torch.equal(knob, trained[name] if name.endswith(".delta") else torch.zeros_like(knob))
    start_from(None, adapter)
    assert not any(knob.any() for knob in adapter.state().values())


def test_factors_of_other_weights_and_no_factors_are_one_line(directory):
    with pytest.raises(AdapterError, match=r"00000\.safetensors: factors of other weights than the model's; delete"):
        StoredFactors(directory / FACTORS, "another hash")
    with pytest.raises(ArtifactError, match="nowhere: no factors; run the workflow for them"):
        StoredFactors(directory / "nowhere", "hash")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_gpu_that_is_not_there_is_one_line(directory):
    with pytest.raises(DeviceError, match=r"^model.device is cuda, but torch \S+ sees 0 GPUs here$"):
        load_base(directory, Compute(1, "cuda"))


@pytest.mark.skipif(transformers.utils.is_flash_attn_2_available(), reason="here is flash attention")
def test_an_attention_that_is_not_installed_is_one_line(directory):
    with pytest.raises(DeviceError, match=r"^model.attention: .*") as error:
        load_base(directory, Compute(1, attention="flash_attention_2"))
    assert "\n" not in str(error.value)


def test_attention_implementations_agree(directory):
    tokens = torch.arange(1, 13).reshape(2, 6)
    sdpa, eager = (load_base(directory, Compute(1, attention=name))[0](tokens).logits for name in ("sdpa", "eager"))
    torch.testing.assert_close(sdpa, eager, atol=1e-5, rtol=1e-4)


def test_a_directory_without_a_model_is_one_line(tmp_path):
    with pytest.raises(ArtifactError, match="not a readable model") as error:
        load_base(tmp_path, Compute(1))
    assert "\n" not in str(error.value)
