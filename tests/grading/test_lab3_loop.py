"""Lab 3 through release, autograde and judge: a solved, a wrong and an untouched submission."""

import nbformat
import pytest

from grading.book.autograde import grade_one
from grading.book.nbgrader import feedback, points, release
from grading.course import Course
from grading.lab.contract import read_test_cells
from grading.run.many import judge_notebook
from tests.grading.conftest import edit

LAB = "lab3_verifier"
SOURCE = Course.here().source_notebook(LAB)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("lab3_loop"),
    pytest.mark.filterwarnings("default"),  # nbgrader, nbconvert and zmq remark on themselves
]

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left solved.
WRONG = {
    # only the first row of several outputs is carried back with its offset
    "backward_step": (
        "def backward_step(c, offset, lower_slope, upper_slope, upper_offset):\n"
        "    positive, negative = c.clamp(min=0), c.clamp(max=0)\n"
        "    return positive * lower_slope + negative * upper_slope, offset + (negative @ upper_offset)[:1]"
    ),
    # pre is made again instead of being taken
    "crown_lower": (
        "def crown_lower(layers, pre, lower, upper):\n"
        "    c, offset = layers[-1]\n"
        "    pre = interval_bounds(layers, lower, upper)[:-1]\n"
        "    for (weight, bias), (low, high) in zip(layers[-2::-1], pre[::-1]):\n"
        "        a, s, t = relax(low, high)\n"
        "        offset = offset + c.clamp(max=0) @ t\n"
        "        c = c.clamp(min=0) * a + c.clamp(max=0) * s\n"
        "        c, offset = c @ weight, offset + c @ bias\n"
        "    return c.clamp(min=0) @ lower + c.clamp(max=0) @ upper + offset"
    ),
    # the steps have one length for all inputs and boxes
    "pgd": (
        "def pgd(net, lower, upper, steps=40):\n"
        "    x = (lower + upper) / 2\n"
        "    for _ in range(steps):\n"
        "        x = x.detach().requires_grad_()\n"
        "        (gradient,) = torch.autograd.grad(net(x.reshape(1, -1)).sum(), x)\n"
        "        x = torch.minimum(torch.maximum(x - 0.02 * gradient.sign(), lower), upper)\n"
        "    return x.detach()"
    ),
    # the neuron of the first layer, whichever layer was meant
    "split_relu": (
        "def split_relu(pre, layer, neuron):\n"
        "    lower, upper = pre[0]\n"
        "    one, other = upper.clone(), lower.clone()\n"
        "    one[neuron] = other[neuron] = 0\n"
        "    return [(lower, one), *pre[1:]], [(other, upper), *pre[1:]]"
    ),
    "blanks": 'blanks = dict.fromkeys("ABCDEF", "the line below")',
    "sound_complete": "It is sound because it worked.",
}
# slope 0 below every unstable neuron: three of five points; and CROWN's bounds, which follow from it, are others
HALF = {
    "relax": (
        "def relax(lower, upper):\n"
        "    active = (lower >= 0).double()\n"
        "    bends = (lower < 0) & (upper > 0)\n"
        "    slope = torch.where(bends, upper / (upper - lower).clamp(min=1e-300), active)\n"
        "    return active, slope, torch.where(bends, -slope * lower, 0 * lower)"
    )
}
FULL = {test.grade_id: test.max_points for test in read_test_cells(SOURCE)}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with lab 3 released and three submissions handed in."""
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


def check(student, found):
    """Points that a submission should get, cell by cell."""
    if student == "solved":
        assert found == FULL
    if student == "untouched":
        assert found == dict.fromkeys(FULL, 0.0)
    if student == "wrong":
        failed = {f"{name}_check" for name in WRONG if f"{name}_check" in FULL} | {"crown_bounds_check"}
        assert {name: found[name] for name in failed} == dict.fromkeys(failed, 0.0)
        rest = set(FULL) - failed - {"relax_check"}
        assert {name: found[name] for name in rest} == {name: FULL[name] for name in rest}
        assert found["relax_check"] == 3


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_points_in_the_gradebook_are_those_expected(course, student):
    grade_one(course, LAB, student)
    found = points(course, LAB, student)
    check(student, {name: score.points for name, score in found.items() if name in FULL})
    assert {name for name, score in found.items() if score.by_hand} == (
        set() if student == "untouched" else {"sound_complete"}
    )
    feedback(course, LAB, student)
    assert (course.gradebook / "feedback" / student / LAB / f"{LAB}.html").stat().st_size > 10_000


@pytest.mark.parametrize("student", ["solved", "wrong", "untouched"])
def test_the_judge_gives_the_same_points(course, student):
    outcomes = judge_notebook(SOURCE, course.submitted(student, LAB) / f"{LAB}.ipynb")
    check(student, {one.grade_id: one.points for one in outcomes})
