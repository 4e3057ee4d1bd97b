"""detection/seed{seed}.parquet."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import column

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
