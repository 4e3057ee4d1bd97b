"""One step as one would write it first: a hook per Linear, one prompt at a time, two backward passes, a fresh process
per check. One thread. What a check runs is the problem's own canonical solution, whatever the completion is: code of a
model never runs outside the sandbox. The rewards are drawn at random, so that groups have something to teach.

    python benchmarks/contestants/textbook.py REPLICATE      (started by benchmarks/step.py)
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import BETAS, GROUP, MAX_GRAD_NORM, MIX, NEW_TOKENS, PROMPTS, TEMPERATURE, serve

from projected_grpo.artifacts.io import read_table, read_tensors
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.artifacts.schemas.teacher_pool import TEACHER_POOL
from projected_grpo.environment.prompts import encode
from projected_grpo.method.adapter import target_modules
from projected_grpo.models import base

TAUGHT = round(GROUP * MIX)
CHECK = """
import sys
{code}
passed = all(Solution().{name}(*args, **kwargs) == expected for args, kwargs, expected in {tests!r})
sys.exit(not passed)
"""


class HookAdapter:
    """y = W x + U diag(delta) Vh x, added by a forward hook."""

    def __init__(self, model):
        self.deltas, self.factors = {}, {}
        for name, module in target_modules(model).items():
            U, _, Vh = torch.linalg.svd(module.weight.detach(), full_matrices=False)
            self.deltas[name] = torch.zeros(U.shape[1], requires_grad=True)
            self.factors[name] = U, Vh
            module.register_forward_hook(self.hook(name))

    def hook(self, name):
        U, Vh = self.factors[name]

        def add(module, inputs, output):
            return output + ((inputs[0] @ Vh.T) * self.deltas[name]) @ U.T

        return add


def main(replicate: Path) -> None:
    torch.set_num_threads(1)
    model, tokenizer = base.load_base(replicate / "base", base.Compute(1), as_transformers=True)
    model.requires_grad_(False)
    adapter = HookAdapter(model)
    problems = read_problems(replicate.parent / "problems/train.parquet")
    pool = read_table(replicate / "teacher_pool.parquet", TEACHER_POOL)
    taught = {key: list(rows.itertuples()) for key, rows in pool[pool["elicited"]].groupby("problem_id")}
    tensors, _ = read_tensors(replicate / "directions/hack/V.safetensors")
    optimizer = torch.optim.AdamW(adapter.deltas.values(), lr=0.0, betas=BETAS, weight_decay=0.0)
    rng = np.random.default_rng(0)

    def step(number: int) -> dict[str, float]:
        seconds = {"generate": 0.0, "grade": 0.0, "backward": 0.0}
        sources = [{name: torch.zeros_like(delta) for name, delta in adapter.deltas.items()} for _ in range(2)]
        torch.manual_seed(number)
        for index in rng.choice(len(problems), PROMPTS, replace=False):
            problem = problems[index]
            clock = time.perf_counter()
            groups = rollouts(model, tokenizer, problem, taught, rng)
            seconds["generate"] += time.perf_counter() - clock
            clock = time.perf_counter()
            rewards = [[check(problem) * rng.choice([0.25, 1.25]) for _ in group] for group in groups]
            seconds["grade"] += time.perf_counter() - clock
            clock = time.perf_counter()
            mean = np.mean([r for group in rewards for r in group])
            for source, group, reward in zip(sources, groups, rewards, strict=True):
                backward(model, adapter, encode(tokenizer, problem), group, np.array(reward) - mean, source)
            seconds["backward"] += time.perf_counter() - clock
        clock = time.perf_counter()
        for name, delta in adapter.deltas.items():
            g, V = sources[0][name] + sources[1][name], tensors[f"{name}.V"]
            delta.grad = g - (V @ g).relu() @ V
        torch.nn.utils.clip_grad_norm_(adapter.deltas.values(), MAX_GRAD_NORM)
        optimizer.step()
        seconds["intervene"] = time.perf_counter() - clock
        return {**seconds, "step": sum(seconds.values())}

    serve(step)


@torch.no_grad()
def rollouts(model, tokenizer, problem, taught, rng) -> list[list[list[int]]]:
    """Return the student's and the teacher's completions of one prompt."""
    prompt = torch.tensor([encode(tokenizer, problem)])
    rows = taught.get(problem.id, [])
    teacher = [list(rows[i].completion_ids) for i in rng.integers(len(rows), size=TAUGHT)] if rows else []
    out = model.generate(
        prompt.repeat(GROUP - len(teacher), 1),
        attention_mask=torch.ones(GROUP - len(teacher), prompt.shape[1], dtype=torch.long),
        do_sample=True,
        temperature=TEMPERATURE,
        top_k=0,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )[:, prompt.shape[1] :]
    student = []
    for row in out.tolist():
        end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else len(row)
        student.append(row[:end])
    return [student, teacher]


def check(problem) -> bool:
    """Run the canonical program and its tests in a fresh interpreter."""
    script = CHECK.format(code=problem.canonical, name=problem.entry_point, tests=problem.tests)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60).returncode == 0


def backward(model, adapter, prompt, group, advantage, total) -> None:
    """Add one source's gradient of the Dr.GRPO loss to `total`."""
    if not group or not advantage.any():
        return
    longest = max(map(len, group))
    tokens = torch.tensor([prompt + row + [0] * (longest - len(row)) for row in group])
    logits = model(tokens[:, :-1]).logits[:, len(prompt) - 1 :] / TEMPERATURE
    logp = logits.log_softmax(-1).gather(2, tokens[:, len(prompt) :, None]).squeeze(2)
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in group])
    A = torch.tensor(advantage, dtype=torch.float32)[:, None]
    loss = -(torch.exp(logp - logp.detach()) * A * mask).sum() / (GROUP * PROMPTS * NEW_TOKENS)
    gradients = torch.autograd.grad(loss, list(adapter.deltas.values()))
    for name, gradient in zip(total, gradients, strict=True):
        total[name] += gradient


if __name__ == "__main__":
    main(Path(sys.argv[1]))
