"""Lab 2 through release, autograde and judge: a solved, a wrong and an untouched submission."""

import nbformat
import pytest

from grading.book.nbgrader import feedback, points, release
from grading.course import Course
from grading.lab.contract import read_test_cells
from tests.grading.conftest import edit, graded_once, needs_sandbox

LAB = "lab2_digits"
SOURCE = Course.here().source_notebook(LAB)

pytestmark = [
    needs_sandbox,
    pytest.mark.slow,
    pytest.mark.xdist_group("lab2_loop"),
    pytest.mark.filterwarnings("default"),  # nbgrader, nbconvert and zmq remark on themselves
]

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left untouched.
WRONG = {
    # cuts only the lower image to the valid range
    "perturb_one_pixel": (
        "def perturb_one_pixel(x, pixel_pos, delta, clip=None):\n"
        "    lower, upper = x.clone(), x.clone()\n"
        "    lower[pixel_pos] -= delta\n"
        "    upper[pixel_pos] += delta\n"
        "    if clip is not None:\n"
        "        lower[pixel_pos] = lower[pixel_pos].clamp(*clip)\n"
        "    return lower, upper"
    ),
    # the output at the middle of the box, not the average of the outputs
    "y_specs_around": (
        "def y_specs_around(net, lower, upper, epsilon):\n"
        "    with torch.no_grad():\n"
        "        middle = net(((lower + upper) / 2).reshape(1, -1))[0]\n"
        "    return [[value - epsilon, value + epsilon] for value in middle.tolist()]"
    ),
    # an attack is no proof
    "proves_label": (
        "def proves_label(net, x, pixel_pos, delta, label, clip=None):\n"
        "    both = torch.stack(one_pixel(x, pixel_pos, delta, clip))\n"
        "    return bool((net(both).argmax(dim=1) == label).all())"
    ),
    # counts images that were misread before the attack as withstanding it
    "attacked_accuracy": (
        "from course_utils.attacks import pgd\n\n\n"
        "def attacked_accuracy(net, images, labels, radius):\n"
        "    before = net(images).argmax(dim=1)\n"
        "    after = net(pgd(net, images, before, radius, clip=VALID_RANGE)).argmax(dim=1)\n"
        "    return (after == before).float().mean().item()"
    ),
    "robust_claim": "It is robust everywhere.",
}
# trained as usual: some of the digits can be proved, so some of the points are earned
HALF = {"nn_proof": "nn_proof = network"}
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
    answers = {"solved": solutions, "wrong": solutions | WRONG | HALF, "untouched": {}}
    for student, given in answers.items():
        edit(made.released_notebook(LAB), made.submitted(student, LAB) / f"{LAB}.ipynb", given)
    return made


@pytest.fixture(scope="module")
def graded(course):
    """Grades a student's submission, once."""
    return graded_once(course, LAB)


def check(student, found):
    """Points that a submission should get, cell by cell."""
    if student == "solved":
        assert found == FULL
    if student == "untouched":
        assert found == dict.fromkeys(FULL, 0.0)
    if student == "wrong":
        failed = {f"{name}_check" for name in WRONG if f"{name}_check" in FULL}
        assert failed and {name: found[name] for name in failed} == dict.fromkeys(failed, 0.0)
        rest = set(FULL) - failed - {"nn_proof_check"}
        assert {name: found[name] for name in rest} == {name: FULL[name] for name in rest}
        assert found["nn_proof_check"] < FULL["nn_proof_check"]


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_points_in_the_gradebook_are_those_expected(course, graded, student):
    graded(student)
    found = points(course, LAB, student)
    check(student, {name: score.points for name, score in found.items() if name in FULL})
    assert {name for name, score in found.items() if score.by_hand} == (
        set() if student == "untouched" else {"robust_claim"}
    )
    feedback(course, LAB, student)
    assert (course.gradebook / "feedback" / student / LAB / f"{LAB}.html").stat().st_size > 10_000


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_the_judge_gives_the_same_points(graded, student):
    check(student, {one.grade_id: one.points for one in graded(student)})
