"""What the contestants share: the setting of one GRPO step, and a conversation over standard input.

A contestant says "ready", then takes one step per line that it receives and answers with seconds per phase, as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

CONFIG = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text(encoding="utf-8"))
TRAIN, MIX = CONFIG["train"], CONFIG["arms"]["erase"]["mix"]
PROMPTS, GROUP, NEW_TOKENS = TRAIN["prompts_per_step"], TRAIN["group_size"], TRAIN["max_new_tokens"]
TEMPERATURE, BETAS, MAX_GRAD_NORM = TRAIN["temperature"], tuple(TRAIN["betas"]), TRAIN["max_grad_norm"]


def serve(step: Callable[[int], dict[str, float]]) -> None:
    """Answer every line on standard input with the phases of one step, until there is none."""
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin, 1):
        print(json.dumps(step(number)), flush=True)
