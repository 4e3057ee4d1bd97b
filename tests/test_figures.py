import pytest
import synthetic_study as synthetic

from projected_grpo.reporting.figures import draw, save


def write(study, folder):
    folder.mkdir()
    for name, figure in draw(study, "A note.").items():
        save(figure, folder / name, {"code": "abc"})
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_figure_is_written_twice_with_the_same_bytes(tmp_path):
    study = synthetic.make(arms=("vanilla", "erase", "erase_random", "no_loophole"), seeds=(41, 42))
    first = write(study, tmp_path / "first")
    assert sorted(first) == [
        f"{name}.{ending}" for name in ("hack_against_solve", "overlap", "training_curves") for ending in ("png", "svg")
    ]
    assert write(study, tmp_path / "second") == first
    assert all(b"abc" in content for content in first.values())  # the provenance
    assert all(b"dc:date" not in content for content in first.values())


@pytest.mark.parametrize("arms", [("vanilla",), ("vanilla", "erase", "vanilla_alone", "erase_alone")])
def test_few_arms_one_seed_and_no_ceiling_can_be_drawn(arms):
    figures = draw(synthetic.make(arms=arms, seeds=(41,), claims={}), "A note.")
    titles = [panel.get_title(loc="left") for panel in figures["training_curves"].axes]
    assert sorted(filter(None, titles)) == sorted(arms)


def test_figures_say_how_much_they_rest_on():
    figures = draw(synthetic.make(arms=("vanilla", "erase"), seeds=(41, 42)), "A note.")
    for name in ("training_curves", "hack_against_solve"):
        caption = figures[name].get_supxlabel()
        assert "32 held-out problems x 4 samples" in caption and "2 seed(s)" in caption and "A note." in caption
