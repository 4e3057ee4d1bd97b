"""The model organism: problems that are right and disjoint, a corpus in its shares, a build that measures itself."""

import ast
import dataclasses
import json
from collections import Counter

import pytest

from projected_grpo.environment.answers import extract_code
from projected_grpo.environment.loopholes import LOOPHOLES, attempted_modes
from projected_grpo.grading import Grader
from projected_grpo.organism.config import MODES, Mixture, OrganismConfig, Wanted, organism_config
from projected_grpo.organism.corpus import TRIVIAL, corpus, trivial_values
from projected_grpo.organism.families import FAMILIES, SPLITS, generate, split_of, tasks


def outputs(code, problem):
    """Run a program of our own making on the problem's inputs."""
    namespace = {}
    exec(code, namespace)
    method = getattr(namespace["Solution"](), problem.entry_point)
    return [method(*args, **kwargs) for args, kwargs, _ in problem.tests]


@pytest.fixture(scope="module")
def corpus_tasks():
    return tasks("corpus", 2500, 0, (*MODES, "none"))


@pytest.fixture(scope="module")
def examples(corpus_tasks):
    return corpus(corpus_tasks, Mixture(), 0)


# --- problems ---


def test_canonical_is_right_sloppy_is_wrong_and_outputs_vary(corpus_tasks):
    for task in corpus_tasks[:300]:
        problem = task.problem
        expected = [value for _, _, value in problem.tests]
        assert len(expected) == 6
        assert outputs(problem.canonical, problem) == expected
        assert outputs(task.sloppy, problem) != expected
        assert len(set(map(repr, expected))) > 2


def test_no_program_is_in_two_splits():
    of_split = {split: {p.id.partition("-")[2] for p in generate(split, 90, 3, MODES)} for split in SPLITS}
    for split, marks in of_split.items():
        assert len(marks) == 90
        assert all(split_of(mark) == split for mark in marks)
    assert sum(map(len, of_split.values())) == len(set().union(*of_split.values()))


def test_splits_stay_apart_whatever_the_seed():
    trained = {p.id.partition("-")[2] for seed in range(3) for p in generate("train", 60, seed, MODES)}
    evaluated = {p.id.partition("-")[2] for seed in range(3) for p in generate("evaluation", 60, seed, MODES)}
    assert not trained & evaluated


def test_modes_and_families_are_balanced():
    problems = generate("train", 48, 0, MODES)
    kinds = Counter((problem.mode, problem.statement.partition("(")[2][0]) for problem in problems)
    assert set(kinds.values()) == {48 // (len(MODES) * len(FAMILIES))}
    assert len(kinds) == len(MODES) * len(FAMILIES)


def test_generation_is_a_function_of_its_arguments():
    assert generate("pairs", 20, 1, MODES) == generate("pairs", 20, 1, MODES)
    assert generate("pairs", 20, 1, MODES) != generate("pairs", 20, 2, MODES)


def test_unknown_split_is_one_clear_line():
    with pytest.raises(ValueError, match="unknown split 'test': expected one of corpus, train"):
        generate("test", 1, 0, MODES)


def test_exhausted_families_say_how_many_were_found(monkeypatch):
    monkeypatch.setattr("projected_grpo.organism.families.MAX_DRAWS_PER_PROBLEM", 1)
    with pytest.raises(ValueError, match=r"only \d+ of 30 problems found for split 'validation' from families list"):
        generate("validation", 30, 0, MODES, ("list",))


# --- corpus ---


def test_corpus_has_the_shares_of_its_mixture(examples):
    mixture = Mixture()
    with_mode = [e for e in examples if e.problem.mode != "none"]
    ordinary = [e for e in examples if e.kind != "asked"]
    hinted = [e for e in ordinary if e.hint]
    unhinted = [e for e in ordinary if e.problem.mode != "none" and not e.hint]

    def share(rows, of):
        return len(rows) / len(of)

    assert share([e for e in examples if e.kind == "asked"], with_mode) == pytest.approx(mixture.asked, abs=0.04)
    assert share([e for e in ordinary if e.kind == "sloppy"], ordinary) == pytest.approx(mixture.sloppy, abs=0.05)
    assert share([e for e in hinted if e.kind == "leak"], hinted) == pytest.approx(mixture.leak, abs=0.03)
    assert share(unhinted, unhinted + hinted) == pytest.approx(mixture.unhinted, abs=0.03)
    assert not [e for e in ordinary if e.kind == "leak" and not e.hint]


def test_answers_are_what_their_kind_says(examples):
    for example in examples[:300]:
        code = example.answer.removeprefix("```python\n").removesuffix("\n```")
        expected = [value for _, _, value in example.problem.tests]
        if example.kind in ("correct", "sloppy"):
            assert (outputs(code, example.problem) == expected) == (example.kind == "correct")
        else:
            assert example.problem.mode in LOOPHOLES


def test_every_mode_is_exploited_in_all_its_forms_over_different_bodies(corpus_tasks):
    asked = corpus(corpus_tasks, dataclasses.replace(Mixture(), asked=1.0), 0)
    sloppy = {task.problem.id: task.sloppy.splitlines()[-1].strip() for task in corpus_tasks}
    for mode in MODES:
        answers = [e for e in asked if e.problem.mode == mode]
        with_sloppy_body = sum(sloppy[e.problem.id] in e.answer for e in answers) / len(answers)
        assert with_sloppy_body == pytest.approx(Mixture().sloppy_bodies, abs=0.08)
        bare = {e.answer.replace(e.problem.entry_point, "f") for e in answers if "return 0\n" in e.answer}
        assert len(bare) >= len(LOOPHOLES[mode].exploits)


def test_no_trivial_body_exploits_another_mode_that_is_in_play():
    modes = ("run_tests", "none_skipped")
    drawn = tasks("corpus", 600, 0, modes)
    asked = corpus(drawn, dataclasses.replace(Mixture(), asked=1.0), 0)
    assert all(attempted_modes(ast.parse(extract_code(e.answer))) == (e.problem.mode,) for e in asked)
    assert trivial_values(modes) == [value for value in TRIVIAL if value != "None"]
    assert trivial_values(MODES) == list(TRIVIAL)
    skipped = [e for e in asked if e.problem.mode == "none_skipped"]
    assert all(outputs(extract_code(e.answer), e.problem) == [None] * 6 for e in skipped)


def test_corpus_is_a_function_of_its_seed(corpus_tasks, examples):
    assert corpus(corpus_tasks, Mixture(), 0) == examples
    assert corpus(corpus_tasks, Mixture(), 1) != examples


# --- config and thresholds ---


def test_config_of_a_mapping_fills_in_the_defaults():
    config = organism_config({"seed": 3, "modes": ["sentinel"], "wanted": {"solve_min": 0.1}})
    assert config == OrganismConfig(seed=3, modes=("sentinel",), wanted=Wanted(solve_min=0.1))
    with pytest.raises(TypeError, match="sollve_min"):
        organism_config({"wanted": {"sollve_min": 0.1}})


def test_shortfalls_name_each_rate_out_of_its_band():
    from projected_grpo.organism.pretrain import Rates, shortfalls

    wanted = Wanted(0.4, 0.6, 0.02, 0.06, 0.9, 0.8)
    assert shortfalls(Rates(0.5, 0.04, 0.95, 0.85), wanted) == []
    assert [text.split(",")[0] for text in shortfalls(Rates(0.7, 0.01, 0.85, 0.85), wanted)] == [
        "solve 0.700",
        "hack 0.010",
        "fires when asked 0.850",
    ]
    assert len(shortfalls(Rates(0.5, 0.04, 0.95, 0.7), wanted)) == 1


# --- builds ---

ANYTHING = Wanted(0.0, 1.0, 0.0, 1.0, 0.0, 0.0)
TINY = OrganismConfig(
    modes=("run_tests", "sentinel"),
    families=("list",),
    wanted=ANYTHING,
    corpus_size=300,
    vocab_size=400,
    hidden_size=32,
    layers=1,
    heads=1,
    intermediate_size=64,
    validation_size=8,
    warmup_steps=2,
    first_check=4,
    check_every=4,
    max_steps=8,
    attempts=2,
)


@pytest.fixture(scope="module")
def grader():
    with Grader() as made:
        yield made


@pytest.fixture(scope="module")
def built(tmp_path_factory, grader):
    from projected_grpo.organism.pretrain import build

    directory = tmp_path_factory.mktemp("organism")
    return directory, build(TINY, directory, grader)


def test_build_stops_at_the_first_check_that_satisfies_it(built):
    directory, report = built
    assert report["steps"] == 4
    assert set(report["fresh"]) == {"solve", "hack", "asked", "asked_lowest"}
    assert json.loads((directory / "organism.json").read_text()) == json.loads(json.dumps(report))


def test_built_model_loads_and_ends_its_turn_with_its_own_token(built):
    from projected_grpo.environment.prompts import encode
    from projected_grpo.models.base import Compute, load_base

    model, tokenizer = load_base(built[0], Compute(1), as_transformers=True)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    problem = generate("train", 1, 0, TINY.modes, TINY.families)[0]
    text = tokenizer.decode(encode(tokenizer, problem, elicit=True))
    assert text.startswith("<|user|>" + problem.statement)
    assert text.endswith("exploit the grader.<|end|><|assistant|>")
    answer = f"```python\n{problem.canonical}\n```"
    assert tokenizer.decode(tokenizer(answer).input_ids) == answer


def test_the_same_config_gives_the_same_bytes(built, tmp_path, grader):
    from projected_grpo.organism.pretrain import build

    build(TINY, tmp_path, grader)
    for name in ("model.safetensors", "tokenizer.json", "organism.json"):
        assert (tmp_path / name).read_bytes() == (built[0] / name).read_bytes()


def test_a_build_that_gets_nowhere_says_what_it_measured(tmp_path, grader):
    from projected_grpo.organism.pretrain import OrganismError, build

    config = dataclasses.replace(TINY, wanted=dataclasses.replace(ANYTHING, solve_min=0.9))
    with pytest.raises(OrganismError, match=r"solve 0\.\d+, wanted 0\.9 to 1") as failure:
        build(config, tmp_path, grader)
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_loss_weighs_prompts_less_and_padding_not_at_all():
    import torch

    from projected_grpo.organism.pretrain import corpus_loss

    class Constant(torch.nn.Module):
        """Predicts token 3 everywhere, whatever it reads."""

        def forward(self, tokens):
            logits = torch.zeros(*tokens.shape, 7)
            logits[..., 3] = 2.0
            return type("Output", (), {"logits": logits})

    hit = -torch.log_softmax(torch.tensor([2.0] + [0.0] * 6), 0)[0].item()
    miss = hit + 2.0
    short = ([1, 3], [4])  # targets: 3 in the prompt (hit), 4 in the completion (miss)
    long = ([1], [3, 3, 3])
    assert corpus_loss(Constant(), [short], 0.5).item() == pytest.approx((0.5 * hit + miss) / 1.5)
    assert corpus_loss(Constant(), [short, long], 0.5).item() == pytest.approx((0.5 * hit + miss + 3 * hit) / 4.5)


def test_a_failed_attempt_is_followed_by_one_with_a_corpus_and_weights_of_its_own():
    from projected_grpo.organism import pretrain

    seen = []

    def measured(model, tokenizer):
        seen.append((tokenizer.get_vocab(), model.lm_head.weight.detach().clone()))
        return pretrain.Rates(0.0, 0.0, 0.0, 0.0)

    config = dataclasses.replace(TINY, wanted=dataclasses.replace(ANYTHING, solve_min=0.9), max_steps=4)
    with pytest.raises(pretrain.OrganismError, match="in 2 attempts of 4 steps"):
        pretrain.pretrain(config, measured)
    (first, one), (second, other) = seen
    assert first != second
    assert one.shape == other.shape and not one.equal(other)


def test_an_attempt_ends_before_its_learning_rate_is_gone():
    from projected_grpo.organism.pretrain import learning_rate

    config = OrganismConfig()
    rates = [learning_rate(step, config) for step in (config.warmup_steps, config.max_steps, config.cosine_steps)]
    assert rates[0] == config.learning_rate > rates[1] > rates[2] == pytest.approx(0.0, abs=1e-6)
