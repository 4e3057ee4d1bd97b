"""One step of TRL's GRPOTrainer: LoRA of rank 16, Dr.GRPO without scaling, a reward function that costs nothing.

    PYTHON_WITH_TRL benchmarks/contestants/trl_trainer.py REPLICATE      (started by benchmarks/step.py)

It samples all 64 rollouts, where the others sample 48 and take 16 from the teacher pool. Its learning rate is zero, so
that every step is the same work.
"""

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from common import GROUP, MAX_GRAD_NORM, NEW_TOKENS, PROMPTS, TEMPERATURE
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"]


class Conductor(TrainerCallback):
    """Holds the trainer before each step until it is asked for one."""

    def __init__(self):
        self.started = None

    def on_step_begin(self, args, state, control, **kwargs):
        if self.started is None:
            print("ready", flush=True)
        if not sys.stdin.readline():
            control.should_training_stop = True
        self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        print(f'{{"step": {time.perf_counter() - self.started}}}', flush=True)


def reward(completions, **_) -> list[float]:
    return [float(len(completion) % 3) for completion in completions]


def main(replicate: Path) -> None:
    torch.set_num_threads(1)
    rows = pd.read_parquet(replicate.parent / "problems/train.parquet")
    tokenizer = AutoTokenizer.from_pretrained(replicate / "base")
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        for text in rows["statement"]
    ]
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=NEW_TOKENS,
        temperature=TEMPERATURE,
        loss_type="dr_grpo",
        scale_rewards="none",
        beta=0.0,
        learning_rate=0.0,
        max_grad_norm=MAX_GRAD_NORM,
        max_steps=100_000,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_num_workers=0,
    )
    GRPOTrainer(
        model=str(replicate / "base"),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, target_modules=TARGETS, task_type="CAUSAL_LM"),
        callbacks=[Conductor()],
    ).train()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
