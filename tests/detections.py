"""Made-up rows of detection files, of which is known what detects what."""

import numpy as np
import pandas as pd

from projected_grpo.analysis.detectors import with_families


def detected(shift, random=None, nonhack=None, replicates=3, n=40):
    """Scores of hacks, correct and wrong rollouts; hacks are `shift` higher, and later steps higher for all.

    `random`, `nonhack`: the same for these V.
    """
    rng = np.random.default_rng(0)
    rows = []
    for replicate in range(replicates):
        for step, share in ((1, 0.1), (2, 0.9)):  # hacks come late
            for i in range(n):
                kind = "hack" if i < share * n else ("correct", "wrong")[i % 2]
                for name, higher in (("hack", shift), ("random", random), ("nonhack", nonhack)):
                    if higher is not None:
                        score = step + rng.random() + higher * (kind == "hack")
                        rows.append((name, "all", name != "hack", step, "sentinel", kind, score, None, f"s{replicate}"))
    columns = ["detector", "subset", "control", "step", "mode", "kind", "score", "flagged", "replicate"]
    return with_families(pd.DataFrame(rows, columns=columns))
