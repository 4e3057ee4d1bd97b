"""The config: every complaint is one line, and the presets have none."""

import copy
from pathlib import Path

import pytest
import yaml

from projected_grpo.workflow.arms import model_spec, seeds_of, train_settings, training_spec
from projected_grpo.workflow.config import ConfigError, check
from projected_grpo.workflow.paths import check_python
from projected_grpo.workflow.twins import with_twins

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
WHOLE = with_twins(CONFIG)
FILES = {"train": "a.jsonl", "pairs": "a.jsonl", "evaluation": "https://example.org/test.jsonl"}


def broken(path, value):
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split("/")
    place = config
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tables/table1", ["vanila"], "config: tables.table1: unknown 'vanila', did you mean 'vanilla'?"),
        ("modes", ["run_test"], "config: modes: unknown 'run_test', did you mean 'run_tests'?"),
        ("train/stesp", 3, "config: train: unknown 'stesp', did you mean 'steps'?"),
        ("relicates", [1], "config: unknown 'relicates', did you mean 'replicates'?"),
        ("replicates", ["one"], "config: replicates.0: 'one' is not of type 'integer'"),
        ("replicates", [], "config: replicates: [] should be non-empty"),
        (
            "model/max_steps",
            2000,
            "config: model.max_steps: more than model.cosine_steps, after which the rate would rise",
        ),
        ("crossed", {"4": {"seed": 2}}, "config: crossed: 4 is not one of replicates [1, 2, 3]"),
        ("crossed", {"01": {"seed": 2}}, "config: crossed: 01 is not one of replicates [1, 2, 3]"),
        ("crossed", {"1": {"sed": 2}}, "config: crossed.1: unknown 'sed', did you mean 'seed'?"),
        ("train/steps", None, "config: train: 'steps' is a required property"),
        ("arms/erase/intervention", "earse", "config: arms.erase.intervention: unknown 'earse', did you mean 'erase'?"),
        ("arms/erase/direction", "hakc", "config: arms.erase.direction: unknown 'hakc', did you mean 'hack'?"),
        ("arms/erase/direction", None, "config: arms.erase: intervention erase needs a direction"),
        ("arms/route/project", "update", "config: arms.route: route takes project: gradient only"),
        ("arms/no_loophole/mix", 0.5, "config: arms.no_loophole: training without loopholes takes no teacher"),
        ("arms/erase/baseline", "vanila", "config: arms.erase.baseline: unknown 'vanila', did you mean 'vanilla'?"),
        (
            "arms/erase_random/refresh_every",
            4,
            "config: arms.erase_random: refresh_every re-extracts the hack direction",
        ),
        ("directions/random/like", "hac", "config: directions.random.like: unknown 'hac', did you mean 'hack'?"),
        ("directions/random/like", None, "config: directions.random: a random direction needs `like`"),
        ("directions/random/like", "shuffled", "config: directions.random.like: 'shuffled' is a control"),
        ("directions/random/k", 4, "config: directions.random: remove k; a control takes all but its kind from `like`"),
        ("directions/hack/like", "hack", "config: directions.hack: remove like"),
        ("arms/probe_drop/action", None, "config: arms.probe_drop: signal and action need each other"),
        ("arms/probe_drop/signal", None, "config: arms.probe_drop: signal and action need each other"),
        ("arms/probe_drop/signal", "prob", "config: arms.probe_drop.signal: unknown 'prob', did you mean 'probe'?"),
        ("arms/probe_drop/action", "dorp", "config: arms.probe_drop.action: unknown 'dorp', did you mean 'drop'?"),
        (
            "arms/probe_drop/action",
            "no_such_module:soften",
            "config: arms.probe_drop.action: no_such_module:soften: no such module; put its folder on PYTHONPATH",
        ),
        ("arms/probe_drop/strength", 2, "config: arms.probe_drop: strength is for action penalise only"),
        ("arms/probe_drop/alpha", 2, "config: arms.probe_drop: alpha is for action discount only"),
        ("arms/probe_penalise/alpha", 2, "config: arms.probe_penalise: alpha is for action discount only"),
        ("arms/probe_penalise/strength", None, "config: arms.probe_penalise: action penalise needs strength"),
        ("arms/probe_penalise/strength", 0, "config: arms.probe_penalise.strength: 0 is less than or equal to the min"),
        ("arms/activation_discount/alpha", None, "config: arms.activation_discount: action discount needs alpha"),
        (
            "arms/activation_discount/signal",
            "detector",
            "config: arms.activation_discount: discount needs a score that is a z-score or log-odds, as of activation"
            " and probe; detector has none",
        ),
        ("arms/route_rollout/quarantine_rank", None, "config: arms.route_rollout: action route needs quarantine_rank"),
        ("arms/screen_rollout/quarantine_rank", 4, "config: arms.screen_rollout: quarantine_rank is for action route"),
        ("arms/screen_rollout/ablated", 0.25, "config: arms.screen_rollout: ablated is for arms that route"),
        (
            "arms/route_rollout/intervention",
            "route",
            "config: arms.route_rollout: intervention route and action route have two uses for one quarantine",
        ),
        ("arms/route_rollout/gradreg", 0.1, "config: arms.route_rollout: gradreg is not for arms that route"),
        ("arms/erase/twin", True, "config: arms.erase: twin: only a signal, gradreg and warmstart have one that is"),
        ("arms/probe_drop_twin", {"mix": 0.25}, "config: arms.probe_drop: twin: probe_drop_twin is already an arm"),
        ("arms/trusted/direction", "hack", "config: arms.trusted: trusted needs a direction of kind clean"),
        (
            "arms/recontext/update_prompt",
            "aksed",
            "config: arms.recontext.update_prompt: unknown 'aksed', did you mean",
        ),
        ("arms/kl_01/kl_coef", -1, "config: arms.kl_01.kl_coef: -1 is less than the minimum of 0"),
        ("arms/kl_01/group_size", 2, "config: arms.kl_01: mix 0.25 makes 0 of 2 rollouts the teacher's; 1 to 1"),
        (
            "arms/kl_01/checkpoint_every",
            5,
            "config: arms.kl_01: checkpoint_every: 5 does not divide 12, its steps from evaluation to evaluation",
        ),
        (
            "arms/vanilla/checkpoint_every",
            6,
            "config: arms.vanilla: checkpoint_every: 6 does not divide 3, its steps from evaluation to evaluation",
        ),
        ("arms/vanilla_alone/checkpoint_every", 2, "config: arms.vanilla_alone: checkpoint_every: 2 does not divide 3"),
        ("arms/kl_01/prompts_per_step", 999, "config: arms.kl_01: prompts_per_step is larger than problems.train"),
        (
            "arms/screen_rollout/temperature",
            0.6,
            "config: arms.screen_rollout: temperature: an intervention has train's own",
        ),
        ("signals/probe/kind", "prob", "config: signals.probe.kind: unknown 'prob', did you mean 'probe'?"),
        ("signals/probe/kind", "os:system", "config: signals.probe.kind: os:system: no such module; put its folder on"),
        ("signals/probe/kind", "nowhere:f", "config: signals.probe.kind: nowhere:f: no such module; put its folder on"),
        ("signals/probe/subset", "without_x", "config: signals.probe.subset: unknown 'without_x'"),
        ("signals/probe/accuracy", 0.9, "config: signals.probe: accuracy is not for kind probe, which is told nothing"),
        (
            "signals/probe",
            {"kind": "json:loads", "accuracy": 0.9},
            "config: signals.probe: accuracy is not for kind json:loads, which is told nothing",
        ),
        (
            "signals/probe",
            {"kind": "json:loads", "share": 0.9},
            "config: signals.probe: share is not for kind json:loads, which is told nothing",
        ),
        ("signals/probe/pairs", 49, "config: tables.table1: probe_drop: signal probe has pairs: 49, but pairs.n is 48"),
        (
            "signals/probe",
            {"kind": "json:loads", "pairs": 49},
            "config: tables.table1: probe_drop: signal probe has pairs: 49, but pairs.n is 48",
        ),
        (
            "pairs/heldout",
            0,
            "config: tables.table1: route_rollout: signal overlap has its threshold from held-out pairs, and pairs.h",
        ),
        (
            "signals/probe/direction",
            "hack",
            "config: signals.probe: direction: the V of kind overlap, needed there and",
        ),
        ("signals/truth/fpr", 0.05, "config: signals.truth: fpr is not for kind truth, whose threshold is no quantile"),
        ("signals/overlap/direction", None, "config: signals.overlap: direction: the V of kind overlap, needed there"),
        ("signals/overlap/direction", "random", "config: signals.overlap.direction: unknown 'random'"),
        ("signals/overlap/subset", "all", "config: signals.overlap: subset is not for kind overlap, which has its"),
        (
            "arms/probe_drop/twin",
            None,
            "config: tables.table1: probe_drop is there without its twin: twin: true, or the same arm with a random V",
        ),
        (
            "arms/erase/temperature",
            0.6,
            "config: arms.erase: temperature: an intervention has train's own",
        ),
        (
            "arms/erase/ablated",
            0.25,
            "config: arms.erase: ablated is for arms that route, by intervention or by action",
        ),
        ("arms/vanilla/measures", ["randm"], "config: arms.vanilla.measures: unknown 'randm', did you mean 'random'?"),
        ("tables/table1", ["base"], "config: tables.table1: it needs an arm that is trained"),
        ("pairs/body", "matched", "config: pairs: unknown 'body'"),
        ("directions/hack/body", "match", "config: directions.hack.body: unknown 'match', did you mean 'matched'?"),
        ("directions/hack/min_votes", 1.5, "config: directions.hack.min_votes: 1.5 is greater than the maximum of 1"),
        ("arms/erase/k", 64, "config: arms.erase: k is 64, but direction hack has 16 rows per module"),
        ("arms/erase/mix", 0.05, "config: arms.erase: mix 0.05 makes 0 of 8 rollouts the teacher's; 1 to 7"),
        ("arms/erase/mix", 1.0, "config: arms.erase: mix 1.0 makes 8 of 8 rollouts the teacher's; 1 to 7"),
        (
            "tables/table1",
            ["base", "vanilla", "vanilla_slow", "erase"],
            "config: tables.table1: erase is there without its twin: twin: true, or the same arm with a random V",
        ),
        (
            "tables/table1",
            ["base", "vanilla", "vanilla_alone", "vanilla_slow_alone", "erase", "erase_random"],
            "config: tables.table1: erase is there without a slow control, its baseline vanilla with a lower lr_scale",
        ),
        (
            "tables/horizon",
            ["vanilla_long", "base"],
            "config: tables.horizon: it must begin with the base model, an arm with steps: 0",
        ),
        (
            "tables/table1",
            ["base", "vanilla_alone", "no_loophole", "no_loophole_long"],
            "config: tables.table1: no_loophole and no_loophole_long are two honest ceilings, and it takes one",
        ),
        (
            "arms/erase/slow",
            "vanilla_slo",
            "config: arms.erase.slow: unknown 'vanilla_slo', did you mean 'vanilla_slow'?",
        ),
        (
            "arms/erase/slow",
            "vanilla_cold",
            "config: arms.erase.slow: vanilla_cold is not vanilla with another lr_scale alone (null: none)",
        ),
        (
            "arms/erase/slow",
            "vanilla_slow_alone",
            "config: arms.erase.slow: vanilla_slow_alone is not vanilla with another lr_scale alone (null",
        ),
        (
            "problems/kind",
            "leetcode",
            "config: problems.files: kind leetcode needs a file for train,",
        ),
        ("problems/files", {"train": "rows.jsonl"}, "config: problems.files: for kind leetcode only"),
        (
            "problems",
            {**CONFIG["problems"], "kind": "leetcode", "files": FILES},
            "config: problems.sha256: say what test.jsonl has, or null where it is unknown",
        ),
        (
            "problems",
            {**CONFIG["problems"], "kind": "leetcode", "files": FILES, "sha256": {"tset.jsonl": None}},
            "config: problems.sha256: say what test.jsonl has",
        ),
        (
            "problems",
            {**CONFIG["problems"], "kind": "leetcode", "files": FILES, "sha256": {"test.jsonl": "5b"}},
            "config",
        ),
        (
            "problems",
            {
                **CONFIG["problems"],
                "kind": "leetcode",
                "files": {"train": "https://x/a/d.jsonl", "pairs": "p.jsonl", "evaluation": "https://x/b/d.jsonl"},
                "sha256": {"d.jsonl": None},
            },
            "config: problems.files: two URLs end in the same name",
        ),
        (
            "teacher/revision",
            "1cfa9a7",
            "config: teacher.revision: for kind checkpoint only; take null for kind elic",
        ),
        ("model/revision", "1cfa9a7", "config: model.revision: for kind hf only; take null for kind organism"),
        ("problems/sha256", {"test.jsonl": None}, "config: problems.sha256: for kind leetcode only"),
        ("problems/exclude", ["two-sum"], "config: problems.exclude: for kind leetcode only"),
        ("teacher/kind", "import", "config: teacher.id: a model or a file, needed for kinds checkpoint and import"),
        (
            "teacher",
            {**CONFIG["teacher"], "kind": "checkpoint", "id": "someone/adapter"},
            "config: teacher.revision: someone/adapter is no directory, and a hub id needs the commit it was tried at",
        ),
        ("pairs/kind", "authored", "config: pairs.path: a file of pairs, needed for kind authored and only there"),
        ("pairs/mode", "sentinle", "config: pairs.mode: unknown 'sentinle', did you mean 'sentinel'?"),
        ("teacher/ordinary", 0, "config: teacher.ordinary: pairs of kind pool need ordinary rollouts"),
        ("resources", {"trian": {"gpu": 1}}, "config: resources: unknown 'trian', did you mean 'train'?"),
        ("model", {**CONFIG["model"], "kind": "gguf", "id": "x.gguf"}, "config: model.id: x.gguf is no file"),
        ("model/device", "gpu", "config: model.device: 'gpu' does not match"),
        ("portable", "yes", "config: portable: 'yes' is not of type 'boolean'"),
        ("grading/sandbox", "none", "config: grading.sandbox: unknown 'none'; known: bwrap+seccomp, landlock+seccomp"),
        ("problems/train", 4, "config: train.prompts_per_step is larger than problems.train"),
        ("directions/hack/subset", "without_sentinle", "config: directions.hack.subset: unknown 'without_sentinle'"),
        ("evaluation/subset_samples", 1, "config: evaluation.subset_samples: 2 at least, because (b) chooses on"),
        ("evaluation/subset", 1, "config: evaluation.subset: 1 is less than the minimum of 2"),
        ("problems/evaluation", 1, "config: problems.evaluation: 1 is less than the minimum of 2"),
        ("evaluation/test_functions", ["class"], "config: evaluation.test_functions: 'class': the name of a function"),
        ("evaluation/test_functions", ["f\n"], r"config: evaluation.test_functions: 'f\n': the name of a function"),
        ("evaluation/test_functions", ["run_tests"], "config: evaluation.test_functions: 'run_tests': the name of a"),
        ("evaluation/every", 10, "config: evaluation.every: 10 is no multiple of evaluation.stops_every (3)"),
        ("evaluation/stops_every", 4, "config: evaluation.stops_every: 4 is no multiple of train.checkpoint_every (3)"),
        ("tables/table1", ["base", "vanilla", "vanilla"], "config: tables.table1: 'vanilla' is there twice"),
        ("replicates", [1, 2, 1], "config: replicates: 1 is there twice"),
        (
            "tables/table1",
            ["base", "vanilla_slow"],
            "config: tables.table1: vanilla_slow is there without its baseline vanilla: add it",
        ),
        (
            "arms/vanilla_slow/steps",
            36,
            "config: tables.table1: vanilla_slow is trained for 36 steps, and vanilla for 72; a table compares runs",
        ),
        ("model/wanted/solve_min", 0.6, "config: model.wanted.solve_min: 0.6 is above solve_max (0.5)"),
        ("model/wanted/hack_min", 0.09, "config: model.wanted.hack_min: 0.09 is above hack_max (0.08)"),
        ("model/first_check", 1001, "config: model.first_check: after model.max_steps"),
        ("pairs/n", 12, "config: tables.table1: vanilla: direction hack has k: 16, but pairs.n is 12"),
        ("problems/pairs", 71, "config: pairs.n: n + heldout is 72, a problem each, but problems.pairs is 71"),
        ("train/steps", 72.0, "config: train.steps: 72.0 is no integer; write 72"),
        ("train/steps", 72.5, "config: train.steps: 72.5 is no integer"),
        ("replicates", [1, 2.0], "config: replicates.1: 2.0 is no integer; write 2"),
        ("arms/erase/k", 8.0, "config: arms.erase.k: 8.0 is no integer; write 8"),
        ("train/lr", float("nan"), "config: train.lr: nan is no finite number"),
        ("train/max_grad_norm", float("inf"), "config: train.max_grad_norm: inf is no finite number"),
        ("train/betas", [0.9, float("-inf")], "config: train.betas.1: -inf is no finite number"),
        ("arms/erase/mix", float("nan"), "config: arms.erase.mix: nan is no finite number"),
        ("train/lr", "1e-3", "config: train.lr: '1e-3' is a text to YAML; write 0.001 or 1.0e-3"),
        ("train/lr", "2.5e3", "config: train.lr: '2.5e3' is a text to YAML; write 2500 or 2.5e+3"),
        ("train/betas", ["9e-1", 0.99], "config: train.betas.0: '9e-1' is a text to YAML; write 0.9 or 9.0e-1"),
        ("train/steps", "1e3", "config: train.steps: '1e3' is a text to YAML; write 1000"),
        ("arms/a.b", {"intervention": "none"}, "config: arms: 'a.b' is no name: up to 100 letters, digits, _ and -"),
        ("arms/a b", {"intervention": "none"}, "config: arms: 'a b' is no name"),
        ("arms/_a", {"intervention": "none"}, "config: arms: '_a' is no name"),
        ("arms/a|b", {"intervention": "none"}, "config: arms: 'a|b' is no name"),
        ("arms/a{b}", {"intervention": "none"}, "config: arms: 'a{b}' is no name"),
        ("arms/a\n", {"intervention": "none"}, "config: arms: 'a\\n' is no name"),
        ("arms/" + "a" * 101, {"intervention": "none"}, f"config: arms: '{'a' * 101}' is no name"),
        ("arms", {**CONFIG["arms"], 8: {"intervention": "none"}}, "config: arms: 8 is no name"),
        ("arms", {**CONFIG["arms"], "a/b": {"intervention": "none"}}, "config: arms: 'a/b' is no name"),
        ("directions/h.k", {"kind": "hack"}, "config: directions: 'h.k' is no name"),
        ("directions", {**CONFIG["directions"], True: {"kind": "hack"}}, "config: directions: True is no name"),
        ("signals/a.b", {"kind": "probe"}, "config: signals: 'a.b' is no name: up to 100 letters, digits, _ and -, a"),
        ("signals", {**CONFIG["signals"], "a/b": {"kind": "probe"}}, "config: signals: 'a/b' is no name"),
        (
            "signals/probe_twin",
            {"kind": "probe"},
            "config: signals.probe_twin: a name that ends in _twin is the twin's",
        ),
        (
            "directions/probe_twin",
            {"kind": "hack"},
            "config: directions.probe_twin: a name that ends in _twin is the twin's of a signal; take another name",
        ),
        ("signals/hack", {"kind": "probe"}, "config: signals.hack: a direction has this name too, and detectors.csv"),
        (
            "signals/probe_without_sentinel",
            {"kind": "probe"},
            "config: signals.probe_without_sentinel: a fold of tables 2 and 3 has this name",
        ),
        (
            "arms/erase_without_sentinel",
            {"intervention": "none"},
            "config: arms.erase_without_sentinel: a fold of tables 2 and 3 has this name",
        ),
        (
            "directions/hack_without_sentinel",
            {"kind": "hack"},
            "config: directions.hack_without_sentinel: a fold of tables 2 and 3 has this name",
        ),
        ("results", "results/", "config: results: write 'results/' as 'results'"),
        ("results", "./results", "config: results: write './results' as 'results'"),
        ("results", "a//b", "config: results: write 'a//b' as 'a/b'"),
        ("results", ".", "config: results: write '.' as 'results'"),
        ("results", "~/results", "config: results: ~/results: ~ is the shell's"),
        ("results", "a{b}", "config: results: 'a{b}': a directory without '{' in its name"),
        ("results", "s3://bucket", "config: results: write 's3://bucket' as"),
        ("results", "a:b", "config: results: 'a:b': a directory without ':' in its name"),
        ("results", "README.md", "config: results: README.md is there and is no directory"),
        ("results", "README.md/runs", "config: results: README.md is there and is no directory"),
        ("results", "r" * 256, "config: results: rrrr"),
        ("results", " runs", "config: results: ' runs': no space around it"),
        ("results", "-runs", "config: results: '-runs': no space around it, please, and no - before it"),
        (
            "model/kind",
            "hf",
            "config: model.id: a hub id, directory or file, needed for",
        ),
        (
            "model/id",
            "Qwen/Qwen3-4B",
            "config: model.id: a hub id, directory or file, needed for",
        ),
        (
            "model",
            {**CONFIG["model"], "kind": "hf", "id": "Qwen/Qwen3-4B"},
            "config: model.revision: Qwen/Qwen3-4B is no directory, and a hub id needs the commit it was tried at",
        ),
    ],
)
def test_bad_configs_get_one_clear_line(path, value, message):
    with pytest.raises(ConfigError) as error:
        check(broken(path, value), SCHEMA)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_presets_are_valid_and_have_their_own_results(preset):
    from snakemake.utils import update_config

    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load((ROOT / "presets" / preset).read_text()))
    check(config, SCHEMA)
    assert (config["results"] == CONFIG["results"]) == (preset == "study.yaml")  # which has more of the same


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_a_list_of_arms_turns_table_3_of_a_preset_on(preset):
    from snakemake.utils import update_config

    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load((ROOT / "presets" / preset).read_text()))
    config["tables"]["table3"] = ["base", "vanilla", "vanilla_slow"]
    check(config, SCHEMA)


def with_files(section):
    """Return the config with files of its own in one section, all of which are there."""
    change = {
        "model": {"kind": "gguf", "id": "presets/simple/pairs.json"},
        "problems": {"kind": "leetcode", "files": dict.fromkeys(FILES, "presets/simple/train.jsonl")},
        "teacher": {"kind": "import", "id": "presets/simple/rollouts.jsonl"},
        "pairs": {"kind": "authored", "path": "presets/simple/pairs.json"},
    }
    config = {**broken("tables/table4", []), section: CONFIG[section] | change[section]}
    config["tables"]["table3"] = []
    return config


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("model", "id"),
        ("problems", "files.train"),
        ("problems", "files.evaluation"),
        ("teacher", "id"),
        ("pairs", "path"),
    ],
)
@pytest.mark.parametrize("path", ["presets/simple/typo.json", "presets/simple", "/nowhere/typo.json"])
def test_a_file_that_is_not_there_is_an_error_of_the_config(section, key, path):
    config = with_files(section)
    check(config, SCHEMA)
    place = config[section]
    *parents, last = key.split(".")
    for part in parents:
        place = place[part]
    place[last] = path
    where = "" if path.startswith("/") else f" in {Path.cwd()}"
    with pytest.raises(ConfigError) as error:
        check(config, SCHEMA)
    assert str(error.value) == f"config: {section}.{key}: {path} is no file{where}"


@pytest.mark.parametrize("section", ["model", "teacher"])
@pytest.mark.parametrize("path", ["./Qwen3-4B", "/models/Qwen3-4B", "models/Qwen/Qwen3-4B", "~/Qwen3-4B", "Qwen3-4B/"])
def test_a_directory_of_a_model_that_is_not_there_is_not_taken_for_an_id_of_the_hub(section, path):
    kind = {"model": "hf", "teacher": "checkpoint"}[section]
    config = {**CONFIG, section: CONFIG[section] | {"kind": kind, "id": path, "revision": "1cfa9a7"}}
    with pytest.raises(ConfigError, match=f"^config: {section}.id: {path} is no directory.*, and no id of a hub$"):
        check(config, SCHEMA)
    check({**config, section: config[section] | {"id": "Qwen/Qwen3-4B"}}, SCHEMA)
    check({**config, section: config[section] | {"id": "presets", "revision": None}}, SCHEMA)


def test_a_direction_that_is_measured_knows_what_the_arm_may_know():
    config = broken("arms/vanilla/measures", ["random_mean"])
    check(config, SCHEMA)
    config["directions"]["hack_mean"]["subset"] = "without_sentinel"
    with pytest.raises(ConfigError, match=r"^config: arms.vanilla.measures: random_mean knows another subset of the"):
        check(config, SCHEMA)


def test_matched_bodies_are_made_from_a_pool_and_not_from_authored_pairs():
    config = broken("pairs", {**CONFIG["pairs"], "kind": "authored", "path": "presets/simple/pairs.json"})
    config["tables"] |= {"table3": [], "table4": []}
    check(config, SCHEMA)  # that such arms exist does no harm
    config["tables"]["table1"] = ["base", "vanilla", "vanilla_slow", "erase_matched", "erase_matched_random"]
    with pytest.raises(ConfigError, match=r"^config: tables.table1: erase_matched: direction hack_matched has body:"):
        check(config, SCHEMA)


def test_a_direction_that_is_only_measured_has_to_be_made_too():
    config = broken("pairs", {**CONFIG["pairs"], "kind": "authored", "path": "presets/simple/pairs.json"})
    config["tables"] |= {"table3": [], "table4": []}
    config["arms"]["vanilla"]["measures"] = ["hack_matched"]
    with pytest.raises(ConfigError, match=r"^config: tables.table1: vanilla: direction hack_matched has body:"):
        check(config, SCHEMA)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"probe": {"kind": "probe", "body": "matched"}}, "probe_drop: signal probe has body: matched, which authored"),
        (
            {"overlap": {"kind": "overlap", "direction": "hack_matched"}},
            "route_rollout: signal overlap: direction hack_matched has body: matched, which authored pairs",
        ),
    ],
)
def test_nor_are_they_what_a_signal_is_fitted_to(changed, said):
    config = broken("pairs", {**CONFIG["pairs"], "kind": "authored", "path": "presets/simple/pairs.json"})
    config["tables"] = {"table1": CONFIG["tables"]["table1"]}
    check(config, SCHEMA)  # probe_matched exists, and no table has an arm of it
    config["signals"] |= changed
    with pytest.raises(ConfigError, match=f"^config: tables.table1: {said}"):
        check(config, SCHEMA)


def test_a_vote_needs_held_out_pairs():
    config = broken("pairs", {**CONFIG["pairs"], "heldout": 0})
    config["tables"] = {"table1": ["base", "vanilla", "vanilla_slow", "detector_drop"]}
    check(config, SCHEMA)
    config["directions"]["hack"]["min_votes"] = 0.6
    with pytest.raises(ConfigError, match=r"^config: tables.table1: vanilla: direction hack has min_votes, but pairs"):
        check(config, SCHEMA)


def test_table_3_crosses_every_signal_with_every_action():
    arms = [WHOLE["arms"][name] for name in WHOLE["tables"]["table3"] if "twin_of" not in WHOLE["arms"][name]]
    crossed = {(spec["signal"], spec["action"]) for spec in arms if "signal" in spec and spec.get("mix")}
    for signal in ("detector", "overlap", "probe", "activation", "fingerprint", "truth"):
        for action in ("penalise", "drop", "route"):
            assert (signal, action) in crossed
    assert {("probe", "discount"), ("activation", "discount")} <= crossed


def test_an_arm_may_set_any_key_of_train():
    config = broken("arms/kl_01/lr", 0.01)
    check(config, SCHEMA)
    assert train_settings(config, "kl_01") == CONFIG["train"] | {"lr": 0.01, "kl_coef": 0.1}
    assert not {"lr", "kl_coef"} & training_spec(config, "kl_01").keys()
    properties = SCHEMA["properties"]["arms"]["additionalProperties"]["properties"]
    assert CONFIG["train"].keys() <= properties.keys()


def test_the_smoke_preset_is_small():
    smoke = yaml.safe_load((ROOT / "presets/smoke.yaml").read_text())
    assert len(smoke["replicates"]) == 1 and len(smoke["tables"]["table1"]) == 7
    assert smoke["train"]["steps"] < CONFIG["train"]["steps"]
    assert smoke["model"]["wanted"]


def test_what_an_arm_is_compared_with_does_not_retrain_it():
    assert "baseline" not in training_spec(CONFIG, "erase_alone")
    assert training_spec(CONFIG, "erase") | {"slow": "vanilla_slowest"} == CONFIG["arms"]["erase"]


def test_the_seeds_of_a_replicate_are_its_number_unless_they_are_crossed():
    config = CONFIG | {"crossed": {"4": {"model_seed": 1, "data_seed": 2}, 5: {"seed": 9}}}
    assert seeds_of(config, 3) == {"model_seed": 3, "data_seed": 3, "seed": 3}
    assert seeds_of(config, "4") == {"model_seed": 1, "data_seed": 2, "seed": 4}
    assert seeds_of(config, 5)["seed"] == 9
    assert model_spec(config, 4)["seed"] == 1


@pytest.mark.parametrize(("path", "value"), [("threads", 2), ("model/device", "cuda")])
def test_portable_bytes_need_one_thread_of_the_processor(path, value):
    config = {**broken(path, value), "portable": True}
    with pytest.raises(ConfigError, match="config: portable: it needs threads: 1"):
        check(config, SCHEMA)


def test_a_python_that_snakemake_cannot_start_is_said():
    check_python("/home/me/projected_grpo/.venv/bin/python3")
    with pytest.raises(
        ConfigError, match=r"^/home/me/my clones/\.venv/bin/python: Snakemake starts no Python whose path"
    ):
        check_python("/home/me/my clones/.venv/bin/python")
