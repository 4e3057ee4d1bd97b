"""Method 5: advantages, denominators and masks by hand."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from projected_grpo.method import head
from projected_grpo.method.loss import (
    advantages,
    collate,
    completion_logprobs,
    k3,
    micro_batches,
    policy_loss,
)


def test_advantages_are_centred_and_not_scaled():
    rewards = torch.tensor([[1.25, 0.25, 0.25, 0.25], [0.3, 0.3, 0.3, 0.3]])
    A = advantages(rewards)
    assert torch.allclose(A[0], torch.tensor([0.75, -0.25, -0.25, -0.25]))
    assert (A[1] == 0).all()  # exactly: 0.3 * 4 / 4 need not be 0.3
    classic = advantages(rewards, "grpo")
    assert classic[0, 0] == pytest.approx(0.75 / (0.5 + 1e-4))


def test_policy_loss_by_hand():
    logp = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    loss = policy_loss(logp, torch.tensor([2.0, -1.0]), torch.tensor([1, 2]), denominator=10.0)
    loss.backward()
    assert loss.item() == pytest.approx((-2 + 1 + 1) / 10)  # ratio 1
    assert torch.allclose(logp.grad, torch.tensor([-0.2, 0.1, 0.1]))


def test_classic_loss_divides_by_each_length():
    logp = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    policy_loss(logp, torch.tensor([2.0, -1.0]), torch.tensor([1, 2]), 2.0, "grpo").backward()
    assert torch.allclose(logp.grad, torch.tensor([-1.0, 0.25, 0.25]))


def test_k3_is_zero_at_equality_and_its_gradient_pulls_back():
    logp = torch.tensor([-1.0, -1.0], requires_grad=True)
    value = k3(logp, torch.tensor([-1.0, -2.0]))
    assert value.tolist() == pytest.approx([0, math.exp(-1)])
    value.sum().backward()
    assert logp.grad[0] == 0
    assert logp.grad[1] > 0  # more likely than the reference: descending lowers logp


def test_completion_logprobs_use_completion_tokens_only(tiny, rows):
    made = tiny(torch.float64)
    batch = collate(rows)
    got = completion_logprobs(made.model, batch)
    expected = []
    for prompt, completion in rows:
        ids = torch.tensor([prompt + completion])
        table = made.model(ids).logits[0].log_softmax(-1)
        expected += [table[len(prompt) + i - 1, token] for i, token in enumerate(completion)]
    assert torch.allclose(got, torch.stack(expected), rtol=1e-9)


def test_bfloat16_logits_are_divided_by_the_temperature_in_float32(tiny, rows):
    """A quotient that is rounded to bfloat16 again would be off by up to 0.3 nats at large logits."""
    made = tiny(torch.bfloat16)
    batch = collate(rows)
    with torch.no_grad():
        got = completion_logprobs(made.model, batch, temperature=0.7)
        scores = made.model(input_ids=batch.tokens[:, :-1]).logits[batch.mask].float() / 0.7
    target = batch.tokens[:, 1:][batch.mask]
    assert torch.allclose(got, scores.log_softmax(-1).gather(1, target[:, None])[:, 0], atol=1e-3)


def test_the_end_token_counts_and_padding_never_does(tiny):
    """Token 0 is both the padding that `collate` writes and the end token of the first row."""
    made = tiny(torch.float64)
    batch = collate([([5, 6], [7, 0]), ([5, 6], [7, 8, 9, 0])])
    assert batch.mask.sum() == 6
    alone = completion_logprobs(made.model, collate([([5, 6], [7, 0])]))
    assert torch.allclose(completion_logprobs(made.model, batch)[:2], alone, rtol=1e-9)


def test_chunks_change_nothing(tiny, rows, monkeypatch):
    made = tiny(torch.float64)
    gradients = []
    for chunk in (1000, 4):
        monkeypatch.setattr(head, "LOGITS_AT_A_TIME", chunk * made.config.vocab_size)
        with made.adapter.segments([0, 6]) as probes:
            completion_logprobs(made.model, collate(rows)).sum().backward()
        gradients.append(torch.cat([probe.grad[0] for probe in probes.values()]))
    assert torch.allclose(*gradients, rtol=1e-9, atol=1e-12)


def test_micro_batches_respect_the_budget_and_keep_every_row():
    lengths = [5, 9, 3, 3, 20, 1]
    batches = micro_batches(lengths, 18)
    assert [i for batch in batches for i in batch] == list(range(6))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 18 for b in batches)


class Widest(TorchDispatchMode):
    """Remembers the largest number of rows, of this width, that any operation returns."""

    def __init__(self, width):
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor) and value.dim() > 1 and value.shape[-1] == self.width:
                self.rows = max(self.rows, value.numel() // self.width)
        return out


def test_memory_for_logits_does_not_grow_with_the_completions(tiny, rows, monkeypatch):
    made = tiny()
    V = made.config.vocab_size
    sizes = []
    for limit in (1 << 24, 64 * V):
        monkeypatch.setattr(head, "LOGITS_AT_A_TIME", limit)
        seen = Widest(V)
        with made.adapter.segments([0, 60]), seen:
            completion_logprobs(made.model, collate(rows * 10)).sum().backward()
        sizes.append(seen.rows)
    assert sizes == [10 * sum(len(completion) for _, completion in rows), 64]
