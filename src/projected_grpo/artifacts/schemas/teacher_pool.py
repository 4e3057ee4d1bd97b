"""teacher_pool.parquet, and what of it a loophole subset may know."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import IDS, PROBLEM, VERDICT, column

TEACHER_POOL = pa.schema(
    [
        *PROBLEM,
        column("elicited", pa.bool_(), "the teacher's; else an ordinary rollout of the base model, for the pairs"),
        column("prompt_ids", IDS, "token ids of the ORDINARY prompt"),
        column("completion_ids", IDS, "token ids of the completion, end token included"),
        column("completion", pa.string(), "the completion as text"),
        *VERDICT,
    ]
)
