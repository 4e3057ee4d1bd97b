"""Base models from elsewhere (model.kind hf): read once, at a pinned revision, and written as a plain directory.

1. Every later stage reads that directory, so nothing but this stage ever asks a hub. No remote code runs, nothing is
   unpickled.
2. The token that ends an assistant's turn is taken from the chat template, because `eos_token` is another one in some
   models; it becomes the tokenizer's eos_token in what is written.
3. Weights are written in one file, in the dtype that is asked for.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from projected_grpo.adapter import target_modules
from projected_grpo.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_MARKER = "answer"
_REASONS = {  # classes of huggingface_hub, by name, because transformers wraps them
    "GatedRepoError": "it is gated: accept its terms on the hub, then log in with `hf auth login`",
    "RevisionNotFoundError": "it has no such revision",
    "RepositoryNotFoundError": "there is no such model, or it is private",
    "LocalEntryNotFoundError": "the hub cannot be reached, and there is no local copy",
    "OfflineModeIsEnabled": "the hub cannot be reached (offline mode), and there is no local copy",
}


class ModelError(UserError, RuntimeError):
    """A base model that cannot be had or cannot be used; one line."""


def obtain(id: str, revision: str | None, dtype: str, directory: str | Path) -> dict:
    """Write model and tokenizer of a hub id or local directory to `directory`; return the report in model.json.

    Raises ModelError for a model that cannot be read, and for a tokenizer without a chat template; AdapterError for a
    model without any Linear to adapt.
    """
    name = f"model {id}" + (f" at revision {revision}" if revision else "")
    try:
        tokenizer = AutoTokenizer.from_pretrained(id, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(id, revision=revision, dtype=DTYPES[dtype], use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: {_reason(error)}") from error
    if tokenizer.chat_template is None:
        raise ModelError(f"{name}: its tokenizer has no chat template; take an instruction-tuned model")
    target_modules(model)
    tokenizer.eos_token = end_of_turn(tokenizer, name)
    model.save_pretrained(directory, max_shard_size="1TB")
    tokenizer.save_pretrained(directory)
    report = {
        "id": id,
        "revision": revision,
        "dtype": dtype,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "end_of_turn": tokenizer.eos_token,
    }
    Path(directory, "model.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def end_of_turn(tokenizer, name: str) -> str:
    """Return the token that the chat template puts after an assistant's answer; the eos token if it puts none."""
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _MARKER}]
    after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_MARKER)[2]
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    found = [index for index in tokenizer.encode(after, add_special_tokens=False) if index in special]
    if found:
        return tokenizer.convert_ids_to_tokens(found[0])
    if tokenizer.eos_token is None:
        raise ModelError(f"{name}: neither its chat template nor its tokenizer has a token that ends a turn")
    return tokenizer.eos_token


def _reason(error: BaseException) -> str:
    for cause in _causes(error):
        if type(cause).__name__ in _REASONS:
            return _REASONS[type(cause).__name__]
    return str(error).strip().splitlines()[0]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
