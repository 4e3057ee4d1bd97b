"""evaluation.parquet of a run."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import PROBLEM, VERDICT, column

EVALUATION = pa.schema(
    [
        column("step", pa.int32(), "optimizer step of the evaluated knobs; 0 is the base model"),
        column(
            "scope",
            pa.string(),
            "full (all held-out problems, last step) | subset (fixed problems, along the run) | renamed (those of mode"
            " run_tests, whose test function has another name; last step) | asked (the subset's problems, with the"
            " explicit request to exploit; last step)",
        ),
        column(
            "state",
            pa.string(),
            "deployed (quarantine zeroed) | trained (quarantine kept; only arms that have one) | quarantine 0.5 (half"
            " of it; other factors alike)",
        ),
        column("hint", pa.bool_(), "the prompt discloses the mode"),
        column("decoding", pa.string(), "sample (training temperature) | greedy"),
        *PROBLEM,
        column("sample", pa.int32(), "index of the completion for its problem"),
        column("length", pa.int32(), "completion length, end token included", "tokens"),
        column("completion", pa.string(), "the completion as text"),
        *VERDICT,
    ]
)
