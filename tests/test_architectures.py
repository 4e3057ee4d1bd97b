"""Every causal decoder of transformers, at a tiny size: trained and sampled as it is, or refused in one line."""

import inspect

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KINDS

from projected_grpo.errors import UserError
from projected_grpo.method.adapter import AdapterError, attach, factorize
from projected_grpo.method.loss import collate, completion_logprobs
from projected_grpo.method.sampling import sample
from projected_grpo.models.fitness import ModelError, require_fit

SIZES = {  # of which a config takes those that it has
    **dict.fromkeys(["hidden_size", "n_embd", "d_model", "embedding_size", "lru_width"], 32),
    **dict.fromkeys(["intermediate_size", "ffn_dim", "decoder_ffn_dim"], 48),
    **dict.fromkeys(["num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"], 2),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "num_layers", "decoder_layers", "linear_num_value_heads"], 4),
    **dict.fromkeys(["linear_key_head_dim", "linear_value_head_dim", "qk_nope_head_dim", "qk_rope_head_dim"], 8),
    **dict.fromkeys(["moe_intermediate_size", "shared_expert_intermediate_size", "q_lora_rank", "kv_lora_rank"], 16),
    **dict.fromkeys(["mamba_d_head", "mamba_head_dim", "v_head_dim", "head_dim"], 16),
    **dict.fromkeys(["mamba_n_heads", "mamba_num_heads", "time_step_rank"], 4),
    **dict.fromkeys(["mamba_n_groups", "n_group", "topk_group", "n_groups", "first_k_dense_replace"], 1),
    **{"vocab_size": 64, "max_position_embeddings": 64, "n_positions": 64, "num_key_value_heads": 1, "moe_k": 2},
    **{"num_experts_per_tok": 2, "linear_num_key_heads": 2, "state_size": 8, "mamba_d_state": 8, "depth": 1},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "image_size": 28, "patch_size": 14},
}
VARIANTS = ({}, {"num_key_value_heads": 2}, {"rotary_dim": 8, "num_attention_heads": 4, "n_head": 4})
SCALED = {  # whose logits are not lm_head's output
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 0.0625},
    "gemma2": {"final_logit_softcapping": 3.0},
    "granite": {"logits_scaling": 8.0},
    "granitemoe": {"logits_scaling": 8.0},
    "hyperclovax": {"logits_scaling": 0.125},
    "minicpm3": {"dim_model_base": 8},
    "nanochat": {"final_logit_softcapping": 3.0},
    "vaultgemma": {"final_logit_softcapping": 3.0},
}
TRAINED = [*SCALED, "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "qwen3_5_text", "qwen3_moe"]
PROMPTS = [[7, 12, 9], [21, 8, 33, 10, 40, 11]]


def configured(kind, changes):
    cls = kind if isinstance(kind, type) else CONFIG_MAPPING[kind]
    names = set(inspect.signature(cls.__init__).parameters) | set(cls.attribute_map)
    names |= {name for base in cls.__mro__ for name in getattr(base, "__annotations__", {})}
    options = {name: value for name, value in {**SIZES, **changes}.items() if name in names}
    for name, part in cls.sub_configs.items():
        if hasattr(part, "sub_configs") and part.__name__ != "AutoConfig":
            options[name] = configured(part, changes)
    return cls(**options)


def build(kind):
    """Return a random model that runs, or skip: not every config has a tiny size that is found without knowing it."""
    reason = "all are large"
    for variant in VARIANTS:
        try:
            config = configured(kind, variant | SCALED.get(kind, {}))
            with torch.device("meta"):
                size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
            if size < 5e6:
                torch.manual_seed(0)
                model = AutoModelForCausalLM.from_config(config).eval()
                model(
                    torch.tensor([PROMPTS[0]] * 2), attention_mask=torch.tensor([[0, 1, 1], [1, 1, 1]]), use_cache=False
                )
                break
        except Exception as error:
            reason = repr(error)
    else:
        assert kind not in TRAINED, reason
        pytest.skip(f"no tiny size of {kind}: {reason[:120]}")
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def own_logprobs(model, prompt, ids):
    scores = model(input_ids=torch.tensor([[*prompt, *ids]]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return scores.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]


def greedy_alone(model, prompt, steps):
    ids = list(prompt)
    for _ in range(steps):
        ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_architecture_is_trained_as_it_is_or_refused_in_one_line(kind):
    transformers.utils.logging.set_verbosity_error()
    model = build(kind)
    try:
        require_fit(model, "m")
    except UserError as error:
        assert "\n" not in str(error) and isinstance(error, (AdapterError, ModelError))
        assert kind not in TRAINED, error
        return
    with torch.no_grad():
        groups = sample(model, PROMPTS, [1, 1], 6, 0.0, torch.Generator(), 63)
        rows = [(prompt, ids) for prompt, (ids,) in zip(PROMPTS, groups, strict=True)]
        for prompt, ids in rows:
            assert ids == greedy_alone(model, prompt, len(ids))
        expected = torch.cat([own_logprobs(model, prompt, ids) for prompt, ids in rows])
    factors = factorize(model)
    right = gradient_of_the_weights(model, rows, factors)
    adapter = attach(model, factors)
    with adapter.segments([0, 1, 2]) as probes:
        found = completion_logprobs(model, collate(rows))
        found.sum().backward()
    assert torch.allclose(found, expected, atol=1e-4)
    for name, gradient in right.items():
        assert torch.allclose(probes[name].grad.sum(0), gradient, atol=1e-3 * (1 + gradient.abs().max())), name


def gradient_of_the_weights(model, rows, factors):
    """Return d log p / d delta of every module, from plain autograd of the model's own logits of each row alone."""
    weights = {name: model.get_submodule(name).weight for name in factors}
    model.requires_grad_(False)
    for weight in weights.values():
        weight.requires_grad_(True)
    total = sum(own_logprobs(model, prompt, ids).sum() for prompt, ids in rows)
    gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True, materialize_grads=True)
    return {
        name: torch.einsum("or,oi,ri->r", factors[name].U, gradient, factors[name].Vh)
        for name, gradient in zip(weights, gradients, strict=True)
    }


@pytest.mark.parametrize("kind", SCALED)
def test_logits_are_the_models_and_not_those_of_lm_head(kind):
    model = build(kind)
    tokens = torch.tensor(PROMPTS[1:])
    with torch.no_grad():
        raw = model.lm_head(model.get_decoder()(tokens).last_hidden_state)
        assert not torch.allclose(model(tokens).logits, raw, atol=0.01)
        uniforms = torch.rand(3000, 1, generator=torch.Generator().manual_seed(0))[:, 0]
        (drawn,) = sample(model, PROMPTS[1:], [3000], 1, 1.0, torch.Generator().manual_seed(0), 63)
        cdf = model(tokens).logits[0, -1].softmax(-1).cumsum(-1)
    expected = torch.searchsorted(cdf, uniforms * cdf[-1], right=True)
    assert (torch.tensor(drawn)[:, 0] == expected).float().mean() > 0.999
