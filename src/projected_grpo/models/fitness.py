"""Whether a model can be trained here: loss and sampler, held against the model's own logits when it is loaded.

Prompts of different lengths are sampled and put through the loss as in a step: padded, with a cache, in one batch. What
comes out has to be what the model itself says of each row alone. An architecture that sees padding, has a cache of its
own, or gives its Linears something else than (rows, tokens, features) is refused before any work is done with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from projected_grpo.errors import UserError, one_line
from projected_grpo.method.adapter import target_modules
from projected_grpo.method.loss import collate, completion_logprobs
from projected_grpo.method.sampling import sample

LENGTHS = (3, 9)  # of the prompts
SAMPLES = 4  # of each
NEW_TOKENS = 4
EXACT = {"loss": 0.002, "sampler": 0.002}  # float32 and better: what rounding may leave, in nats and in probability
ROUNDED = {"loss": 0.1, "sampler": 0.02}  # bfloat16


class ModelError(UserError, RuntimeError):
    """A model that cannot be had or cannot be used; one line."""


def require_fit(model, name: object) -> None:
    """Raise a ModelError, which calls the model `name`, unless loss and sampler see the policy that the model is."""
    kind, allowed = type(model).__name__, EXACT if model.dtype.itemsize > 2 else ROUNDED
    try:
        with torch.no_grad():
            off, odd = _deviations(model)
    except Exception as error:  # whatever an unknown architecture raises
        said = f"{type(error).__name__}: {one_line(error)}"
        raise ModelError(f"{name}: a {kind} cannot be trained here ({said})") from error
    for where, limit in allowed.items():
        if not off[where] <= limit:  # nor NaN
            raise ModelError(
                f"{name}: a {kind} cannot be trained here: in our {where} it is another policy than alone, by"
                f" {off[where]:.2g} where rounding leaves {limit}; take a decoder that does not see padding"
            )
    for module, shape in odd.items():
        raise ModelError(
            f"{name}: a {kind} cannot be trained here: its {module} gets an input of shape {shape}, not (rows, tokens,"
            " features), as experts do, so that its gradient cannot be told apart by rollout"
        )


@contextmanager
def _odd_inputs(model, rows: int) -> Iterator[dict[str, tuple]]:
    """Yield the target modules whose inputs inside are not (rows, tokens, features), with the shapes of these."""
    odd: dict[str, tuple] = {}

    def look(name: str, _, inputs: tuple) -> None:
        if inputs[0].dim() != 3 or len(inputs[0]) != rows:
            odd[name] = tuple(inputs[0].shape)

    hooks = [m.register_forward_pre_hook(partial(look, name)) for name, m in target_modules(model).items()]
    try:
        yield odd
    finally:
        for hook in hooks:
            hook.remove()


def _deviations(model) -> tuple[dict[str, float], dict[str, tuple]]:
    """Return the mean deviation of the loss's log-probabilities and of the sampler's draws, and the odd inputs.

    A draw deviates by how far its uniform lies outside the interval of probability that the model itself has for the
    token.
    """
    first = min(5, model.config.get_text_config().vocab_size // 4)  # after the tokens of special meaning
    prompts = [list(range(first, first + length)) for length in LENGTHS]
    uniforms = torch.rand(SAMPLES * len(prompts), NEW_TOKENS, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    groups = sample(model, prompts, [SAMPLES] * len(prompts), NEW_TOKENS, 1.0, generator, prompts[0][0])
    rows = [(prompt, ids) for prompt, group in zip(prompts, groups, strict=True) for ids in group]
    with _odd_inputs(model, len(rows)) as odd:
        ours = completion_logprobs(model, collate(rows, model.device)).float().cpu()
    off: dict[str, list] = {"loss": [], "sampler": []}
    for (prompt, ids), logp, uniform in zip(rows, ours.split([len(ids) for _, ids in rows]), uniforms, strict=True):
        tokens = torch.tensor([[*prompt, *ids]], device=model.device)
        own = model(input_ids=tokens, use_cache=False).logits[0, len(prompt) - 1 : -1].float().cpu()
        taken, drawn_at = torch.tensor(ids)[:, None], uniform[: len(ids)]
        above = own.softmax(-1).cumsum(-1).gather(1, taken)[:, 0]
        below = above - own.softmax(-1).gather(1, taken)[:, 0]
        off["loss"].append((logp - own.log_softmax(-1).gather(1, taken)[:, 0]).abs())
        off["sampler"].append(torch.maximum(below - drawn_at, drawn_at - above).clamp(min=0))
    return {where: torch.cat(parts).mean().item() for where, parts in off.items()}, odd
