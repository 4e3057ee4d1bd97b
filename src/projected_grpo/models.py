"""Base models: where they come from, and how every stage loads them.

A base model is a Hugging Face directory with safetensors weights; nothing is ever unpickled and no remote code runs.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from projected_grpo.adapter import AdapterError, Factors, attach, weights_hash
from projected_grpo.artifacts import ArtifactError, write_atomic


def load_base(directory: str | Path):
    """Return (model in eval mode, tokenizer) of a local Hugging Face directory, without touching the network."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{directory}: not a readable model ({reason}); delete it and run again") from error
    return model.eval(), tokenizer


def save_factors(path: str | Path, factors: dict[str, Factors], source: str) -> None:
    """Write the factors in float32, named by the hash of the weights they came from."""
    tensors = {f"{name}.{key}": getattr(f, key) for name, f in factors.items() for key in ("U", "S", "Vh")}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata={"weights": source}))


def load_adapted(directory: str | Path, factors_path: str | Path, threads: int):
    """Return (model, tokenizer, adapter) with zero knobs; factors of other weights are an AdapterError."""
    torch.set_num_threads(threads)
    model, tokenizer = load_base(directory)
    adapter = attach(model, load_factors(factors_path, weights_hash(model)))
    return model, tokenizer, adapter


def load_factors(path: str | Path, weights: str) -> dict[str, Factors]:
    """Read factors; AdapterError unless they were made from the weights with hash `weights`."""
    tensors, metadata = read_tensors(path)
    if metadata.get("weights") != weights:
        raise AdapterError(f"{path}: factors of other weights than the model's; delete the file and run again")
    names = dict.fromkeys(key.rpartition(".")[0] for key in tensors)
    return {name: Factors(*(tensors[f"{name}.{key}"] for key in ("U", "S", "Vh"))) for name in names}


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return (tensors, metadata) of a safetensors file; a damaged one is an ArtifactError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error}); delete it and run again") from error
