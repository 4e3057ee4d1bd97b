"""summary.parquet of a direction."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import column

DIRECTION_SUMMARY = pa.schema(
    [
        column("module", pa.string(), "module name, or all"),
        column("metric", pa.string(), "name of the number"),
        column("value", pa.float64(), "the number"),
    ]
)
