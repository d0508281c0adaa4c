"""What the pictures of digits show: titles, colours, axes with names and units."""

import math
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")
from matplotlib import pyplot as plt

from course_utils.plots import (
    COLOURS,
    draw_accuracy_curves,
    draw_counterexample_image,
    draw_output_limits,
    draw_pixel_map,
    draw_robustness_gaps,
    plot_mnist,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pictures(figure):
    return [ax for ax in figure.axes if ax.images]


def test_a_wrong_answer_stands_in_red_and_every_digit_has_its_own_picture():
    figure = plot_mnist(torch.zeros(3, 784), [1, 2, 3], [1, 7, 3], columns=2)
    titles = {ax.get_title(): ax.title.get_color() for ax in pictures(figure)}
    assert titles == {
        "a 1, read 1": COLOURS["truth"],
        "a 2, read 7": COLOURS["falsified"],
        "a 3, read 3": COLOURS["truth"],
    }
    assert "pixels" in figure._supxlabel.get_text() and "grey" in figure._supxlabel.get_text()


def test_images_are_drawn_as_grey_values():
    figure = plot_mnist(torch.full((1, 784), 0.75))
    assert np.allclose(pictures(figure)[0].images[0].get_array(), 0.75, atol=1e-6)


def test_a_counterexample_is_drawn_beside_the_image_with_the_difference_in_grey():
    image = torch.zeros(784)
    case = image.clone()
    case[30] = 1.0
    figure = draw_counterexample_image(image, case, ["one", "other"])
    shown = pictures(figure)
    assert [ax.get_title() for ax in shown] == ["one", "the difference", "other"]
    difference = np.asarray(shown[1].images[0].get_array())
    assert difference[1, 2] == pytest.approx(1.0, abs=1e-6) and np.count_nonzero(difference) == 1
    assert all("pixels" in ax.get_xlabel() and "pixels" in ax.get_ylabel() for ax in shown)


BOUNDS = SimpleNamespace(lower=np.arange(10.0), upper=np.arange(10.0) + 0.5)


def test_output_limits_are_drawn_once_as_they_are_and_once_from_their_middle():
    limits = [[k - 0.5, k + 1.5] for k in range(10)]
    figure = draw_output_limits(BOUNDS, limits, torch.arange(10.0), label=4).figure
    assert len(figure.axes) == 2
    marks = [
        {c.get_label(): c.get_offsets()[:, 1].data for c in ax.collections if len(c.get_offsets()) == 10}
        for ax in figure.axes
    ]
    assert np.allclose(marks[0]["lower bound"], np.arange(10))
    assert np.allclose(marks[1]["lower bound"], -0.5)  # k, from the middle k + 0.5
    assert "(label)" in figure.axes[0].get_xticklabels()[4].get_text()
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_a_missing_limit_is_not_drawn():
    figure = draw_output_limits(BOUNDS, [[None, 3.0]] + [[None, None]] * 9).figure
    assert len(figure.axes) == 1


def test_pixel_map_tells_proved_from_changed_from_not_settled():
    smallest = np.full(784, np.nan)
    smallest[[0, 1, 2]] = [1.0, 3.0, math.inf]
    figure = draw_pixel_map(smallest, [3, 2, 1], torch.zeros(784))
    ax = pictures(figure)[1]
    code, colours = np.asarray(ax.images[0].get_array()), ax.images[0].get_cmap().colors
    names = [text.get_text() for text in ax.images[0].colorbar.ax.get_yticklabels()]
    assert [names[k] for k in code[0, :4]] == [
        "x  not proved at 1", "+  not proved at 3", "?  not settled", "proved at every delta"
    ]  # fmt: skip
    assert mpl.colors.to_hex(colours[code[0, 3]]) == "#d9ead3"  # light, so that the marks stand out
    assert mpl.colors.to_hex(colours[code[0, 2]]) == COLOURS["unknown"]


def test_gap_is_what_lies_between_the_best_proof_and_the_nearest_counterexample():
    result = {
        "CROWN": [SimpleNamespace(lower=0.1, upper=math.inf), SimpleNamespace(lower=0.2, upper=math.inf)],
        "verify": [SimpleNamespace(lower=0.15, upper=0.4), SimpleNamespace(lower=0.3, upper=math.inf)],
    }
    ax = draw_robustness_gaps(result, ["a 7", "a 2"])
    bars = {tuple(np.round([bar.get_x(), bar.get_width()], 6)) for bar in ax.patches}
    assert bars == {(0.0, 0.15), (0.0, 0.3), (0.15, 0.25)}  # none for the second image, where nothing was met
    assert "grey values" in ax.get_xlabel() and [t.get_text() for t in ax.get_yticklabels()] == ["a 7", "a 2"]


def test_each_curve_has_the_colour_of_its_meaning_and_each_network_its_dash():
    rows = {"clean": [1.0, 1.0], "attacked": [0.9, 0.5], "verified": [0.8, 0.2]}
    ax = draw_accuracy_curves([0.01, 0.02], {"one": rows, "other": rows})
    looks = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert looks["verified, one"] == (COLOURS["verified"], "-") and looks["verified, other"][1] == "--"
    assert looks["attacked, one"][0] == COLOURS["counterexample"] and "grey" in ax.get_xlabel()


def test_titles_and_a_pixel_that_an_arrow_points_to():
    figure = plot_mnist(torch.zeros(2, 784), titles=["lower", "upper"], pixel=5)
    assert [ax.get_title() for ax in pictures(figure)] == ["lower", "upper"]
    for ax in pictures(figure):
        assert [(text.get_text(), text.xy) for text in ax.texts] == [("pixel 5", (5, 0))]
    far = pictures(plot_mnist(torch.zeros(1, 784), pixel=783))[0].texts[0]
    assert far.xy == (27, 27) and all(0 <= place <= 27 for place in far.get_position())


def test_a_second_networks_curve_leaves_an_equal_first_one_visible():
    rows = {"clean": [0.97, 0.97]}
    first, second = draw_accuracy_curves([0.01, 0.02], {"one": rows, "other": rows}).lines
    assert second.get_markersize() > first.get_markersize() and second.get_markerfacecolor() == "none"


def test_bounds_stay_visible_under_the_outputs_of_a_counterexample_that_reaches_them():
    ax = draw_output_limits(BOUNDS, None, torch.arange(10.0))
    sizes = {c.get_label(): float(c.get_sizes()[0]) for c in ax.collections if len(c.get_offsets()) == 10}
    assert sizes["outputs at the counterexample"] < 0.5 * min(sizes["lower bound"], sizes["upper bound"])


def test_a_proof_that_ends_at_0_is_drawn_as_a_whole_mark():
    result = {"interval": [SimpleNamespace(lower=0.0, upper=math.inf)]}
    assert not draw_robustness_gaps(result, ["a 7"]).lines[0].get_clip_on()
