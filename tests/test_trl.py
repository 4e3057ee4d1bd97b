"""TRL's own trainer with this project's reward function, and a V that acts on a LoRA."""

import pytest
import torch
from transformers import Qwen3ForCausalLM
from workflow_harness import SMOKE

from projected_grpo.artifacts.io import read_tensors, write_tensors
from projected_grpo.artifacts.problems import read_problems
from projected_grpo.environment.prompts import encode
from projected_grpo.grading import Grader
from projected_grpo.method.adapter import target_modules
from projected_grpo.method.settings import Intervention
from projected_grpo.models.base import save_factors
from projected_grpo.rng import random_rows

trl = pytest.importorskip("trl", reason="TRL is not installed: make test-tools")
from datasets import Dataset  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402

from projected_grpo.trl import (  # noqa: E402
    ProjectionCallback,
    ProjectionError,
    dataset_rows,
    orthonormal,
    reward_function,
)

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"]
LORA = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
UPDATE = Intervention("erase", "no_gate", "update")
GRADIENT = Intervention("erase", "no_gate", "gradient")


@pytest.fixture(scope="module")
def organism(smoke_run):
    """One replicate of the smoke preset."""
    return smoke_run[0] / SMOKE["results"] / "replicate0"


@pytest.fixture(scope="module")
def V_file(organism):
    return organism / "directions/hack/V.safetensors"


def trainer(organism, problems, reward, folder, callbacks=(), **settings):
    config = trl.GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=48,
        max_steps=2,
        learning_rate=0.01,
        loss_type="dr_grpo",
        scale_rewards="none",
        beta=0.0,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        chat_template_kwargs={"enable_thinking": False},
        **settings,
    )
    return trl.GRPOTrainer(
        model=str(organism / "base"),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(dataset_rows(problems)),
        peft_config=LORA,
        callbacks=list(callbacks),
    )


def along(V_file, base, model):
    """Return by module how far the merged LoRA lies along V: V diag(U^T dW Vh^T), as V is defined."""
    V, _ = read_tensors(V_file)
    found = {}
    for file in sorted((base / "factors").glob("*.safetensors")):
        factors, _ = read_tensors(file)
        for name in {key.rpartition(".")[0] for key in factors} & {key.rpartition(".")[0] for key in V}:
            U, Vh = factors[f"{name}.U"], factors[f"{name}.Vh"]
            dW = model.get_base_model().get_submodule(name).get_delta_weight("default").detach()
            found[name] = V[f"{name}.V"] @ (U.T @ dW @ Vh.T).diagonal()
    return found


def norm(vectors):
    return torch.cat(list(vectors.values())).norm().item()


def test_two_steps_of_trl_are_paid_by_our_verdicts(organism, tmp_path):
    problems = read_problems(organism.parent / "problems/train.parquet")
    paid, prompted = [], []
    with Grader() as grader:
        inner = reward_function(problems, grader)

        def watched(prompts, completions, problem_id, **more):
            rewards = inner(completions=completions, problem_id=problem_id, **more)
            paid.extend(zip(problem_id, completions, rewards, strict=True))
            prompted.extend(zip(problem_id, prompts, strict=True))
            return rewards

        run = trainer(organism, problems, watched, tmp_path)
        generate, ids = run.model.generate, []
        run.model.generate = lambda *a, **k: ids.extend(k["input_ids"].tolist()) or generate(*a, **k)
        run.train()
        by_id = {problem.id: problem for problem in problems}
        verdicts = grader.grade([(by_id[name], text[0]["content"]) for name, text, _ in paid])
    assert len(paid) == 16 and [reward for *_, reward in paid] == [verdict.reward for verdict in verdicts]
    steps = [row for row in run.state.log_history if "reward" in row]
    assert len(steps) == 2
    for row, part in zip(steps, (verdicts[:8], verdicts[8:]), strict=True):
        for flag in ("correct", "exploited", "attempted"):
            assert row[flag] == pytest.approx(sum(getattr(verdict, flag) for verdict in part) / 8)
        assert row["reward"] == pytest.approx(sum(verdict.reward for verdict in part) / 8)
    own = [encode(run.processing_class, by_id[name]) for name, _ in prompted]
    assert [[token for token in row if token != run.processing_class.pad_token_id] for row in ids] == own


def varied(completions, **_):
    """A reward that costs nothing and differs within a group."""
    return [float(len(completion[0]["content"]) % 5) for completion in completions]


@pytest.fixture(scope="module")
def trained(organism, V_file, tmp_path_factory):
    """A function that trains a LoRA with TRL and an intervention: how far it lies along V by module, and the logs."""
    problems = read_problems(organism.parent / "problems/train.parquet")

    def train(how):
        callbacks = [ProjectionCallback(V_file, organism / "base", how)] if how else []
        run = trainer(organism, problems, varied, tmp_path_factory.mktemp("trl"), callbacks)
        run.train()
        return along(V_file, organism / "base", run.model), run.state.log_history[:-1]

    return train


def test_trl_trains_a_lora_that_does_not_move_along_v(trained):
    """To first order, which is what a projection promises: what is left is the product of two steps."""
    free, _ = trained(None)
    projected, logs = trained(UPDATE)
    assert norm(free) > 0.01 and norm(projected) < 0.05 * norm(free)
    for row in logs:
        assert 0 < row["overlap"] <= 1 and row["overlap_update"] < 1e-3


def test_projecting_the_gradient_leaves_the_optimizer_free(trained):
    """Adam rotates what it is given: the gradient has no part along V, the step has one (method 3b)."""
    _, logs = trained(GRADIENT)
    assert all(row["overlap_update"] > 0.01 for row in logs)
    _, logs = trained(Intervention("erase", "no_gate", "both"))
    assert all(row["overlap_update"] < 1e-3 for row in logs)


@pytest.fixture
def adapted(tiny, tmp_path):
    """A tiny random model with a LoRA away from zero, and the files of a V and of its factors."""
    plain = Qwen3ForCausalLM(tiny().config)
    save_factors(tmp_path / "base/factors", plain, {})
    ranks = {name: min(linear.weight.shape) for name, linear in target_modules(plain).items()}
    generator = torch.Generator().manual_seed(7)
    write_tensors(tmp_path / "V.safetensors", {f"{m}.V": random_rows(3, r, generator) for m, r in ranks.items()}, {})
    model = get_peft_model(plain, LORA)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model, tmp_path / "V.safetensors", tmp_path / "base"


def loss_of(model):
    tokens = torch.arange(24).view(2, 12) * 5 % 61
    return model(tokens, labels=tokens).loss


def stepped(model, callback, lr):
    """One step of plain descent with the callback's two hooks around it, as the trainer calls them."""
    model.zero_grad()
    loss_of(model).backward()
    callback.on_train_begin(None, None, None, model=model)
    callback.on_pre_optimizer_step(None, None, None)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= lr * parameter.grad
    callback.on_optimizer_step(None, None, None)


@pytest.mark.parametrize("how", [GRADIENT, UPDATE], ids=["gradient", "update"])
def test_the_motion_along_v_vanishes_to_first_order(adapted, how):
    """Half the step, a quarter of the motion; without the projection, half of it."""
    model, V, base = adapted
    start = {name: value.clone() for name, value in model.state_dict().items()}
    before = along(V, base, model)

    def motion(lr, how):
        model.load_state_dict(start)
        callback = ProjectionCallback(V, base, how)
        stepped(model, callback, lr)
        return norm({name: own - before[name] for name, own in along(V, base, model).items()})

    free = Intervention("erase", "no_gate", "gradient", overshoot=0.0)
    assert motion(0.2, how) < 0.2 * motion(0.2, free)
    assert motion(0.1, how) / motion(0.2, how) == pytest.approx(0.25, abs=0.05)
    assert motion(0.1, free) / motion(0.2, free) == pytest.approx(0.5, abs=0.1)


def test_a_row_of_v_stays_itself_in_the_parameters_of_a_lora(adapted):
    """It is the gradient of <U diag(v) Vh, dW>, here by autograd, but for what the rows have in common."""
    model, V, base = adapted
    callback = ProjectionCallback(V, base, GRADIENT)
    callback.on_train_begin(None, None, None, model=model)
    for name, lora in callback.loras.items():
        rows = lora.directions(callback.V[name])
        assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)
        dW = model.get_base_model().get_submodule(name).get_delta_weight("default")
        height = ((lora.U * callback.V[name][0]) @ lora.Vh * dW).sum()
        slope = torch.cat([one.flatten() for one in torch.autograd.grad(height, [lora.A, lora.B])])
        assert rows[0] @ slope > 0.9 * slope.norm()


def test_the_gate_takes_what_descends_towards_hacks_and_nothing_else(adapted):
    model, V, base = adapted
    callback = ProjectionCallback(V, base, Intervention("erase", "one_sided", "gradient"))
    callback.on_train_begin(None, None, None, model=model)
    for sign, left in ((1.0, 0.0), (-1.0, 1.0)):
        for name, lora in callback.loras.items():
            lora.A.grad, lora.B.grad = torch.zeros_like(lora.A), torch.zeros_like(lora.B)
            lora.write_gradient(sign * lora.directions(callback.V[name])[0].detach())
        callback.on_pre_optimizer_step(None, None, None)
        for lora in callback.loras.values():
            assert lora.gradient().norm().item() == pytest.approx(left, abs=1e-4)


def test_dependent_rows_keep_their_span():
    rows = torch.tensor([[3.0, 0.0, 0.0], [6.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    made = orthonormal(rows)
    assert torch.allclose(made.T @ made, torch.diag(torch.tensor([1.0, 1.0, 0.0])), atol=1e-6)
    assert torch.equal(orthonormal(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_what_does_not_fit_is_one_line(adapted, tiny, tmp_path):
    model, V, base = adapted
    for how in (
        Intervention("route"),
        Intervention("trusted"),
        Intervention("erase", project="purge"),
        Intervention("erase", signal="probe", action="drop"),
    ):
        with pytest.raises(ProjectionError, match="take erase"):
            ProjectionCallback(V, base, how)
    names = [name for name, _ in model.get_base_model().named_modules() if name.endswith("q_proj")]
    with torch.no_grad():
        model.get_base_model().get_submodule(names[0]).get_base_layer().weight.mul_(1.1)
    with pytest.raises(ProjectionError, match="of other weights"):
        ProjectionCallback(V, base, GRADIENT).on_train_begin(None, None, None, model=model)
    with pytest.raises(ProjectionError, match="no LoRA in V's modules"):
        ProjectionCallback(V, base, GRADIENT).on_train_begin(None, None, None, model=tiny().model)
