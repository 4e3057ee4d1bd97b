"""Models from elsewhere (kinds hf and gguf): read once, at a pinned revision, and written as a plain directory.

1. Every later stage reads that directory, so nothing but this stage (and a teacher's checkpoint) ever asks a hub. No
   remote code runs, nothing is unpickled.
2. The token that ends an assistant's turn is taken from the chat template, because `eos_token` is another one in some
   models; it becomes the tokenizer's eos_token in what is written, and stands in the generation config beside the end
   tokens that are there already. That config's sampling settings stay behind: training samples by the model alone.
3. Weights are written in one file, in the dtype that is asked for; those of a GGUF file are dequantised.
"""

import importlib.util
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig
from transformers.utils import cached_file, find_adapter_config_file

from projected_grpo.environment.prompts import encode_messages
from projected_grpo.errors import one_line
from projected_grpo.files import FileError, is_pointer, parse, read_text
from projected_grpo.method.adapter import target_modules
from projected_grpo.method.sampling import end_tokens
from projected_grpo.models.base import Compute, save_model
from projected_grpo.models.fitness import ModelError, require_fit

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
READ = (".json", ".jinja", ".safetensors", ".model", ".txt")  # of what a model's directory holds
_MARKER = "answer"
_REASONS = {  # classes of huggingface_hub, by name, because transformers wraps them
    "GatedRepoError": "it is gated: accept its terms on the hub, then log in with `hf auth login`",
    "RevisionNotFoundError": "it has no such revision",
    "RepositoryNotFoundError": "there is no such model, or it is private",
    "LocalEntryNotFoundError": "the hub cannot be reached, and there is no local copy",
    "OfflineModeIsEnabled": "the hub cannot be reached (offline mode), and there is no local copy",
}


def obtain(kind: str, id: str, revision: str | None, dtype: str, directory: str | Path) -> dict:
    """Write model and tokenizer to `directory`; return the report in model.json.

    kind hf: a hub id or local directory; gguf: a file, or package:NAME/FILE of an installed Python package. Raises
    ModelError for a model that cannot be read, and for a tokenizer without a chat template or one that refuses a system
    message; AdapterError for a model without any Linear to adapt.
    """
    name = f"model {id}" + (f" at revision {revision}" if revision else "")
    path, options = (id, {"revision": revision}) if kind == "hf" else _gguf(id, name)
    _require_whole_files(path, name)
    with _one_line(name, "tokenizer: "):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, **options)
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):  # what the library makes of no vocabulary at all
        raise ModelError(f"{name}: has no tokenizer files, or none with a vocabulary; put them beside the weights")
    model = _load(path, name, dtype=DTYPES[dtype], **_weights(options))
    if tokenizer.chat_template is None:
        raise ModelError(f"{name}: its tokenizer has no chat template; take an instruction-tuned model")
    target_modules(model)
    tokenizer.eos_token = end_of_turn(tokenizer, name)
    ends = end_tokens(model, tokenizer.eos_token_id)
    if odd := [end for end in ends if type(end) is not int or end < 0]:
        raise ModelError(f"{name}: its generation config has {odd[0]!r} as an end token, which is no token's id")
    _require_prompts(model, tokenizer, ends, name)
    model.generation_config = GenerationConfig(
        eos_token_id=ends, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    )
    save_model(directory, model, tokenizer)
    report = {
        "id": id,
        "revision": revision,
        "dtype": dtype,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "end_of_turn": tokenizer.eos_token,
    }
    Path(directory, "model.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def checkpoint(id: str, revision: str | None, base, tokenizer, compute: Compute):
    """Return a teacher model: the PEFT adapter `id` merged into `base` in place, or another model in base's dtype.

    Raises ModelError for one that cannot be read, and for one whose tokens are not those of `tokenizer`.
    """
    name = f"teacher {id}" + (f" at revision {revision}" if revision else "")
    _require_whole_files(id, name)
    with _one_line(name), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")  # or the teacher would be the base model
        if find_adapter_config_file(id, revision=revision):
            from peft import PeftModel  # slow to import, and only ever needed here

            cached_file(id, "adapter_model.safetensors", revision=revision)  # or peft would unpickle another file
            return PeftModel.from_pretrained(base, id, revision=revision).merge_and_unload().eval()
        other = AutoTokenizer.from_pretrained(id, revision=revision, trust_remote_code=False)
    how = {"revision": revision, "use_safetensors": True, "attn_implementation": compute.attention}
    model = _load(id, name, dtype=base.dtype, **how)
    if other.get_vocab() != tokenizer.get_vocab():
        raise ModelError(f"{name}: its tokens are not those of the base model, which cannot learn from them")
    model = model.to(base.device).eval()
    require_fit(model, name)
    return model


def _load(path: str | Path, name: str, **options):
    """Return a causal language model all of whose weights were in its files; the rest would be random numbers."""
    with _one_line(name):
        model, found = AutoModelForCausalLM.from_pretrained(
            path, trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    kind = type(model).__name__
    for weight, there, wanted in sorted(found["mismatched_keys"]):
        raise ModelError(f"{name}: {weight} is of shape {tuple(there)} in its files, of {tuple(wanted)} in its config")
    if absent := sorted(found["missing_keys"]):
        raise ModelError(f"{name}: its files lack {len(absent)} weights of a {kind}, such as {absent[0]}")
    _require_numbers(model, name)
    return model


def _require_whole_files(directory: str | Path, name: str) -> None:
    """Raise a ModelError for a file of a local directory that transformers would pass over in silence, or blame on
    another: a git-lfs pointer, or a config that is no JSON object."""
    for file in sorted(Path(directory).glob("*")):
        if file.suffix in READ and is_pointer(file):
            raise ModelError(f"{name}: {file.name} is a git-lfs pointer; fetch the file itself with `git lfs pull`")
        if file.name in ("config.json", "generation_config.json"):
            try:
                said = parse(read_text(file), file.name)
            except FileError as error:
                raise ModelError(f"{name}: {error}") from error
            if not isinstance(said, dict):
                raise ModelError(f"{name}: {file.name} is no JSON object; fetch it again")


def _require_numbers(model, name: str) -> None:
    for weight, values in model.named_parameters():
        if not values.isfinite().all():
            raise ModelError(f"{name}: {weight} holds a number that is not finite; fetch it again, or in another dtype")


def _require_prompts(model, tokenizer, ends: list[int], name: str) -> None:
    """Raise a ModelError unless prompts become tokens that the model has, others for another question."""
    chats = [[{"role": "system", "content": "s"}, {"role": "user", "content": text}] for text in ("def f(x):", "2 + 3")]
    with _one_line(name):
        one, other = (encode_messages(tokenizer, chat) for chat in chats)
    if one == other:
        raise ModelError(f"{name}: its tokenizer and chat template make the same tokens, {one[:4]}, of every prompt")
    rows = model.get_input_embeddings().num_embeddings
    if beyond := [i for i in (*one, *other, *ends) if i >= rows]:
        raise ModelError(f"{name}: its tokenizer has a token {beyond[0]}, the model an embedding of {rows} tokens only")


def _gguf(id: str, name: str) -> tuple[Path, dict]:
    """Return (directory, options for from_pretrained) of a GGUF file."""
    path = Path(id)
    if id.startswith("package:"):
        package, _, file = id.removeprefix("package:").partition("/")
        found = importlib.util.find_spec(package)  # does not run the package
        if found is None:
            raise ModelError(f"{name}: the Python package {package} is not installed")
        path = Path(found.submodule_search_locations[0], file)
    if not path.is_file():
        raise ModelError(f"{name}: there is no such file")
    return path.parent, {"gguf_file": path.name}


def _weights(options: dict) -> dict:
    """Add how weights are read: as safetensors, or unpacked from GGUF, which holds no code either."""
    unpacked = {"quantization_config": GgufConfig(dequantize=True)}
    return options | (unpacked if "gguf_file" in options else {"use_safetensors": True})


def end_of_turn(tokenizer, name: str) -> str:
    """Return the token that the chat template puts after an assistant's answer; the eos token if it puts none."""
    with _one_line(name):
        after = _render(tokenizer, ("user", "question"), ("assistant", _MARKER)).rpartition(_MARKER)[2]
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    found = [index for index in tokenizer.encode(after, add_special_tokens=False) if index in special]
    if found:
        return tokenizer.convert_ids_to_tokens(found[0])
    if tokenizer.eos_token is None:
        raise ModelError(f"{name}: neither its chat template nor its tokenizer has a token that ends a turn")
    return tokenizer.eos_token


def _render(tokenizer, *turns: tuple[str, str]) -> str:
    """Return what the chat template makes of (role, content) turns."""
    return tokenizer.apply_chat_template([{"role": role, "content": text} for role, text in turns], tokenize=False)


@contextmanager
def _one_line(name: str, part: str = "") -> Iterator[None]:
    """Put what a library says of a model, or of a part of it, into one line; it raises errors of every kind."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{name}: {_reason(error, part)}") from error


def _reason(error: BaseException, part: str) -> str:
    for cause in _causes(error):
        if type(cause).__name__ in _REASONS:
            return _REASONS[type(cause).__name__]
    said = one_line(error)
    if isinstance(error, SafetensorError):
        return f"a safetensors file is cut or damaged ({said}); fetch it again"
    plain = isinstance(error, (OSError, ValueError)) or said == type(error).__name__
    return part + (said if plain else f"{type(error).__name__} {said}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
