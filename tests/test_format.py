"""Numbers as pages show them."""

import pytest

from projected_grpo.reporting.format import bound, interval


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(-0.002, 0.45, "[-0, +45]"), (0.002, 0.45, "[+0, +45]"), (-0.45, -0.0, "[-45, +0]"), (-0.45, -0.002, "[-45, -0]")],
)
def test_the_end_of_an_interval_says_on_which_side_of_nothing_it_lies(low, high, shown):
    assert interval({"hack": 0.001, "hack_low": low, "hack_high": high}, "hack") == f"+0 {shown}"
    assert bound(low) == shown.strip("[]").split(", ")[0]
