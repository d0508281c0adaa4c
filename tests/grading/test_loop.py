"""The whole nbgrader loop on the small lab: release, submissions, autograde, feedback, and the judge beside it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from grading.book.autograde import grade_one
from grading.book.nbgrader import feedback, points, release, submissions
from grading.course import CourseError
from grading.run.many import judge_notebook
from tests.grading.conftest import LAB, edit, make_course, needs_sandbox

pytestmark = [
    needs_sandbox,
    pytest.mark.slow,
    pytest.mark.xdist_group("loop"),
    # nbgrader, nbconvert and zmq remark on themselves; what our own code warns of is tested elsewhere
    pytest.mark.filterwarnings("default"),
]

HALF_SOLVED = {
    "width": "x_specs = [[0.7, 0.85], [0.7, 0.85]]\ndef width(lower, upper):\n    return upper - lower",
    "middle": "import numpy as np\ndef middle(bounds):\n    return np.asarray(bounds)[:, 0]",
    "corner": "import torch\ncorner = torch.tensor([0.85, 0.85])",
    "meaning": "Nothing.",
}
EXPECTED = {
    "solved": {"width_check": 2, "middle_check": 4, "corner_check": 1},
    "half": {"width_check": 0, "middle_check": 1, "corner_check": 1},
    "untouched": {"width_check": 0, "middle_check": 0, "corner_check": 0},
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The small lab released, handed in by three students, autograded, with feedback."""
    course = make_course(tmp_path_factory.mktemp("course"))
    release(course, LAB)
    released = course.released_notebook(LAB)
    handed_in = {
        "solved": (course.source_notebook(LAB), {}),
        "half": (released, HALF_SOLVED),
        "untouched": (released, {}),
    }
    for student, (notebook, changes) in handed_in.items():
        edit(notebook, course.submitted(student, LAB) / f"{LAB}.ipynb", changes)
        grade_one(course, LAB, student)
        feedback(course, LAB, student)
    return course


@pytest.mark.parametrize("student", EXPECTED)
def test_gradebook_holds_the_points_expected(graded, student):
    found = {name: score.points for name, score in points(graded, LAB, student).items() if name != "meaning"}
    assert found == EXPECTED[student]


@pytest.mark.parametrize("student", EXPECTED)
def test_the_judge_gives_the_points_of_the_kernel(graded, student):
    outcomes = judge_notebook(graded.source_notebook(LAB), graded.submitted(student, LAB) / f"{LAB}.ipynb")
    assert {one.grade_id: one.points for one in outcomes} == EXPECTED[student]


def test_a_written_answer_waits_for_the_instructor_unless_it_was_left_as_it_was(graded):
    waiting = {student: points(graded, LAB, student)["meaning"].by_hand for student in EXPECTED}
    assert waiting == {"solved": True, "half": True, "untouched": False}


@pytest.mark.parametrize("student", EXPECTED)
def test_feedback_page_shows_the_score(graded, student):
    page = (graded.gradebook / "feedback" / student / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert f"Score: {float(sum(EXPECTED[student].values()))} / 10.0" in page


def test_feedback_page_cuts_no_picture_off(graded):
    page = (graded.gradebook / "feedback" / "solved" / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert re.search(r"img\s*\{\s*max-width: 100%", page.split("<body")[0])


def test_released_notebook_is_valid_and_holds_no_solution_and_no_hidden_test(graded):
    notebook = nbformat.read(graded.released_notebook(LAB), as_version=4)
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert 'raise NotImplementedError("not done yet' in text and "YOUR ANSWER HERE" in text
    for secret in ("BEGIN SOLUTION", "HIDDEN", "return upper - lower", "hint:", "np.allclose", "Nothing at all"):
        assert secret not in text


def test_release_holds_the_notebook_and_nothing_else(graded):
    assert [path.name for path in (graded.released / LAB).iterdir()] == [f"{LAB}.ipynb"]


def test_submissions_are_listed(graded):
    assert submissions(graded, LAB) == ["half", "solved", "untouched"]


def test_autograde_without_a_submission_says_where_one_belongs(graded):
    with pytest.raises(CourseError, match=r"a submission is gradebook/submitted/STUDENT/small_lab/small_lab\.ipynb"):
        grade_one(graded, LAB, "nobody")


def test_validate_accepts_the_solved_notebook_as_a_student_would_hand_it_in(graded, tmp_path):
    solutions = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(graded.source_notebook(LAB), as_version=4).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    path = edit(graded.released_notebook(LAB), tmp_path / f"{LAB}.ipynb", solutions)
    assert nbgrader(graded, "validate", str(path)).startswith("Success! Your notebook passes all the tests.")


def test_validate_tells_an_untouched_notebook_which_tests_fail(graded):
    said = nbgrader(graded, "validate", str(graded.released_notebook(LAB)))
    # the three test cells, and the written answer that is still to be given
    assert said.startswith("VALIDATION FAILED ON 4 CELL(S)!")


def test_plain_nbgrader_commands_give_the_same_points(graded, tmp_path):
    again = make_course(tmp_path / "plain")
    edit(graded.submitted("half", LAB) / f"{LAB}.ipynb", again.submitted("half", LAB) / f"{LAB}.ipynb", {})
    nbgrader(again, "generate_assignment", LAB, "--force")
    nbgrader(again, "autograde", LAB)
    nbgrader(again, "generate_feedback", LAB)
    assert {n: s.points for n, s in points(again, LAB, "half").items() if n != "meaning"} == EXPECTED["half"]
    assert (again.gradebook / "feedback" / "half" / LAB / f"{LAB}.html").is_file()


def test_formgraders_list_holds_the_graded_submissions(graded):
    from nbgrader.apps.api import NbGraderAPI

    from grading.book.nbgrader import load_config

    listed = NbGraderAPI(config=load_config(graded)).get_submissions(LAB)
    assert {one["student"]: one["score"] for one in listed if one["autograded"]} == {
        student: sum(found.values()) for student, found in EXPECTED.items()
    }


def test_command_line_prints_points_by_cell(graded):
    notebook = graded.submitted("half", LAB) / f"{LAB}.ipynb"
    command = [sys.executable, "-m", "grading", "--course", str(graded.root), "judge", "--lab", LAB, str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.splitlines()[0].split()[:4] == ["width_check", "0", "of", "2"]
    assert done.stdout.splitlines()[-1] == "total: 2 of 7 points"


def nbgrader(course, *arguments):
    """Standard output of an nbgrader command run from grading/."""
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course.config.parent,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment():
    """That of a shell in which the environment was not activated."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
