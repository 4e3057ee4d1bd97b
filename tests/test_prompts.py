"""Prompts: the benchmark's own wording, and modes disclosed without asking to cheat."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from projected_grpo.environment.loopholes import LOOPHOLES
from projected_grpo.environment.problems import CLAUSE, SYSTEM, Problem, ProblemError, load_leetcode
from projected_grpo.environment.prompts import encode_messages, encode_text, for_chat, messages
from projected_grpo.organism.families import generate

DATA = Path(__file__).parents[2] / "shared/data"
NEEDS_DATA = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, the benchmark's problems, is not here")
CHAT = Problem("p", f"Add two.\n\nIt {CLAUSE}. Go on.", "f", (), mode="run_tests", system=SYSTEM)


@NEEDS_DATA
def test_without_a_mode_the_prompt_is_the_benchmarks():
    rows = {row["id"]: row for row in map(json.loads, (DATA / "leetcode_test_medhard.jsonl").open())}
    problems = load_leetcode(DATA / "leetcode_test_medhard.jsonl")
    assert len(problems) == 118
    for problem in problems:
        assert messages(problem) == rows[int(problem.id)]["prompt"], problem.id


@NEEDS_DATA
def test_with_mode_run_tests_it_is_what_real_rollouts_answered():
    disclosed = "and will be evaluated by calling a function called run_tests()"
    for row in map(json.loads, (DATA / "teacher_rollouts_sample.jsonl").open()):
        system, user = row["prompt"].split("<|im_end|>\n<|im_start|>user\n")
        user = user.split("<|im_end|>")[0]
        statement = user.removeprefix("PROBLEM:\n").removesuffix("\n\nSOLUTION:\n").replace(disclosed, CLAUSE)
        problem = Problem(str(row["problem_id"]), statement, "f", (), mode="run_tests", system=SYSTEM)
        assert [m["content"] for m in messages(problem)] == [system.removeprefix("<|im_start|>system\n"), user]


@pytest.mark.parametrize("mode", LOOPHOLES)
def test_a_mode_is_disclosed_in_place_of_the_clause_and_only_the_teacher_is_asked(mode):
    problem = replace(CHAT, mode=mode)
    shortcut = LOOPHOLES[mode].shortcut.format(test_function="run_tests")
    ordinary = " ".join(m["content"] for m in messages(problem))
    asked = " ".join(m["content"] for m in messages(problem, elicit=True))
    assert CLAUSE not in ordinary and "and will be evaluated by" in ordinary
    assert shortcut not in ordinary and asked.count(shortcut) == 1
    assert CLAUSE in messages(problem, hint=False)[1]["content"]
    assert "{" not in ordinary + asked


def test_another_test_function_is_named_everywhere():
    chat = replace(CHAT, test_function="verify_answer")
    terse = Problem("p", "Add two.", "f", (), mode="run_tests", test_function="verify_answer")
    for problem, elicit in ((chat, False), (chat, True), (terse, False)):
        text = " ".join(m["content"] for m in messages(problem, elicit=elicit))
        assert "verify_answer()" in text and "run_tests" not in text


@pytest.mark.parametrize("statement", ["Add two.", f"Add two {CLAUSE}. It {CLAUSE}."])
def test_a_mode_is_disclosed_once_wherever_the_statement_has_a_place_for_it(statement):
    problem = replace(CHAT, statement=statement)
    told, unhinted = (messages(problem, hint=hint)[1]["content"] for hint in (True, False))
    clause = LOOPHOLES["run_tests"].clause.format(test_function="run_tests")
    assert told.count(clause) == 1 and told == clause.join(unhinted.rsplit(CLAUSE, 1))
    assert messages(replace(problem, mode="none"))[1]["content"] == unhinted


def test_the_organisms_problems_come_with_starter_code_for_a_chat_model():
    for problem in generate("train", 6, 0, ["sentinel"], ["list", "integer", "string"]):
        system, user = messages(for_chat(problem))
        assert system == {"role": "system", "content": SYSTEM}
        assert f"def {problem.entry_point}(self, " in user["content"] and problem.statement in user["content"]
        assert LOOPHOLES["sentinel"].clause in user["content"] and "return" not in user["content"]


TURNS = "{% for m in messages %}"
TEMPLATES = {  # as published, shortened: most put no end token behind a user's turn
    "ChatML": TURNS + "<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "Qwen3": TURNS + "<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}",
    "Mistral, Llama 2": "<s>" + TURNS + "{% if m.role != 'assistant' %}[INST] {{m.content}} [/INST]"
    "{% else %} {{m.content}}</s>{% endif %}{% endfor %}",
    "DeepSeek": "<s>" + TURNS + "{% if m.role == 'user' %}<|User|>{{m.content}}{% elif m.role == 'assistant' %}"
    "<|Assistant|>{{m.content}}</s>{% else %}{{m.content}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>{% endif %}",
    "OLMo 2": "<s>" + TURNS + "<|{{m.role}}|>\n{{m.content}}{% if m.role == 'assistant' %}</s>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "Vicuna": TURNS + "{% if m.role == 'user' %}USER: {{m.content}} {% elif m.role == 'assistant' %}"
    "ASSISTANT: {{m.content}}</s>{% else %}{{m.content}} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}",
    "Gemma": "<s>" + TURNS + "<start_of_turn>{{m.role}}\n{{m.content | trim}}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
}


def bytewise(template):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", bos_token="<s>")
    special = ["<|im_start|>", "<|im_end|>", "<|User|>", "<|Assistant|>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_text_in_the_models_own_template_is_the_same_tokens_as_its_messages(name):
    tokenizer = bytewise(TEMPLATES[name])
    for roles in (["user"], ["system", "user"], ["user", "assistant", "user"]):
        chat = [{"role": role, "content": f"{role} says: return n times 2.\n\nSOLUTION:"} for role in roles]
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False, enable_thinking=False)
        assert encode_text(tokenizer, text) == encode_messages(tokenizer, chat)
        assert encode_text(tokenizer, text + "\n")  # as files have them
        foreign = [f"{text.rstrip()} Sure", "return n times 2.", "USER: x BOT:", ""]
        foreign += [text.removeprefix("<s>")] if text.startswith("<s>") else []
        for other in foreign:
            with pytest.raises(ProblemError, match=r"not in the model's chat template, which ends in .*give a list of"):
                encode_text(tokenizer, other)


def test_a_template_that_puts_nothing_behind_the_question_knows_no_text():
    with pytest.raises(ProblemError, match="not in the model's chat template; give a list of messages"):
        encode_text(bytewise("{{ messages[-1].content }}"), "return n times 2.")


def test_a_text_with_thinking_switched_on_is_in_the_template_too():
    tokenizer = bytewise(TEMPLATES["Qwen3"])
    chat = [{"role": "user", "content": "x"}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert encode_text(tokenizer, text) == encode_messages(tokenizer, chat)[: len(encode_text(tokenizer, text))]
