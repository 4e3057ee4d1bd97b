"""Talking to a trained model: the deployed one, in turns."""

import io

import pytest
import torch
from small_results import MODES, step_rows
from test_external import build, tokenizer

from projected_grpo import chat
from projected_grpo.artifacts.io import write_table, write_tensors
from projected_grpo.artifacts.schemas.train import steps_schema
from projected_grpo.command import run as program
from projected_grpo.environment.prompts import encode_messages
from projected_grpo.method.sampling import sample
from projected_grpo.models.base import FACTORS, Compute, load_adapted, save_factors

TOKENS = 5
TRAIN = {"temperature": 1.0, "max_new_tokens": TOKENS}
COMPUTE = {"threads": 1, "device": "cpu", "attention": "sdpa", "portable": False}


@pytest.fixture
def world(tmp_path):
    """A run with knobs far from zero, a quarantine included, on a base model that its replicate shares."""
    model, _ = build("Qwen3")
    model.resize_token_embeddings(72)
    base, folder = tmp_path / "replicate1/base", tmp_path / "replicate1/runs/route"
    model.save_pretrained(base)
    tokenizer().save_pretrained(base)
    save_factors(base / FACTORS, model, {"code": "x"})
    model, tokens, adapter = load_adapted(base, Compute(1))
    draw = torch.Generator().manual_seed(3)
    knobs = {name: torch.randn(value.shape, generator=draw) for name, value in adapter.state().items()}
    source = {"config": {"train": TRAIN, "compute": COMPUTE, "arm": {"intervention": "route"}}}
    write_tensors(folder / "adapter.safetensors", knobs, source)
    write_table(folder / "steps.parquet", step_rows("route", 1), steps_schema(MODES), source)
    return folder, model, tokens, adapter, {name: value for name, value in knobs.items() if "delta" in name}


def replies(world, *turns):
    """Return the deployed model's greedy answers to a conversation, worked out here."""
    _, model, tokens, adapter, deltas = world
    adapter.load(deltas, partial=True)
    history = []
    for turn in turns:
        history.append({"role": "user", "content": turn})
        prompt, noise = encode_messages(tokens, history), torch.Generator()
        ((ids,),) = sample(model, [prompt], [1], TOKENS, 0.0, noise, tokens.eos_token_id)
        history.append({"role": "assistant", "content": tokens.decode(ids, skip_special_tokens=True)})
    return [message["content"] for message in history if message["role"] == "assistant"]


def said(monkeypatch, capsys, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    chat.main(arguments)
    return capsys.readouterr().out.splitlines()


def test_the_deployed_model_answers_in_turns_until_an_empty_line(world, monkeypatch, capsys):
    answers = said(monkeypatch, capsys, "A B C\nD E\n\nD E\n", str(world[0]), "--temperature", "0")
    assert answers == [*replies(world, "A B C", "D E"), *replies(world, "D E")]
    assert answers[1] != answers[2]  # what was said before counts
    assert answers[2:] != replies((*world[:4], {}), "D E")  # nor is it the base model


def test_sampling_has_a_seed(world, monkeypatch, capsys):
    one, again, other = (
        said(monkeypatch, capsys, "A B C\n", str(world[0]), "--seed", seed) for seed in ("1", "1", "2")
    )
    assert one == again != other


def test_what_is_no_run_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["chat", str(tmp_path)])
    assert program(chat.main) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: no trained run; give results/replicate{{n}}/runs/{{arm}}\n"


def test_a_run_without_its_base_model_is_one_line(world, tmp_path, monkeypatch, capsys):
    (tmp_path / "replicate1/base").rename(tmp_path / "elsewhere")
    monkeypatch.setattr("sys.argv", ["chat", str(world[0])])
    assert program(chat.main) == 1
    assert "no base model in" in capsys.readouterr().err
