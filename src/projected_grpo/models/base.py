"""Base models: how every stage loads them, and the factors that lie beside them.

1. A base model is a Hugging Face directory with safetensors weights; nothing is ever unpickled, no remote code runs.
2. The organism's is read by modules of this package, because importing transformers takes longer than many a job.
3. Factors are stored in one file per decoder layer and read one module at a time: those of a 4B model take 20 GB.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from projected_grpo.artifacts.io import ArtifactError, as_the_user_wants, read_tensors, tensor_names, write_tensors
from projected_grpo.errors import UserError, one_line
from projected_grpo.method.adapter import Adapter, AdapterError, Factors, attach, factor, target_modules, weights_hash
from projected_grpo.models.fitness import require_fit
from projected_grpo.models.qwen3 import read_qwen3
from projected_grpo.models.tokens import OrganismTokenizer

FACTORS = "factors"


class DeviceError(UserError, RuntimeError):
    """A device that this machine does not have."""


@dataclass(frozen=True)
class Compute:
    """How a stage runs the model: torch threads, device (cpu, cuda, cuda:N), attention implementation, and whether in
    the portable arithmetic, which was fixed before torch was imported (portable.py)."""

    threads: int
    device: str = "cpu"
    attention: str = "sdpa"
    portable: bool = False


def directory_of(files: Sequence[str]) -> Path:
    """Return the model directory that a rule's list of base files lies in."""
    return Path(files[0]).parent


def is_organism(directory: str | Path) -> bool:
    """Whether a model directory holds an organism, which comes with a report of its making."""
    return Path(directory, "organism.json").exists()


def load_tokenizer(directory: str | Path, as_transformers: bool = False):
    """Return the tokenizer of a local Hugging Face directory."""
    with _readable(directory):
        if is_organism(directory) and not as_transformers:
            return OrganismTokenizer(directory)
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def device_of(compute: Compute) -> torch.device:
    """Return the device that a stage runs the model on; DeviceError where it is not there."""
    device = torch.device(compute.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise DeviceError(f"model.device is {compute.device}, but torch {torch.__version__} sees {seen} GPUs here")
    return device


def load_base(directory: str | Path, compute: Compute, as_transformers: bool = False):
    """Return (model in eval mode, tokenizer) of a local Hugging Face directory, without touching the network.

    With `as_transformers` an organism too is what transformers makes of it, to be saved or merged with a PEFT adapter.
    Raises ArtifactError for a directory that cannot be read, DeviceError for a device that is not there, ModelError for
    an architecture that cannot be trained (fitness.py).
    """
    torch.set_num_threads(compute.threads)
    device = device_of(compute)
    tokenizer = load_tokenizer(directory, as_transformers)
    with _readable(directory):
        own = is_organism(directory) and compute.attention == "sdpa" and not as_transformers
        model = read_qwen3(directory) if own else _through_transformers(directory, compute.attention)
    model = model.to(device).eval()
    if not own:
        require_fit(model, directory)
    return model, tokenizer


def _through_transformers(directory: str | Path, attention: str):
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a log is no terminal
    return AutoModelForCausalLM.from_pretrained(
        directory,
        local_files_only=True,
        use_safetensors=True,
        attn_implementation=attention,
        trust_remote_code=False,
    )


def save_model(directory: str | Path, model, tokenizer) -> None:
    """Write model and tokenizer as a Hugging Face directory: weights in one file, readable as the umask says."""
    model.save_pretrained(directory, max_shard_size="1TB")
    tokenizer.save_pretrained(directory)
    as_the_user_wants(*Path(directory).glob("*.safetensors"))


@contextmanager
def _readable(directory: str | Path) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DeviceError(f"model.attention: {one_line(error)}") from error
    except Exception as error:  # the library raises errors of every kind
        raise ArtifactError(
            f"{directory}: not a readable model ({one_line(error)}); if the workflow wrote it, delete it and run again"
        ) from error


def save_factors(directory: str | Path, model, source: Mapping) -> None:
    """Factorize the model where it lies and write one file of factors per decoder layer, in float32.

    The provenance is `source` and the hash of the weights that the factors came from.
    """
    source = {**source, "weights": weights_hash(model)}
    for number, (_, group) in enumerate(groupby(target_modules(model).items(), key=lambda item: _layer_of(item[0]))):
        tensors = {}
        for name, linear in group:
            made = factor(linear.weight)
            tensors |= {f"{name}.{key}": getattr(made, key).cpu() for key in ("U", "S", "Vh")}
        write_tensors(Path(directory) / f"{number:05d}.safetensors", tensors, source)


def _layer_of(name: str) -> str:
    """Return what a module's name has up to its first number: one decoder layer's modules share it."""
    return re.match(r".*?\.\d+\.|", name).group()


class StoredFactors(Mapping[str, Factors]):
    """Factors by module name, each read when it is asked for; AdapterError unless they are of the weights hashed to
    `weights`."""

    def __init__(self, directory: str | Path, weights: str):
        self.files: dict[str, Path] = {}
        for path in sorted(Path(directory).glob("*.safetensors")):
            names, source = tensor_names(path)
            if source.get("weights") != weights:
                raise AdapterError(f"{path}: factors of other weights than the model's; delete {directory}, run again")
            self.files |= {name.rpartition(".")[0]: path for name in names}
        if not self.files:
            raise ArtifactError(f"{directory}: no factors; run the workflow for them")

    def __getitem__(self, name: str) -> Factors:
        tensors, _ = read_tensors(self.files[name], [f"{name}.{key}" for key in ("U", "S", "Vh")])
        return Factors(*tensors.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def load_adapted(directory: str | Path, compute: Compute, quarantine_rank: int = 0, as_transformers: bool = False):
    """Return (model, tokenizer, adapter) with zero knobs, as `load_base` and `attach` make them; factors of other
    weights are an AdapterError."""
    model, tokenizer = load_base(directory, compute, as_transformers)
    factors = StoredFactors(Path(directory) / FACTORS, weights_hash(model))
    return model, tokenizer, attach(model, factors, quarantine_rank)


def start_from(path: str | Path | None, adapter: Adapter) -> None:
    """Set the knobs to those of a trained run, `adapter.safetensors`, as it is deployed: without its quarantine.

    Without a path they stay the base model's.
    """
    knobs = read_tensors(path)[0] if path else {}
    adapter.load({name: knob for name, knob in knobs.items() if name.endswith(".delta")}, partial=True)
