"""The organism's tokenizer as its directory has it, without transformers: of its interface what this project uses."""

import json
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer


class OrganismTokenizer:
    """Byte-level BPE with a chat template; read from an organism's directory."""

    def __init__(self, directory: str | Path):
        directory = Path(directory)
        self._bpe = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.eos_token = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))["eos_token"]
        self.eos_token_id = self._bpe.token_to_id(self.eos_token)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as transformers renders it
        self._template = environment.from_string((directory / "chat_template.jinja").read_text(encoding="utf-8"))

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return self._bpe.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return self._bpe.decode(ids, skip_special_tokens=skip_special_tokens)

    def apply_chat_template(self, messages: list[dict[str, str]], add_generation_prompt=False, **_) -> list[int]:
        return self.encode(self._template.render(messages=messages, add_generation_prompt=add_generation_prompt))
