"""The head (method 6): logits of the decoder's last hidden states, as the architecture makes them.

1. Some architectures scale or cap what `lm_head` returns, or scale what it is given: Granite, Cohere, Gemma 2, MiniCPM.
   So the model's own forward runs, on hidden states that its decoder is made to return.
2. Logits exist for the positions that are asked for and never all at once: in chunks.
"""

from dataclasses import dataclass

import torch
from transformers.modeling_outputs import MoeModelOutputWithPast

LOGITS_AT_A_TIME = 1 << 24  # numbers: what keeps memory from growing with the vocabulary


@dataclass
class _Given(MoeModelOutputWithPast):
    """What a decoder returns, with every field that some head passes on."""

    cross_attentions: None = None


def logit_chunk(model) -> int:
    """Return for how many positions the logits may exist at a time."""
    return max(1, LOGITS_AT_A_TIME // model.config.get_text_config().vocab_size)


def logits(model, hidden: torch.Tensor) -> torch.Tensor:
    """Return the model's logits (N, vocabulary) of its decoder's last hidden states (N, H)."""
    decoder = model.get_decoder()
    found = _Given(last_hidden_state=hidden[None])
    decoder.forward = lambda *_, **__: found
    try:
        return model(inputs_embeds=hidden[None], use_cache=False).logits[0]
    finally:
        del decoder.forward
