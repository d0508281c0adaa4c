"""Lab 4 through release, autograde and judge: a solved, a wrong and an untouched submission."""

import nbformat
import pytest

from grading.book.autograde import grade_one
from grading.book.nbgrader import feedback, points, release
from grading.course import Course
from grading.lab.contract import read_test_cells
from grading.run.many import judge_notebook
from tests.grading.conftest import edit

LAB = "lab4_curve"
SOURCE = Course.here().source_notebook(LAB)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("lab4_loop"),
    pytest.mark.filterwarnings("default"),  # nbgrader, nbconvert and zmq remark on themselves
]

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left as solved.
WRONG = {
    # transposes only where the sizes would not fit
    "from_keras": (
        "def from_keras(weights):\n"
        "    pairs = zip(weights[::2], weights[1::2])\n"
        "    return [(w if w.shape[0] == w.shape[1] else w.T, b) for w, b in pairs]"
    ),
    # rounds the digits that Python prints away, but only beyond the fifteenth
    "exact": (
        "def exact(value):\n"
        "    return z3.RealVal(f'{value:.20f}')\n\n\n"
        "def exact_text(value):\n"
        '    """Your Z3 rational, written as a fraction."""\n'
        "    return str(z3.simplify(exact(value)).as_fraction())"
    ),
    # fused: rounds the sum once
    "run_float32": (
        "import numpy as np\n\n\n"
        "def run_float32(layers, point):\n"
        "    h = [float(np.float32(v)) for v in point]\n"
        "    for k, (weight, bias) in enumerate(layers):\n"
        "        z = []\n"
        "        for row, total in zip(weight, bias):\n"
        "            total = float(np.float32(total))\n"
        "            for w, v in zip(row, h):\n"
        "                total = float(np.float32(total + w * v))\n"
        "            z.append(total)\n"
        "        h = z if k == len(layers) - 1 else [max(v, 0.0) for v in z]\n"
        "    return h"
    ),
    "what_is_proved": "It is proved that the network is T4.",
}
# exactness lost for weights that take all their digits: the exercise that uses `exact` loses its point for that
HALF = {"net_z3_check": 4.0}
FULL = {test.grade_id: test.max_points for test in read_test_cells(SOURCE)}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with lab 2 released and three submissions handed in."""
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
    answers = {"solved": solutions, "wrong": solutions | WRONG, "untouched": {}}
    for student, given in answers.items():
        edit(made.released_notebook(LAB), made.submitted(student, LAB) / f"{LAB}.ipynb", given)
    return made


def check(student, found):
    """Points that a submission should get, cell by cell."""
    if student == "solved":
        assert found == FULL
    if student == "untouched":
        assert found == dict.fromkeys(FULL, 0.0)
    if student == "wrong":
        failed = {f"{name}_check" for name in WRONG if f"{name}_check" in FULL}
        assert failed and {name: found[name] for name in failed} == dict.fromkeys(failed, 0.0)
        rest = set(FULL) - failed
        assert {name: found[name] for name in rest} == {name: HALF.get(name, FULL[name]) for name in rest}


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_points_in_the_gradebook_are_those_expected(course, student):
    grade_one(course, LAB, student)
    found = points(course, LAB, student)
    check(student, {name: score.points for name, score in found.items() if name in FULL})
    assert {name for name, score in found.items() if score.by_hand} == (
        set() if student == "untouched" else {"what_is_proved"}
    )
    feedback(course, LAB, student)
    assert (course.gradebook / "feedback" / student / LAB / f"{LAB}.html").stat().st_size > 10_000


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_the_judge_gives_the_same_points(course, student):
    outcomes = judge_notebook(SOURCE, course.submitted(student, LAB) / f"{LAB}.ipynb")
    check(student, {one.grade_id: one.points for one in outcomes})
