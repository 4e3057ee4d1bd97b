"""pairs/{body}/{subset}.parquet."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import IDS, PROBLEM, column

PAIRS = pa.schema(
    [
        *PROBLEM,
        column("heldout", pa.bool_(), "not used to build V; V is tested on it"),
        column("attempted_modes", pa.list_(pa.string()), "modes whose construct is in one of the three completions"),
        column("prompt_ids", IDS, "token ids of the ordinary prompt"),
        column(
            "hack_ids",
            IDS,
            "a rollout whose channel fired without solving, or (matched pairs) clean with an exploit put in",
        ),
        column("clean_ids", IDS, "a correct rollout that attempts no exploit"),
        column("wrong_ids", IDS, "an honest rollout that is wrong"),
    ]
)
