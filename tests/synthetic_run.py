"""The copies of a synthetic run with every table, as docs/run has them."""

import json

from synthetic_study import MODES, evaluation, make, steps, with_signals

from projected_grpo.analysis.study import Claim, TableArm, build_study, in_turn
from projected_grpo.analysis.table1 import table1
from projected_grpo.analysis.table2 import fold_verdicts, table2
from projected_grpo.analysis.table3 import table3
from projected_grpo.analysis.table3 import verdicts as verdicts_of_table3
from projected_grpo.analysis.threats import held_out_threats, threats
from projected_grpo.analysis.verdicts import h1
from projected_grpo.reporting.threats import threat_grid


def write_copies(folder):
    baselines = ("base", "vanilla", "vanilla_slow", "vanilla_alone")
    study, long = make(), make(arms=(*baselines, "erase", "erase_update", "erase_random", "no_loophole"))
    table1(study).to_csv(folder / "table1.csv", index=False)
    (folder / "h1.json").write_text(json.dumps(h1(study)))
    table2(_folds()).to_csv(folder / "table2.csv", index=False)
    (folder / "table2.json").write_text(json.dumps(fold_verdicts(_folds())))
    table1(long).to_csv(folder / "horizon.csv", index=False)
    later = h1(long)
    there = {arm: word for arm, word in later["outcomes"].items() if arm in long.arms}
    made = {"provenance": {"config": {"shorter": {"erase_later": "erase"}}}}
    (folder / "horizon.json").write_text(json.dumps(later | {"outcomes": there, "shrinks": {}} | made))
    signals, turns = with_signals(), dict(zip((41, 42, 43), MODES, strict=False))
    judged = verdicts_of_table3(signals, turns)
    table3(signals, turns, judged).to_csv(folder / "table3.csv", index=False)
    (folder / "table3.json").write_text(json.dumps(judged | {"provenance": {"config": {"modes": turns}}}))
    unknown = in_turn(signals, turns)
    (folder / "table1.md").write_text(threat_grid(threats(study)))
    (folder / "table3.md").write_text(threat_grid([*threats(unknown), *held_out_threats(unknown)]))
    (folder / "horizon.md").write_text(threat_grid(threats(long)))
    source = {"run": "`presets/study.yaml`", "machine": "a computer", "jobs": 3, "hours": 1.5}
    (folder / "source.json").write_text(json.dumps(source))
    return folder


def judged(folder, table, outcomes, **more):
    """Write other outcomes for a table."""
    verdicts = json.loads((folder / table).read_text())
    (folder / table).write_text(json.dumps(verdicts | {"outcomes": outcomes} | more))


def _folds():
    """Two arms and a random V, of which `erase` hacks less on every mode."""
    arms = {
        "vanilla": TableArm("vanilla", 96, "hack", mix=0.25),
        "vanilla_slow": TableArm("vanilla", 96, "hack", mix=0.25),
        "erase": TableArm("vanilla", 96, "hack", twin="erase_random", tested=True, mix=0.25),
        "erase_random": TableArm("vanilla", 96, "random", mix=0.25),
    }
    runs = [(arm, n, evaluation(arm, n), steps(arm, n)) for arm in arms for n in (1, 2, 3)]
    claims = {"erase": Claim(("erase_random",), ("vanilla_slow",))}
    return dict.fromkeys(MODES, build_study(runs, arms, claims, None))
