"""Talk to a trained model as it would be deployed: the run's knobs on its base model, without the quarantine.

    python -m projected_grpo.chat RUN [--temperature T] [--seed N] [--device DEVICE]

RUN is a folder such as results/replicate1/runs/vanilla. What was said before counts, until an empty line; Ctrl-D ends.
A model that was trained on single prompts, as the organism was, answers best to the first one.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from projected_grpo.artifacts.io import ArtifactError, read_provenance, read_tensors
from projected_grpo.command import run
from projected_grpo.environment.prompts import encode_messages
from projected_grpo.method.sampling import sample
from projected_grpo.models.base import Compute, load_adapted
from projected_grpo.rng import torch_generator


def main(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="python -m projected_grpo.chat", description="Talk to a trained model.")
    parser.add_argument("run", type=Path, metavar="RUN", help="results/replicate{n}/runs/{arm}")
    parser.add_argument("--temperature", type=float, help="0: greedy (default: the training temperature)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default 0)")
    parser.add_argument("--device", help="cpu, cuda, cuda:N (default: where it was trained)")
    options = parser.parse_args(arguments)
    if not (options.run / "adapter.safetensors").exists():
        raise ArtifactError(f"{options.run}: no trained run; give results/replicate{{n}}/runs/{{arm}}")
    settings = read_provenance(options.run / "steps.parquet")["config"]
    train, compute = settings["train"], settings["compute"]
    temperature = train["temperature"] if options.temperature is None else options.temperature
    model, tokenizer = deployed(
        options.run, settings["arm"], {**compute, "device": options.device or compute["device"]}
    )
    history: list[dict[str, str]] = []
    for turn, line in enumerate(_lines()):
        if not line:
            history = []
            continue
        history.append({"role": "user", "content": line})
        noise = torch_generator(options.seed, turn, "chat")
        prompt, end = encode_messages(tokenizer, history), tokenizer.eos_token_id
        ((ids,),) = sample(model, [prompt], [1], train["max_new_tokens"], temperature, noise, end)
        history.append({"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)})
        print(history[-1]["content"], flush=True)


def deployed(folder: Path, arm: Mapping, compute: Mapping):
    """Return (model, tokenizer) of a run; a folder that has no base model above it is an ArtifactError."""
    homes = [above / "base" for above in folder.resolve().parents[1:3]]  # a replicate's own, or one that all share
    base = next((home for home in homes if home.is_dir()), None)
    if base is None:
        raise ArtifactError(f"{folder}: no base model in {homes[0]} or {homes[1]}; give a run where it was made")
    model, tokenizer, adapter = load_adapted(base, Compute(**compute), arm.get("quarantine_rank", 0))
    knobs, _ = read_tensors(folder / "adapter.safetensors")
    adapter.load({name: value for name, value in knobs.items() if name.endswith(".delta")}, partial=True)
    return model, tokenizer


def _lines() -> Iterator[str]:
    """Yield the lines of standard input; at a terminal, which is told how it goes, after a prompt."""
    prompt = "> " if sys.stdin.isatty() else ""
    if prompt:
        print("A question on a line; an empty line begins anew, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            yield input(prompt).strip()
        except EOFError:
            return


if __name__ == "__main__":
    sys.exit(run(main))
