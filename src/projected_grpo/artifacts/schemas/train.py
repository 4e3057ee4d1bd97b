"""What a training run leaves: steps.parquet, rollouts.parquet, timing.parquet."""

from collections.abc import Sequence

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import PROBLEM, VERDICT, column

ROLLOUTS = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("source", pa.string(), "student | teacher"),
        *PROBLEM,
        column("advantage", pa.float64(), "what the loss weights the completion by (method 5)", "reward"),
        column("score", pa.float64(), "what the arm's signal gives it (method 2b); NaN without one"),
        column("flagged", pa.bool_(), "the signal's flag, or its twin's"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("clipped", pa.bool_(), "no end token within the limit"),
        column("ablated", pa.bool_(), "sampled and trained with the quarantine ablated"),
        column("completion", pa.string(), "the completion as text"),
        *VERDICT,
    ]
)
TIMING = pa.schema(
    [
        column("step", pa.int32(), "optimizer step, from 1"),
        column("phase", pa.string(), "refresh | generate | grade | signal | backward | intervene"),
        column("seconds", pa.float64(), "wall time", "s"),
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
    (
        "overlap_teacher_clean",
        "the same of teacher rollouts with positive advantage that do not attempt an exploit",
        "ratio",
    ),
    ("overlap_before", "the same of the whole gradient before the intervention", "ratio"),
    ("overlap_after", "after the intervention; near 0 under the one-sided gate by construction, not a result", "ratio"),
    ("overlap_update", "the same of -(delta_new - delta_old): what the optimizer really did", "ratio"),
    ("overlap_null", "mean over modules of sqrt(k / 2r): an upper bound of the chance overlap", "ratio"),
    ("drift", "mean over modules and rows of -(V delta): the knobs' accumulated hack-ward motion", "knob units"),
    ("drift_quarantine", "the same of the quarantine; NaN where none is in the basis of delta", "knob units"),
    ("fired", "mean over modules of the share of V's rows with a positive coefficient", "share"),
    ("delta_norm", "joint norm of delta", "knob units"),
    ("quarantine_norm", "joint norm of the quarantine", "knob units"),
    ("lr", "learning rate of the step", ""),
    ("basis_overlap", "mean over modules of |<v_new, v_old>| of the first rows, at a refresh", "ratio"),
    ("flagged_share", "signal: flagged share of the rollouts, the teacher's included", "share"),
    ("flagged_student", "signal: flagged share of the live rollouts", "share"),
    ("groups_flagged", "signal: share of groups that are flagged as a whole", "share"),
    (
        "flag_recall_attempted",
        "signal: flagged share of the live rollouts that attempt an exploit; never used",
        "share",
    ),
    *[
        (f"flagged_{kind}/{name}", f"signal: {said} {words}", unit)
        for kind, said, unit in (
            ("share", "flagged share of", "share"),
            ("weight", "mean of sigmoid(score), as the action gets it, over the flagged of", "ratio"),
        )
        for name, words in {
            "student_above": "live rollouts with a reward above their group's mean",
            "student_below": "the other live rollouts",
            "teacher_above": "the teacher's with a reward above their group's mean",
            "teacher_below": "the teacher's others",
        }.items()
    ],
    *[
        (f"flag_{name}{scope}", f"signal: {words}{where}; never used", "share")
        for scope, where in {
            "": "",
            "/known": ", on modes that the arm may know",
            "/heldout": ", on modes that are held out of it",
        }.items()
        for name, words in {
            "precision": "exploited share of the flagged live rollouts",
            "recall": "flagged share of the exploited live rollouts",
            "false_positives": "flagged share of the live rollouts that are not exploited",
        }.items()
    ],
]


def steps_schema(modes: Sequence[str], measures: Sequence[str] = ()) -> pa.Schema:
    """Return the schema of steps.parquet: one row per optimizer step; NaN where a quantity has no data.

    `measures` names the directions whose overlap the arm logs besides that of its own.
    """
    per_mode = [
        (f"{rate}_student/{mode}", f"{word} share of the live rollouts on {mode} problems", "share")
        for rate, word in (("hack", "exploited"), ("solve", "correct"))
        for mode in modes
    ]
    measured = [
        (f"overlap_student/{name}", f"overlap_student, of the same gradient with direction {name}", "ratio")
        for name in measures
    ]
    columns = [column(name, pa.float64(), doc, unit) for name, doc, unit in [*_STEP, *per_mode, *measured]]
    return pa.schema([column("step", pa.int32(), "optimizer step, from 1"), *columns])
