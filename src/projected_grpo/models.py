"""Base models: where they come from, and how every stage loads them.

A base model is a Hugging Face directory with safetensors weights; nothing is ever unpickled and no remote code runs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from projected_grpo.adapter import AdapterError, Factors, attach, weights_hash
from projected_grpo.artifacts import ArtifactError, read_tensors, write_tensors

FACTORS = "factors.safetensors"

disable_progress_bar()  # a log is no terminal


def directory_of(files: Sequence[str]) -> Path:
    """Return the model directory that a rule's list of base files lies in."""
    return Path(files[0]).parent


def load_base(directory: str | Path):
    """Return (model in eval mode, tokenizer) of a local Hugging Face directory, without touching the network."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{directory}: not a readable model ({reason}); delete it and run again") from error
    return model.eval(), tokenizer


def save_factors(path: str | Path, factors: Mapping[str, Factors], source: Mapping) -> None:
    """Write the factors in float32; source["weights"] is the hash of the weights they came from."""
    tensors = {f"{name}.{key}": getattr(f, key) for name, f in factors.items() for key in ("U", "S", "Vh")}
    write_tensors(path, tensors, source)


def load_factors(path: str | Path, weights: str) -> dict[str, Factors]:
    """Read factors; AdapterError unless they were made from the weights with hash `weights`."""
    tensors, source = read_tensors(path)
    if source.get("weights") != weights:
        raise AdapterError(f"{path}: factors of other weights than the model's; delete the file and run again")
    names = dict.fromkeys(key.rpartition(".")[0] for key in tensors)
    return {name: Factors(*(tensors[f"{name}.{key}"] for key in ("U", "S", "Vh"))) for name in names}


def load_adapted(directory: str | Path, threads: int, quarantine_rank: int = 0):
    """Return (model, tokenizer, adapter) with zero knobs, as `attach` makes them; factors of other weights are an
    AdapterError."""
    torch.set_num_threads(threads)
    model, tokenizer = load_base(directory)
    factors = load_factors(Path(directory) / FACTORS, weights_hash(model))
    return model, tokenizer, attach(model, factors, quarantine_rank)
