"""summary.parquet of a signal."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import column

SIGNAL_SUMMARY = pa.schema(
    [
        column("of", pa.string(), "signal | twin"),
        column("metric", pa.string(), "name of the number"),
        column("value", pa.float64(), "the number, on the held-out pairs"),
    ]
)
