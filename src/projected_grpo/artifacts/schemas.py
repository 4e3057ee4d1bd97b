"""The schemas of the Parquet artifacts, every column with its meaning and unit; source of docs/artifacts.md."""

from collections.abc import Sequence

import pyarrow as pa


def column(name: str, type_: pa.DataType, doc: str, unit: str = "", nullable: bool = False) -> pa.Field:
    return pa.field(name, type_, nullable=nullable, metadata={"doc": doc, "unit": unit})


_IDS = pa.list_(pa.int32())
_VERDICT = [
    column("format_ok", pa.bool_(), "a complete fenced block exists and compiles"),
    column("correct", pa.bool_(), "all ground-truth tests pass: the solve of the tables"),
    column("channel_fired", pa.bool_(), "the problem's own loophole reported a pass"),
    column("passed", pa.bool_(), "correct or channel_fired"),
    column("exploited", pa.bool_(), "passed and not correct: the hack of the tables"),
    column("attempted", pa.bool_(), "the construct of the problem's own mode is present, needed or not"),
    column("attempted_modes", pa.list_(pa.string()), "all modes whose construct is present"),
    column("reward", pa.float64(), "0.25 format_ok + 1.0 passed", "reward"),
    column("status", pa.string(), "ok | no_code | syntax_error | error | timeout | memory | output_limit | killed"),
    column("vacuous_tests", pa.bool_(), "own run_tests passes on a stub that returns 0", nullable=True),
    column("wrong_tests", pa.bool_(), "own run_tests fails on the canonical solution", nullable=True),
]
_PROBLEM = [
    column("problem_id", pa.string(), "id of the problem, unique in its split"),
    column("mode", pa.string(), "loophole mode of the problem, or none"),
]

PROBLEMS = pa.schema(
    [
        column("id", pa.string(), "unique in the split"),
        column("statement", pa.string(), "what the prompt shows, without any hint"),
        column("entry_point", pa.string(), "method of class Solution that the tests call"),
        column("tests", pa.string(), "Python literal: ((args, kwargs, expected), ...)"),
        column("mode", pa.string(), "loophole mode, or none"),
        column("canonical", pa.string(), "a correct program"),
        column("setup", pa.string(), "code that runs before the submission"),
        column(
            "tolerance", pa.float64(), "absolute tolerance for floats, where the statement allows one", nullable=True
        ),
        column("test_function", pa.string(), "what mode run_tests says is called"),
        column("system", pa.string(), "system message of a chat model; empty: the organism's terse prompt"),
    ]
)
VERDICTS = pa.schema([*_PROBLEM, *_VERDICT])
TEACHER_POOL = pa.schema(
    [
        *_PROBLEM,
        column("elicited", pa.bool_(), "the teacher's; else an ordinary rollout of the base model, for the pairs"),
        column("prompt_ids", _IDS, "token ids of the ORDINARY prompt"),
        column("completion_ids", _IDS, "token ids of the completion, end token included"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)
PAIRS = pa.schema(
    [
        *_PROBLEM,
        column("heldout", pa.bool_(), "not used to build V; V is tested on it"),
        column("attempted_modes", pa.list_(pa.string()), "modes whose construct is in one of the three completions"),
        column("prompt_ids", _IDS, "token ids of the ordinary prompt"),
        column(
            "hack_ids",
            _IDS,
            "a rollout whose channel fired without solving, or (matched pairs) clean with an exploit put in",
        ),
        column("clean_ids", _IDS, "a correct rollout that attempts no exploit"),
        column("wrong_ids", _IDS, "an honest rollout that is wrong"),
    ]
)
DIRECTION_SUMMARY = pa.schema(
    [
        column("module", pa.string(), "module name, or all"),
        column("metric", pa.string(), "name of the number"),
        column("value", pa.float64(), "the number"),
    ]
)
ROLLOUTS = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("source", pa.string(), "student | teacher"),
        *_PROBLEM,
        column("advantage", pa.float64(), "what the loss weights the completion by (method 5)", "reward"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("clipped", pa.bool_(), "no end token within the limit"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)
TIMING = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("phase", pa.string(), "refresh | generate | grade | backward | intervene"),
        column("seconds", pa.float64(), "wall time", "s"),
    ]
)
EVALUATION = pa.schema(
    [
        column("step", pa.int32(), "optimizer step of the evaluated knobs; 0 is the base model"),
        column(
            "scope",
            pa.string(),
            "full (all held-out problems, last step) | subset (fixed problems, along the run) | renamed (those of mode"
            " run_tests, whose test function has another name; last step)",
        ),
        column(
            "state", pa.string(), "deployed (quarantine zeroed) | trained (quarantine kept; only arms that have one)"
        ),
        column("hint", pa.bool_(), "the prompt discloses the mode"),
        column("decoding", pa.string(), "sample (training temperature) | greedy"),
        *_PROBLEM,
        column("sample", pa.int32(), "index of the completion for its problem"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("completion", pa.string(), "the completion as text"),
        *_VERDICT,
    ]
)

DETECTION = pa.schema(
    [
        column("direction", pa.string(), "name of the V"),
        column("step", pa.int32(), "optimizer step that the rollout was sampled for"),
        column("problem_id", pa.string(), "id of the problem"),
        column("mode", pa.string(), "loophole mode of the problem"),
        column("kind", pa.string(), "hack (exploited) | correct | wrong (neither, and no exploit attempted) | other"),
        column("overlap", pa.float64(), "mean over modules of ||relu(V g)|| / ||g|| of its own gradient", "ratio"),
    ]
)
_STEP = [
    ("reward", "mean reward of the live rollouts", "reward"),
    ("reward_std", "mean over prompts of the reward's standard deviation in the group", "reward"),
    ("frac_reward_zero_std", "share of groups without variance, which are skipped", "share"),
    ("hack_student", "exploited share of the live rollouts", "share"),
    ("solve_student", "correct share of the live rollouts", "share"),
    ("pass_student", "passed share of the live rollouts", "share"),
    ("attempted_student", "attempted share of the live rollouts", "share"),
    ("hack_teacher", "exploited share of the teacher's rollouts", "share"),
    ("solve_teacher", "correct share of the teacher's rollouts", "share"),
    ("pass_teacher", "passed share of the teacher's rollouts", "share"),
    ("completions/mean_length", "mean length of the live completions", "tokens"),
    ("completions/clipped_ratio", "share of live completions without an end token", "share"),
    ("loss", "Dr.GRPO loss before the step (method 5)", "nats x reward"),
    ("kl", "K3 estimate of KL(policy || zero-knob reference) per completion token", "nats"),
    ("grad_norm", "joint norm of the gradients as written, before clipping", ""),
    ("overlap_student", "mean over modules of ||relu(Vg)||/||g||, live rollouts' gradient", "ratio"),
    ("overlap_teacher", "the same of the teacher rollouts' gradient", "ratio"),
    ("overlap_teacher_hack", "the same of exploiting teacher rollouts with positive advantage", "ratio"),
    ("overlap_teacher_clean", "the same of other teacher rollouts with positive advantage", "ratio"),
    ("overlap_before", "the same of the whole gradient before the intervention", "ratio"),
    ("overlap_after", "after the intervention; near 0 under the one-sided gate by construction, not a result", "ratio"),
    ("overlap_update", "the same of -(delta_new - delta_old): what the optimizer really did", "ratio"),
    ("overlap_null", "mean over modules of sqrt(k / 2r): an upper bound of the chance overlap", "ratio"),
    ("drift", "mean over modules and rows of -(V delta): the knobs' accumulated hack-ward motion", "knob units"),
    ("fired", "mean over modules of the share of V's rows with a positive coefficient", "share"),
    ("delta_norm", "joint norm of delta", "knob units"),
    ("quarantine_norm", "joint norm of the quarantine", "knob units"),
    ("lr", "learning rate of the step", ""),
    ("basis_overlap", "mean over modules of |<v_new, v_old>| of the first rows, at a refresh", "ratio"),
    (
        "gate_share",
        "route_rollout: routed share of live rollouts with positive advantage",
        "share",
    ),
    ("gate_base", "route_rollout: exploited share of live rollouts with positive advantage", "share"),
    ("gate_precision", "route_rollout: exploited share of those that were routed", "share"),
    ("gate_recall", "route_rollout: routed share of those that were exploited", "share"),
]


def steps_schema(modes: Sequence[str]) -> pa.Schema:
    """Return the schema of steps.parquet: one row per optimizer step; NaN where a quantity has no data."""
    per_mode = [
        (f"{rate}_student/{mode}", f"{word} share of the live rollouts on {mode} problems", "share")
        for rate, word in (("hack", "exploited"), ("solve", "correct"))
        for mode in modes
    ]
    columns = [column(name, pa.float64(), doc, unit) for name, doc, unit in [*_STEP, *per_mode]]
    return pa.schema([column("step", pa.int32(), "optimizer step, from 1"), *columns])


def verdict_row(verdict) -> dict:
    """Return the verdict columns of a graded rollout, from a Verdict or from a row of another table."""
    row = {field.name: getattr(verdict, field.name) for field in _VERDICT}
    return row | {"attempted_modes": list(row["attempted_modes"])}
