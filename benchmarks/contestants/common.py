"""What the contestants share: the setting of one GRPO step, and a conversation over standard input.

A contestant says "ready", then takes one step per line that it receives and answers with seconds per phase, as JSON.
"""

import json
import sys
from collections.abc import Callable

PROMPTS, GROUP, NEW_TOKENS, MIX, TEMPERATURE = 8, 8, 48, 0.25, 1.0
BETAS, MAX_GRAD_NORM = (0.9, 0.99), 1.0


def serve(step: Callable[[int], dict[str, float]]) -> None:
    """Answer every line on standard input with the phases of one step, until there is none."""
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin, 1):
        print(json.dumps(step(number)), flush=True)
