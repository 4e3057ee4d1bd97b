"""What `python -m projected_grpo.grading` writes."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import PROBLEM, VERDICT

VERDICTS = pa.schema([*PROBLEM, *VERDICT])
