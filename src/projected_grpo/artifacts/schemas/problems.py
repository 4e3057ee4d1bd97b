"""problems/{split}.parquet."""

import pyarrow as pa

from projected_grpo.artifacts.schemas.columns import column

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
        column("comparison", pa.string(), "how a returned value is compared: exact, any_order or a checker's name"),
    ]
)
