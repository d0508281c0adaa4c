"""Lab 1 through release, autograde and judge: a solved, a half-solved and an untouched submission."""

import nbformat
import pytest

from grading.book.nbgrader import points, release
from grading.course import Course
from grading.lab.contract import read_test_cells
from tests.grading.conftest import edit, graded_once, needs_sandbox

LAB = "lab1_circle"
SOURCE = Course.here().source_notebook(LAB)

pytestmark = [
    needs_sandbox,
    pytest.mark.slow,
    pytest.mark.xdist_group("lab1_loop"),
    pytest.mark.filterwarnings("default"),  # nbgrader, nbconvert and zmq remark on themselves
]

# exercises that the half-solved submission answers; the first is wrong on the circle itself, which hidden tests notice
HALF = ("gen_data", "gen_test", "specs", "interval_linear")
WRONG = {
    "inside_circle": "def inside_circle(x):\n    return 1 if (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 < 0.24 else 0",
    "proved": "It was proved that the network is right everywhere.",
}
FULL = {test.grade_id: test.max_points for test in read_test_cells(SOURCE)}
EXPECTED = {
    "solved": FULL,
    "half": {name: FULL[name] if name.partition("_check")[0].rstrip("_12") in HALF else 0.0 for name in FULL}
    # its labels come from the wrong inside_circle
    | {"gen_data_check": 0.0},
    "untouched": dict.fromkeys(FULL, 0.0),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with lab 1 released and three submissions handed in."""
    made = Course(tmp_path_factory.mktemp("course"))
    made.text_source(LAB).parent.mkdir(parents=True)
    made.config.parent.mkdir()
    made.text_source(LAB).write_text(Course.here().text_source(LAB).read_text(encoding="utf-8"), encoding="utf-8")
    made.config.write_text(Course.here().config.read_text(encoding="utf-8"), encoding="utf-8")
    release(made, LAB)
    solutions = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(SOURCE, as_version=4).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    answers = {
        "solved": solutions,
        "half": {name: solutions[name] for name in HALF} | WRONG,
        "untouched": {},
    }
    for student, given in answers.items():
        edit(made.released_notebook(LAB), made.submitted(student, LAB) / f"{LAB}.ipynb", given)
    return made


@pytest.fixture(scope="module")
def graded(course):
    """Grades a student's submission, once."""
    return graded_once(course, LAB)


@pytest.mark.parametrize("student", EXPECTED)
def test_points_in_the_gradebook_are_those_expected(course, graded, student):
    graded(student)
    found = points(course, LAB, student)
    assert {name: score.points for name, score in found.items() if name in FULL} == EXPECTED[student]
    assert {name for name, score in found.items() if score.by_hand} == (set() if student == "untouched" else {"proved"})


@pytest.mark.parametrize("student", EXPECTED)
def test_the_judge_gives_the_same_points(graded, student):
    assert {one.grade_id: one.points for one in graded(student)} == EXPECTED[student]
