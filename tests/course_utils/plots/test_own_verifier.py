"""The pictures of lab 3: axes with names and units, and one printed line that says the same."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_utils import plots
from course_utils.plots.own_verifier import SLOPE_RANGE, area_of, bound_of_absolute_value


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_widths_are_averaged_and_said(capsys):
    ax = plots.draw_widths({"intervals": [([0.0, 0.0], [1.0, 3.0]), ([0.0], [5.0])]})
    assert ax.lines[0].get_ydata().tolist() == [2.0, 5.0] and "no unit" in ax.get_ylabel()
    assert "2 behind layer 1, 5 behind layer 2" in capsys.readouterr().out


def test_the_area_between_the_lines_is_that_of_the_triangle(capsys):
    plots.draw_relaxation(0.0, 2 / 3, 2 / 3, -1.0, 2.0)
    assert "an area of 3.000" in capsys.readouterr().out  # a triangle: base 3, height 2


def test_area_and_bound_by_slope_against_a_grid():
    z = np.linspace(*SLOPE_RANGE, 3001)
    for slope in (0.0, 0.3, 0.5, 1.0):
        between = (z + 1) * 2 / 3 - slope * z
        assert area_of(slope) == pytest.approx(float(np.mean(between)) * 3, abs=1e-3)
        assert bound_of_absolute_value(slope) == pytest.approx(float((2 * slope * z - z).min()))
        assert bound_of_absolute_value(slope) <= np.abs(z).min() + 1e-12


def test_slopes_show_a_guess_and_say_where_the_bound_is_best(capsys):
    ax = plots.draw_slopes(0.7)
    assert "your guess" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert "best, 0.00, at slope 0.50" in capsys.readouterr().out
    assert len(plots.draw_slope(0.4).axes) == 2


def test_parts_and_their_bounds_are_counted(capsys):
    box = ([0.0, 0.0], [1.0, 1.0])
    (ax,) = plots.draw_parts(["one"], [[box]], box)
    assert ax.get_title() == "one: 1 proved part"
    ax = plots.draw_part_bounds([-1.0, 0.0, 0.5], guess=7)
    assert "3 parts were bounded: 2 proved, 1 split again" in capsys.readouterr().out
    assert all("(" in label for label in (ax.get_xlabel(), ax.get_ylabel()))


def test_a_box_of_images_shows_both_ends():
    figure = plots.draw_image_box(np.zeros(784), np.full(784, 0.5), np.ones(784))
    assert [float(ax.images[0].get_array().mean()) for ax in figure.axes[:3]] == [0.0, 0.5, 1.0]


def test_the_race_counts_what_was_settled(capsys):
    ax = plots.draw_race({"a": [("verified", 0.5), ("unknown", 1.0)], "b": [("falsified", 0.001), ("verified", 2.0)]})
    assert [text.get_text() for text in ax.texts] == ["500", "1000", "1", "2000"]
    assert "a: 1 of 2 settled in 1.50 CPU seconds" in capsys.readouterr().out


def test_where_time_goes_is_said_in_percent(capsys):
    plots.draw_where_time_goes({"bound": 1.0, "attack": 3.0})
    assert "bound: 1.00 s (25%), attack: 3.00 s (75%)" in capsys.readouterr().out
