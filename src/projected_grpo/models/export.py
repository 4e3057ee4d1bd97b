"""Export (method 1): a run's deployed model as a plain Hugging Face checkpoint, for transformers and vLLM.

1. What is written are the merged weights that the deployed model itself runs on, with the quarantine left out.
2. In the model's own dtype, or a wider one, nothing is lost. A float32 model in bfloat16 falls onto a coarser grid: the
   card says how much of the knobs' contribution was lost, and how many greedy tokens of plain `generate`, run on the
   files that were written, are the trainer's.
3. safetensors only; no code travels with the weights.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from projected_grpo.method.adapter import Adapter
from projected_grpo.method.draws import until_end
from projected_grpo.method.sampling import end_tokens, sample
from projected_grpo.models.base import save_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Fidelity:
    """What an export kept of the deployed model.

    rounding   ||exported - merged|| / ||merged - W||, over all target weights; 0 without a contribution
    agreement  share of the files' greedy tokens equal to the deployed model's, position by position
    prompts    number of prompts behind the agreement
    """

    rounding: float
    agreement: float
    prompts: int


def plain(model: nn.Module, adapter: Adapter, dtype: torch.dtype) -> tuple[nn.Module, float]:
    """Return a copy of the model with ordinary Linears, knobs merged and quarantine left out, and the rounding."""
    made = copy.deepcopy(model, {id(layer): layer for layer in adapter.layers.values()})  # but not their factors
    lost, whole = 0.0, 0.0
    for name, layer in adapter.layers.items():
        exact = layer.merged.to(layer.delta.dtype)
        linear = copy.deepcopy(layer.base)
        linear.weight = nn.Parameter(exact.to(dtype))
        parent, _, leaf = name.rpartition(".")
        setattr(made.get_submodule(parent), leaf, linear)
        lost += (linear.weight.to(exact.dtype) - exact).square().sum().item()
        whole += (exact - layer.base.weight).square().sum().item()
    for parameter in made.parameters():  # and no buffer: what loads the checkpoint makes those in float32
        parameter.data = parameter.data.to(dtype)
    return made.requires_grad_(True), (lost / whole) ** 0.5 if whole else 0.0


@torch.no_grad()
def generated(
    directory: str | Path, prompts: Sequence[Sequence[int]], max_new_tokens: int, device: torch.device
) -> list[list[int]]:
    """Return the greedy completions of transformers' own `generate`, end token included, of a model on file."""
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype="auto").to(device).eval()
    longest = max(map(len, prompts))
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    tokens = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    found = model.generate(tokens, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False)
    listed = model.generation_config.eos_token_id
    return [until_end(row, listed if isinstance(listed, list) else [listed]) for row in found[:, longest:].tolist()]


def agreement(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> float:
    """Return the share of positions at which two models' completions are the same token.

    A completion that ends early disagrees wherever the other one goes on.
    """
    pairs = list(zip(ours, theirs, strict=True))
    same = sum(x == y for a, b in pairs for x, y in zip(a, b, strict=False))
    return same / sum(max(len(a), len(b)) for a, b in pairs)


def export(
    directory: str | Path,
    model,
    tokenizer,
    adapter: Adapter,
    knobs: Mapping[str, torch.Tensor],
    dtype: str,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
) -> Fidelity:
    """Write the checkpoint of `knobs` (`{module}.delta`, quarantines are ignored) and return what it kept."""
    deployed = {name.removesuffix(".delta"): value for name, value in knobs.items() if name.endswith(".delta")}
    ends = end_tokens(model, tokenizer.eos_token_id)
    with torch.no_grad(), adapter.at(deployed):
        made, rounding = plain(model, adapter, DTYPES[dtype])
        groups = sample(model, prompts, [1] * len(prompts), max_new_tokens, 0.0, torch.Generator(), ends[0])
    made.generation_config.eos_token_id = ends
    save_model(directory, made, tokenizer)
    del made
    theirs = generated(directory, prompts, max_new_tokens, model.device)
    return Fidelity(rounding, agreement([ids for (ids,) in groups], theirs), len(prompts))


def model_card(arm: str, seed: int, dtype: str, fidelity: Fidelity, source: Mapping, note: str) -> str:
    """Return the model card: what was trained, from what, and what the export kept."""
    return f"""---
library_name: transformers
tags: [projected-grpo, reward-hacking]
---

# {arm}, seed {seed}

{note}

The deployed model of one run: the trained knobs are merged into the weights, and what was routed into the quarantine is
left out. Load it with `AutoModelForCausalLM.from_pretrained`; no code comes with it.

- arm: `{json.dumps(source["config"]["arm"], sort_keys=True)}`
- training: `{json.dumps(source["config"]["train"], sort_keys=True)}`
- weights: {dtype}. Lost by rounding, of the knobs' contribution: {fidelity.rounding:.2e} (relative norm). Greedy tokens
  of transformers' `generate` equal to the trainer's own deployed model:
  {100 * fidelity.agreement:.2f}% on {fidelity.prompts} held-out prompts.

## Provenance

```json
{json.dumps(source, indent=1, sort_keys=True)}
```
"""
