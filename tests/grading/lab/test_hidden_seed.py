"""A seed for the term changes what hidden tests draw, and nothing that a student sees."""

import numpy as np
import pytest

from grading.book.record import fingerprint
from grading.course import Course, CourseError
from grading.lab.contract import without_hidden
from grading.lab.hidden_seed import read_seed, term_blueprint, with_seed, write_seed
from grading.lab.submission import Submission, read_blueprint
from grading.limits import Limits

CELL = """# uses: f
import numpy as np
shown = np.random.RandomState(3).rand()
### BEGIN HIDDEN TESTS
hidden = np.random.RandomState(3).rand()
other = np.random.default_rng(3).random() + len("RandomState(n)")
### END HIDDEN TESTS
last = np.random.RandomState(3).rand()
"""


def drawn(source):
    names = {}
    exec(source, names)
    return names


def test_hidden_tests_draw_other_numbers_for_each_term():
    plain, first, second = (drawn(with_seed(CELL, seed)) for seed in (0, 1, 2))
    assert plain["hidden"] == plain["shown"] == np.random.RandomState(3).rand()
    assert len({one["hidden"] for one in (plain, first, second)}) == 3
    assert len({one["other"] for one in (plain, first, second)}) == 3
    assert drawn(with_seed(CELL, 1))["hidden"] == first["hidden"]


def test_the_visible_part_stays_as_it_is():
    assert without_hidden(with_seed(CELL, 5)) == without_hidden(CELL)
    assert drawn(with_seed(CELL, 5))["shown"] == drawn(with_seed(CELL, 5))["last"] == drawn(CELL)["shown"]
    assert with_seed(CELL, 0) == CELL


def test_every_lab_of_the_course_has_hidden_tests_that_the_seed_changes():
    course = Course.here()
    for lab in course.lab_names():
        cells = read_blueprint(course.source_notebook(lab))
        assert any(with_seed(cell.source, 1) != cell.source for cell in cells.values() if cell.is_test), lab


def test_a_change_of_the_seed_is_a_change_of_what_was_graded(course):
    lab = course.lab_names()[0]
    source = course.source_notebook(lab)
    source.parent.mkdir(exist_ok=True)
    source.write_text(Course.here().source_notebook("lab5_relaxations").read_text(encoding="utf-8"), encoding="utf-8")

    def mark():
        return fingerprint(Submission(b"{}"), term_blueprint(course, lab), Limits(), [])

    assert read_seed(course) == 0 and term_blueprint(course, lab) == read_blueprint(source)
    before = mark()
    write_seed(course, 7)
    assert read_seed(course) == 7 and mark() != before
    write_seed(course, 0)
    assert mark() == before


def test_a_seed_is_a_whole_number(course):
    with pytest.raises(CourseError, match="at least 0, found -1"):
        write_seed(course, -1)
    write_seed(course, 1)
    (course.gradebook / "hidden_seed.txt").write_text("spring", encoding="utf-8")
    with pytest.raises(CourseError, match="found 'spring', expected a whole number"):
        read_seed(course)
