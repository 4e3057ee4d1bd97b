"""The study behind a table: how runs are read and grouped, what cannot be compared, and its bins of solve."""

import dataclasses

import pytest
import synthetic_study as synthetic
from test_table1 import render

from projected_grpo.analysis.solve_bins import _binned, solve_bins
from projected_grpo.analysis.study import GROUPS, Claim, StudyError, build_study, group, read_study, results_of
from projected_grpo.analysis.table1 import ceiling_distance, table1


@pytest.fixture(scope="module")
def study():
    return synthetic.make()


def test_groups_follow_from_claims_and_baselines(study):
    groups = {arm: group(study, arm) for arm in study.arms}
    assert [arm for arm in groups if groups[arm] == "interventions"] == [
        *("vanilla", "erase", "erase_k4", "erase_update", "route")
    ]
    assert groups["base"] == "base model" == GROUPS[0]
    assert groups["erase_random"] == "twins and controls"
    assert groups["vanilla_slow"] == "slow controls"
    assert groups["vanilla_alone"] == groups["erase_alone"] == "without a teacher pool"
    assert groups["no_loophole"] == "honest ceiling"
    claims = study.claims | {"erase_alone": Claim(())}
    assert group(dataclasses.replace(study, claims=claims), "erase_alone") == "without a teacher pool"


def test_bins_of_solve_by_hand(study):
    bins = solve_bins(study)
    assert (bins[["n_arm", "n_baseline"]] >= 3).all(axis=None)
    assert set(bins.loc[bins["arm"] == "route", "source"]) == {"checkpoints"}
    frame = _binned({"hack": [0.1, 0.3, 0.5], "solve": [0.30, 0.34, 0.29], "before": [0.2, 0.3, 0.3]})
    assert frame.loc[("rising", 0.30), "hack"] == pytest.approx(0.2)
    assert frame.loc[("falling", 0.25), "n"] == 1


def test_bins_of_checkpoints_are_of_the_steps_that_both_arms_have(study):
    whole = study.view("route", scope="subset")
    fewer = slice(None, None, 2)  # the arm is evaluated half as often as its baseline
    rates = {name: values[:, fewer] for name, values in whole.rates.items()}
    halves = {name: values[:, :, fewer] for name, values in whole.halves.items()}
    view = dataclasses.replace(whole, steps=whole.steps[fewer], rates=rates, halves=halves)
    key = ("route", "subset", "deployed", True, "sample")
    coarse = dataclasses.replace(study, views={**study.views, key: view})
    bins = solve_bins(coarse)
    bins = bins[bins["arm"] == "route"]
    points = len(study.replicates) * (len(view.steps) - 1)
    assert bins["n_baseline"].sum() <= points and bins["n_arm"].sum() <= points


def spoil(change):
    """Build a study of two replicates in which the second replicate's evaluation was changed."""
    runs = [
        ("vanilla", replicate, synthetic.evaluation("vanilla", replicate), synthetic.steps("vanilla", replicate))
        for replicate in (1, 2)
    ]
    runs[1] = ("vanilla", 2, change(runs[1][2]), runs[1][3])
    return build_study(runs, {"vanilla": synthetic.table_arm("vanilla")}, {}, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.assign(problem_id="x" + rows["problem_id"]),
            "different problems or at different checkpoints",
        ),
        (lambda rows: rows.drop(rows.index[0]), "vanilla, replicate 2, .* not every problem has the same samples"),
        (lambda rows: rows[rows["decoding"] == "sample"], "evaluated for replicates \\[1\\]"),
        (lambda rows: rows[(rows["scope"] != "full") | (rows["sample"] < 2)], "evaluated with 4 and 2 samples"),
    ],
)
def test_runs_that_cannot_be_compared_get_one_clear_line(change, message):
    with pytest.raises(StudyError, match=message):
        spoil(change)


def test_one_sample_along_the_run_cannot_choose_and_measure():
    def single(rows):
        return rows[(rows["scope"] != "subset") | (rows["sample"] == 0)]

    runs = [("vanilla", n, single(synthetic.evaluation("vanilla", n)), synthetic.steps("vanilla", n)) for n in (1, 2)]
    made = build_study(runs, {"vanilla": synthetic.table_arm("vanilla")}, {}, None)
    with pytest.raises(StudyError, match=r"^vanilla, subset.*evaluation.subset_samples must be at least 2$"):
        table1(made)


def test_the_halves_are_the_even_and_the_odd_samples():
    rows = synthetic.evaluation("vanilla", 41)
    view = synthetic.make(arms=("vanilla",), replicates=(41,), claims={}).view("vanilla", scope="subset")
    chosen = rows[(rows["scope"] == "subset") & (rows["step"] == synthetic.LAST) & (rows["problem_id"] == "p003")]
    for half in (0, 1):
        expected = chosen.loc[chosen["sample"] % 2 == half, "exploited"].mean()
        assert view.halves_at(synthetic.LAST)["hack"][half, 0, 3] == pytest.approx(expected)
    assert view.halves["solve"].mean(0) == pytest.approx(view.rates["solve"])


def test_a_study_is_read_from_the_folders_of_the_runs(tmp_path):
    for replicate in (1, 2):
        synthetic.write_run(tmp_path, "erase", replicate)
    arms = {"erase": dataclasses.asdict(synthetic.table_arm("erase"))}
    results = results_of(sorted(map(str, tmp_path.rglob("evaluation.parquet"))))
    read = table1(read_study(results, arms, [1, 2], {}, None))
    made = table1(synthetic.make(arms=("erase",), replicates=(1, 2), claims={}, ceiling=None))
    assert read.to_csv() == made.to_csv()


def test_a_missing_run_is_named():
    runs = [("vanilla", 1, synthetic.evaluation("vanilla", 1), synthetic.steps("vanilla", 1))]
    with pytest.raises(StudyError, match="erase: runs with replicates"):
        build_study(runs, {arm: synthetic.table_arm(arm) for arm in ("vanilla", "erase")}, {}, None)


def test_the_ceiling_at_another_length_is_taken_where_it_has_a_checkpoint():
    arms = {"vanilla": synthetic.table_arm("vanilla")}
    arms["no_loophole"] = dataclasses.replace(synthetic.table_arm("no_loophole"), last=2 * synthetic.LAST)
    runs = []
    for arm, pace in (("vanilla", 1), ("no_loophole", 2)):
        for replicate in (1, 2):
            rows = synthetic.evaluation(arm, replicate)
            runs.append((arm, replicate, rows.assign(step=pace * rows["step"]), synthetic.steps(arm, replicate)))
    study = build_study(runs, arms, {}, "no_loophole")
    own, ceiling = (study.view(arm, scope="subset").at(96)["solve"].mean() for arm in arms)
    assert ceiling_distance(study, "vanilla").estimate == pytest.approx(own - ceiling)
    arms["vanilla"] = dataclasses.replace(arms["vanilla"], last=50)
    with pytest.raises(StudyError, match=r"vanilla, full.*: no evaluation at step 50, only at \[96\]"):
        table1(build_study(runs, arms, {}, "no_loophole"))


def test_a_run_shorter_than_a_window_has_no_bins_and_still_a_table():
    whole = synthetic.make(arms=("vanilla", "erase"), replicates=(1, 2), claims={}, ceiling=None)
    first = {arm: {name: values[:, :5] for name, values in log.items()} for arm, log in whole.training.items()}
    short = dataclasses.replace(whole, training=first)
    assert solve_bins(short).empty
    assert "No bin of solve" in render(short)
