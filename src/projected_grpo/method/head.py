"""The head (method 6): logits of the decoder's last hidden states, as the architecture makes them.

1. Some architectures scale or cap what `lm_head` returns, or scale what it is given: Granite, Cohere, Gemma 2, MiniCPM.
   So the model's own forward runs, on hidden states that its decoder is made to return.
2. Logits exist for the positions that are asked for and never all at once: in chunks.
"""

import torch

LOGITS_AT_A_TIME = 1 << 24  # numbers: what keeps memory from growing with the vocabulary


class _Given:
    """What a decoder returns: its last hidden state, first or by name, and None for whatever else a head passes on."""

    def __init__(self, hidden: torch.Tensor):
        self.last_hidden_state = hidden

    def __getitem__(self, place: int | slice):
        return (self.last_hidden_state,)[place]

    def __getattr__(self, name: str) -> None:
        return None


def logit_chunk(model) -> int:
    """Return for how many positions the logits may exist at a time."""
    return max(1, LOGITS_AT_A_TIME // model.config.get_text_config().vocab_size)


def logits(model, hidden: torch.Tensor) -> torch.Tensor:
    """Return the model's logits (N, vocabulary) of its decoder's last hidden states (N, H)."""
    if hasattr(model, "logits"):
        return model.logits(hidden)
    decoder, found = model.get_decoder(), _Given(hidden[None])
    decoder.forward = lambda *_, **__: found
    try:
        return model(inputs_embeds=hidden[None], use_cache=False).logits[0]
    finally:
        del decoder.forward
