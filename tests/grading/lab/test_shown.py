"""Grading leaves out a cell of the course's own that only shows something, and never one on which anything builds."""

import pytest

from grading.lab.shown import leave_out
from grading.lab.submission import Part

SHOW = "from course_utils.plots import draw_race\n\ntimes = [1, 2]\npicture = draw_race(times)"


def left_out(*sources, only_show=(SHOW,), names=()):
    """For each cell whether it is left out; `names` are the grade_ids of cells that have one, by place."""
    parts = [Part("code", source, dict(names).get(place)) for place, source in enumerate(sources)]
    return [part.left_out for part in leave_out(parts, only_show)]


@pytest.mark.parametrize(
    "other",
    [
        "x = 1",
        "times = [3]\nprint(times)",  # its own
        "def f(times):\n    return times",
        "[times for times in range(3)]",
        "for times in range(3):\n    print(times)",
        "from course_utils.plots import draw_race\ndraw_race([])",
        "'a text in which times stands'",
        "with open('x') as times:\n    times.read()",
    ],
)
def test_a_cell_that_only_shows_is_left_out(other):
    assert left_out("x = 0", SHOW, other) == [False, True, False]


@pytest.mark.parametrize(
    "other",
    [
        "print(times)",
        "times = times + [3]",
        "times += [3]",
        "print(times)\ntimes = 3",
        "if x:\n    times = 3\nprint(times)",
        "for times in ():\n    pass\nprint(times)",
        "def f():\n    return times",
        "def f():\n    return [t for t in times]",
        "class A:\n    b = times",
        "draw_race([])",  # imported by the cell alone
        "globals()['times']",
        "del times",
        "%matplotlib inline",  # not Python: it may be anything
        "this is no Python",
    ],
)
def test_a_cell_on_which_another_one_may_build_runs(other):
    assert left_out("x = 0", SHOW, other) == [False, False, False]


def test_what_an_earlier_cell_imports_as_well_is_known_without_it():
    assert left_out("from course_utils.plots import draw_race", SHOW, "draw_race([])") == [False, True, False]
    assert left_out("from elsewhere import draw_race", SHOW, "draw_race([])") == [False, False, False]


def test_a_cell_that_the_student_changed_runs():
    assert left_out(SHOW + "\nanswer = 3") == [False]
    assert left_out(f"\n{SHOW}\n") == [True]


def test_a_cell_with_a_grade_runs_whatever_its_text():
    assert left_out(SHOW, names=[(0, "net")]) == [False]


def test_a_global_that_a_function_sets_counts_as_left_behind():
    show = "def draw():\n    global answer\n    answer = 3\n\n\ndraw()"
    assert left_out(show, "print(answer)", only_show=(show,)) == [False, False]
    assert left_out(show, "print(draw)", only_show=(show,)) == [False, False]
    assert left_out(show, "print(3)", only_show=(show,)) == [True, False]


def test_of_two_that_build_on_each_other_both_run_where_one_must():
    first, second = "times = [1]", "shown = sum(times)"
    assert left_out(first, second, "x = 1", only_show=(first, second)) == [True, True, False]
    assert left_out(first, second, "print(shown)", only_show=(first, second)) == [False, False, False]


def test_nothing_is_left_out_unless_the_instructor_says_so():
    assert left_out(SHOW, only_show=()) == [False]
