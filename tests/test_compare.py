"""Two results directories in one figure."""

import pytest
import small_results

from projected_grpo import compare
from projected_grpo.errors import UserError
from projected_grpo.reporting.compare import compare as drawn


def lines(figure):
    """Return {panel: [(is dashed, values)]}."""
    return {
        panel.get_title(loc="left"): [(line.is_dashed(), list(line.get_ydata())) for line in panel.lines]
        for panel in figure.axes
        if panel.lines
    }


def test_an_arm_has_the_first_results_solid_and_the_other_dashed(tmp_path):
    one, other = (small_results.write(tmp_path / name) for name in ("one", "other"))
    for n in small_results.REPLICATES:  # an arm of its own, and one that the other has not
        small_results.write_run(other, "vanilla_slow", n)
        small_results.write_run(one, "erase_k4", n)
    studies = compare.study(str(one)), compare.study(str(other))
    panels = lines(drawn(*studies, ("one", "other")))
    hack, solve = [0.0, 50.0, 50.0], [100.0, 50.0, 50.0]
    own = {name: [*[(False, rate)] * 3, (True, rate)] for name, rate in (("hack", hack), ("solve", solve))}
    assert panels["vanilla"] == [*own["hack"], *own["solve"]]  # both replicates, their mean, and the other's mean
    assert [dashed for dashed, _ in panels["erase_k4"]] == [False] * 6
    assert [dashed for dashed, _ in panels["vanilla_slow"]] == [True, True]


def test_the_program_writes_the_figure_and_says_what_it_leaves_out(tmp_path, capsys):
    one, other = (small_results.write(tmp_path / name) for name in ("one", "other"))
    small_results.write_run(one, "erase_k4", 1)
    small_results.write_run(one, "erase_k8", 1, evaluated=False)
    compare.main([str(one), str(other), str(tmp_path / "new/both")])
    assert f"{one}: left out, not evaluated in every replicate yet: erase_k4\n" in capsys.readouterr().out
    assert all((tmp_path / f"new/both.{ending}").stat().st_size > 10_000 for ending in ("png", "svg"))


def test_results_without_an_evaluation_are_one_line(tmp_path):
    small_results.write_run(tmp_path, "erase", 1, evaluated=False)
    with pytest.raises(UserError, match="no arm has been evaluated in every replicate yet"):
        compare.study(str(tmp_path))
