"""Lab 6's pictures say in words what they show, and their labels do not meet."""

import matplotlib.pyplot as plt
import pytest

pytest.importorskip("highspy")

from course_utils.milp_lab import Lap
from course_utils.plots.milp import draw_counts, draw_dependencies, draw_race, draw_ratios, draw_widths
from course_utils.plots.style import described

LINKS = [
    ((0, 1), True, (0, 2), True),
    ((0, 2), False, (0, 4), False),
    ((0, 1), False, (1, 3), False),
    ((0, 5), False, (1, 0), False),
    ((1, 0), True, (1, 1), True),
    ((1, 0), True, (1, 2), False),
    ((1, 0), True, (1, 3), False),
]


def test_pictures_say_in_words_what_they_show():
    lap = Lap("crown", "one", "verified", 0.5)
    shown = [
        (draw_widths([0.1, 1.0], {"ibp": [1.0, 20.0]}), "ibp 20"),
        (draw_dependencies((6, 5), LINKS), "(0,1)+ implies (0,2)+; (0,2)- implies (0,4)-"),
        (draw_dependencies((2, 1), []), "No dependencies."),
        (draw_counts({"all settings": 32}), "all settings 32"),
        (draw_ratios({"a": [0.5, 0.7], "b": [0.1, 0.2]}, {"a": 0.4, "b": 0.1}), "a: 0.400 before, at best 0.700"),
        (draw_race([lap]), "Settled of 1: crown 1."),
    ]
    for ax, words in shown:
        assert words in described(ax.get_figure())
    plt.close("all")


def test_labels_of_dependencies_do_not_meet():
    ax = draw_dependencies((6, 5), LINKS)
    figure = ax.get_figure()
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == len(LINKS) + 11
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    plt.close("all")
