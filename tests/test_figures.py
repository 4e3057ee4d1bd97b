import matplotlib
import numpy as np
import pytest
import synthetic_study as synthetic
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from projected_grpo.analysis.curves import last_of_replicates, overlap_curve, path, profile, rate_curve
from projected_grpo.reporting import figures as figures_module
from projected_grpo.reporting.figures import draw, save


def write(study, folder):
    folder.mkdir()
    for name, figure in draw(study, "A note.").items():
        save(figure, folder / name, {"code": "abc"})
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_figure_is_written_twice_with_the_same_bytes(tmp_path):
    study = synthetic.make(arms=("vanilla", "erase", "erase_random", "no_loophole"), replicates=(41, 42))
    first = write(study, tmp_path / "first")
    names = ("hack_against_solve", "overlap", "profile", "training_curves")
    assert sorted(first) == [f"{name}.{ending}" for name in names for ending in ("png", "svg")]
    assert write(study, tmp_path / "second") == first
    assert all(b"abc" in content for content in first.values())  # the provenance
    assert all(b"dc:date" not in content for content in first.values())


def test_a_figure_alone_is_the_only_one_drawn_and_the_same_bytes(tmp_path, monkeypatch):
    study = synthetic.make(arms=("vanilla", "erase"), replicates=(41,))
    among = write(study, tmp_path / "among")
    for other in ("hack_against_solve", "overlap", "profiles"):
        monkeypatch.setattr(figures_module, other, None)
    (figure,) = draw(study, "A note.", ["training_curves"]).values()
    save(figure, tmp_path / "alone", {"code": "abc"})
    for ending in ("png", "svg"):
        assert (tmp_path / f"alone.{ending}").read_bytes() == among[f"training_curves.{ending}"]


@pytest.mark.parametrize("arms", [("vanilla",), ("vanilla", "erase", "vanilla_alone", "erase_alone")])
def test_few_arms_one_replicate_and_no_ceiling_can_be_drawn(arms):
    figures = draw(synthetic.make(arms=arms, replicates=(41,), claims={}), "A note.")
    titles = [panel.get_title(loc="left") for panel in figures["training_curves"].axes]
    assert sorted(filter(None, titles)) == sorted(arms)


def test_the_base_model_is_a_point_and_has_no_curve():
    study = synthetic.make(arms=("base", "vanilla", "erase", "no_loophole"), replicates=(41, 42), claims={})
    figures = draw(study, "A note.")
    titles = {name: {panel.get_title(loc="left") for panel in figures[name].axes} for name in figures}
    assert "base" not in titles["training_curves"] | titles["overlap"] and "base" in titles["profile"]
    (solve,), (hack,) = path(study, "base")
    panels = [panel for panel in figures["hack_against_solve"].axes if panel.texts]
    assert panels and all((solve, hack) in points(panel) for panel in panels)
    assert all("base model" in {text.get_text() for text in panel.texts} for panel in panels)
    assert "base model" not in titles["hack_against_solve"]  # a group of its own, with nothing to draw a path of


def test_figures_say_how_much_they_rest_on():
    figures = draw(synthetic.make(arms=("vanilla", "erase"), replicates=(41, 42)), "A note.")
    for name in ("training_curves", "hack_against_solve"):
        caption = figures[name].get_supxlabel()
        assert "32 held-out problems x 4 samples" in caption and "2 replicate(s)" in caption and "A note." in caption


def test_every_replicate_is_a_dot_where_its_path_ends():
    study = synthetic.make(arms=("vanilla", "erase", "no_loophole"), replicates=(41, 42), claims={})
    drawn = {(x, y) for panel in draw(study, "")["hack_against_solve"].axes for x, y in points(panel)}
    for arm in study.arms:
        solve, hack = last_of_replicates(study, arm)
        assert len(solve) == 2 and set(zip(solve, hack, strict=True)) <= drawn


@pytest.mark.parametrize(
    ("figure", "rate"), [("training_curves", "hack"), ("training_curves", "solve"), ("overlap", "")]
)
def test_every_replicate_is_a_thin_line_below_the_mean(figure, rate):
    study = synthetic.make(arms=("vanilla", "erase"), replicates=(41, 42), claims={})
    panel = next(panel for panel in draw(study, "")[figure].axes if panel.get_title(loc="left") == "erase")
    own = rate_curve(study, "erase", rate) if rate else overlap_curve(study, "erase", "overlap_student")
    drawn = {tuple(line.get_ydata()): line.get_linewidth() for line in panel.lines}
    assert len(own.replicates) == 2 and not np.array_equal(*own.replicates)
    assert [drawn[tuple(values)] for values in (*own.replicates, own.mean)] == [0.6, 0.6, 1.6]


@pytest.mark.parametrize("hack", [0.01, 0.05, 0.3])
def test_no_label_lies_on_the_star_of_the_ceiling(hack, monkeypatch):
    arms = ("base", "vanilla", "erase", "erase_update", "route", "no_loophole")
    for arm in ("erase", "erase_update", "route"):
        solve = {"erase": 0.46, "erase_update": 0.6, "route": 0.52}[arm]
        monkeypatch.setitem(synthetic.ENDS, arm, (hack, solve, 0.6, 0.45))
    monkeypatch.setitem(synthetic.ENDS, "no_loophole", (hack, 0.58, 0.9, 0.44))
    study = synthetic.make(arms=arms, replicates=(41, 42), claims={})
    figure = draw(study, "A note.")["hack_against_solve"]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    checked = 0
    for panel in (panel for panel in figure.axes if panel.texts):
        (star,) = (line for line in panel.lines if line.get_marker() == "*")
        (x, y), radius = panel.transData.transform(star.get_xydata()[0]), 0.4 * 14 * figure.dpi / 72
        middle = Bbox([[x - radius, y - radius], [x + radius, y + radius]])
        for text in panel.texts:
            if "honest ceiling" not in text.get_text():  # which stands above it
                checked += 1
                assert not middle.overlaps(text.get_window_extent()), text.get_text()
    assert checked > 5


def test_the_users_matplotlibrc_changes_no_byte(tmp_path):
    study = synthetic.make(arms=("vanilla", "erase"), replicates=(41,))
    plain = write(study, tmp_path / "plain")
    own = {"lines.linewidth": 9, "figure.facecolor": "red", "savefig.facecolor": "black", "svg.fonttype": "none"}
    own |= {"axes.grid": True, "font.size": 20, "axes.prop_cycle": cycler(color="rgb"), "savefig.bbox": "tight"}
    with matplotlib.rc_context(own):
        assert write(study, tmp_path / "own") == plain
        assert matplotlib.rcParams["font.size"] == 20


def test_the_profile_falls_by_a_replicate_at_its_hack_rate():
    study = synthetic.make(arms=("vanilla", "erase"), replicates=(41, 42), claims={})
    found, hack = profile(study, "erase"), 100 * study.final("erase")["hack"].mean(1)
    assert found.above[0] == 100 and found.above[-1] == 0 and set(found.above) == {0, 50, 100}
    assert (found.above == 100).sum() == np.ceil(hack.min()) and (found.above > 0).sum() == np.ceil(hack.max())
    panel = next(panel for panel in draw(study, "")["profile"].axes if panel.get_title(loc="left") == "erase")
    assert {x for x, y in points(panel) if y == 0} >= set(hack)


def points(panel):
    return {point for line in panel.lines for point in zip(*line.get_data(), strict=True)}
