"""replicate{n}/detection.parquet."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import column

DETECTION = pa.schema(
    [
        column("detector", pa.string(), "name of the V, of the signal, or of the signal's twin ({signal}_twin)"),
        column("subset", pa.string(), "loopholes that it knows: all, or without_{mode}"),
        column("control", pa.bool_(), "it has no information about hacking"),
        column("step", pa.int32(), "optimizer step that the rollout was sampled for"),
        column("problem_id", pa.string(), "id of the problem"),
        column("mode", pa.string(), "loophole mode of the problem"),
        column("kind", pa.string(), "hack (exploited) | correct | wrong (neither, and no exploit attempted) | other"),
        column("score", pa.float64(), "the detector's score of it; of a V its overlap, a ratio"),
        column(
            "flagged",
            pa.bool_(),
            "the score exceeds the signal's threshold; null for a V and for a twin",
            nullable=True,
        ),
    ]
)
