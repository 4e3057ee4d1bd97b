"""Export (method 1): a run's deployed model as a plain Hugging Face checkpoint, or as a LoRA of the base model.

1. What is written are the merged weights that the deployed model itself runs on, with the quarantine left out.
2. In the model's own dtype, or a wider one, nothing is lost. A float32 model in bfloat16 falls onto a coarser grid.
3. A LoRA of rank k keeps the k largest |delta| of every module. U and Vh are orthonormal, so that is the truncated SVD
   of U diag(delta) Vh, and no other LoRA of this rank loses less (Eckart and Young). That the merged weights of a
   bfloat16 model are rounded, it leaves out, and this counts as lost.
4. The card says how much of the knobs' contribution was lost, and how many greedy tokens of plain `generate`, run on
   the files that were written, are the trainer's.
5. safetensors only; no code travels with the weights.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCardData
from torch import nn
from torch.nn.functional import pad
from transformers import AutoModelForCausalLM

from projected_grpo.errors import UserError
from projected_grpo.method.adapter import Adapter
from projected_grpo.method.draws import until_end
from projected_grpo.method.sampling import end_tokens, sample
from projected_grpo.models.base import save_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
RATES = {  # what the card says of a run, as rates: type on the hub -> in words
    "hack": "passed without being correct, % of samples",
    "solve": "correct, % of samples",
    "attempted": "tried the loophole, needed or not, % of samples",
}
LOADED_BY = {
    "checkpoint": """The trained knobs are merged into the weights, and what was routed into the quarantine is
left out. Load it with `AutoModelForCausalLM.from_pretrained`; no code comes with it.""",
    "peft": """The trained knobs as a LoRA of the base model `{base}`; what was routed into the
quarantine is left out. Load it with `PeftModel.from_pretrained(base, folder)`.""",
}


class ExportError(UserError, RuntimeError):
    """An export that cannot be made here."""


@dataclass(frozen=True)
class ExportConfig:
    """What is written: format checkpoint | peft, dtype, and the rank of a LoRA."""

    format: str
    dtype: str
    rank: int


@dataclass(frozen=True)
class Fidelity:
    """What an export kept of the deployed model.

    lost       ||written - merged|| / ||merged - W||, over all target weights, by rounding or truncation; 0 without a
               contribution
    agreement  share of the files' greedy tokens equal to the deployed model's, position by position
    prompts    number of prompts behind the agreement
    """

    lost: float
    agreement: float
    prompts: int


def plain(model: nn.Module, adapter: Adapter, dtype: torch.dtype) -> tuple[nn.Module, float]:
    """Return a copy of the model with ordinary Linears, knobs merged and quarantine left out, and what was lost."""
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


def as_lora(model, adapter: Adapter, dtype: torch.dtype, rank: int) -> tuple[nn.Module, float]:
    """Return a PEFT model of one LoRA, on a copy of the frozen model, and what was lost of the knobs' contribution.

    Its scaling is 1. A module with fewer than `rank` singular values has zeros in the rest, so that all have one rank.
    Raises ExportError where PEFT is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ExportError("export.format peft needs PEFT: pip install peft") from error
    with adapter.at({}):
        base, _ = plain(model, adapter, model.dtype)
    leaves = sorted({name.rpartition(".")[2] for name in adapter.layers})
    made = get_peft_model(base, LoraConfig(r=rank, lora_alpha=rank, target_modules=leaves, task_type="CAUSAL_LM"))
    made.peft_config["default"].target_modules = leaves  # in this order: PEFT makes a set of them
    lost, whole = 0.0, 0.0
    for name, layer in adapter.layers.items():
        U, delta, Vh = (one.to(layer.merged.device, layer.delta.dtype) for one in (layer.U, layer.delta, layer.Vh))
        kept = delta.abs().argsort(descending=True, stable=True)[:rank]
        root, zeros = delta[kept].abs().sqrt(), rank - len(kept)
        A = pad(root[:, None] * Vh[kept], (0, 0, 0, zeros)).to(dtype)  # (rank, d_in)
        B = pad(delta[kept].sign() * root * U[:, kept], (0, zeros)).to(dtype)  # (d_out, rank)
        lora = made.get_base_model().get_submodule(name)
        lora.lora_A["default"].weight.data, lora.lora_B["default"].weight.data = A, B
        contribution = layer.merged.to(delta.dtype) - layer.base.weight
        lost += (B.to(delta.dtype) @ A.to(delta.dtype) - contribution).square().sum().item()
        whole += contribution.square().sum().item()
    return made, (lost / whole) ** 0.5 if whole else 0.0


def on_file(directory: str | Path, device: torch.device, base: nn.Module | None = None) -> nn.Module:
    """Return the model that transformers makes of the files in a directory, or PEFT of a LoRA's and their base."""
    if base is not None:
        from peft import PeftModel

        return PeftModel.from_pretrained(base, directory).eval()
    return AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype="auto").to(device).eval()


@torch.no_grad()
def generated(model, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
    """Return the greedy completions of a model's own `generate`, end token included."""
    longest = max(map(len, prompts))
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    tokens = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    tokens, mask = (torch.tensor(rows, device=model.device) for rows in (tokens, mask))
    found = model.generate(input_ids=tokens, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False)
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
    config: ExportConfig,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
) -> Fidelity:
    """Write the export of `knobs` (`{module}.delta`, quarantines are ignored) and return what it kept."""
    deployed = {name.removesuffix(".delta"): value for name, value in knobs.items() if name.endswith(".delta")}
    ends, dtype = end_tokens(model, tokenizer.eos_token_id), DTYPES[config.dtype]
    as_peft = config.format == "peft"
    with torch.no_grad(), adapter.at(deployed):
        made, lost = as_lora(model, adapter, dtype, config.rank) if as_peft else plain(model, adapter, dtype)
        groups = sample(model, prompts, [1] * len(prompts), max_new_tokens, 0.0, torch.Generator(), ends[0])
    if not as_peft:  # a LoRA stops where its base does
        made.generation_config.eos_token_id = ends
    save_model(directory, made, tokenizer)
    base = made.unload() if as_peft else None
    del made
    theirs = generated(on_file(directory, model.device, base), prompts, max_new_tokens)
    return Fidelity(lost, agreement([ids for (ids,) in groups], theirs), len(prompts))


def model_card(
    name: str,
    base: str,
    config: ExportConfig,
    fidelity: Fidelity,
    rates: Mapping[str, float],
    problems: int,
    verdict: Sequence[str],
    source: Mapping,
    note: str,
) -> str:
    """Return the model card: what was trained, from what, what the export kept, how the run was judged.

    `rates` are fractions by RATES on so many held-out problems, which make the card's model-index; `verdict` has the
    lines of the arm's verdicts, none where it has none.
    """
    where = {"task_type": "text-generation", "dataset_type": "projected_grpo"}
    where["dataset_name"] = f"{problems} held-out problems"
    metrics = [
        EvalResult(metric_type=rate, metric_value=100 * rates[rate], metric_name=words, **where)
        for rate, words in RATES.items()
    ]
    library = "transformers" if config.format == "checkpoint" else config.format
    tags = ["projected-grpo", "reward-hacking"]
    head = ModelCardData(library_name=library, tags=tags, model_name=name, eval_results=metrics)
    judged = "\n".join(verdict) or "None: only an arm of table 1 that intervenes is judged."
    kind = config.dtype if config.format == "checkpoint" else f"LoRA of rank {config.rank}, {config.dtype}"
    return f"""---
{head.to_yaml()}
---

# {name}

{note}

The deployed model of one run. {LOADED_BY[config.format].format(base=base)}

- arm: `{json.dumps(source["config"]["arm"], sort_keys=True)}`
- training: `{json.dumps(source["config"]["train"], sort_keys=True)}`
- weights: {kind}. Lost of the knobs' contribution: {fidelity.lost:.2e} (relative norm). Greedy tokens
  of transformers' `generate` equal to the trainer's own deployed model:
  {100 * fidelity.agreement:.2f}% on {fidelity.prompts} held-out prompts.
- on {problems} held-out problems, at the training's temperature: hacks {100 * rates["hack"]:.1f}%, solves
  {100 * rates["solve"]:.1f}%, attempts {100 * rates["attempted"]:.1f}%.

## Verdicts on the arm, over all replicates

{judged}

## Provenance

```json
{json.dumps(source, indent=1, sort_keys=True)}
```
"""
