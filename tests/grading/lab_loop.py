"""One lab through release, submissions, autograde and feedback, run once for all tests that look at it.

A lab's file, such as `tests/grading/test_lab4_loop.py`, names its `LAB`, its `SUBMISSIONS`, the points `EXPECTED` of
each and, with `pytestmark = marks(LAB)`, that it is slow and needs the sandbox; its class inherits the tests.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from grading.book.autograde import autograde
from grading.book.nbgrader import feedback, points, release
from grading.course import Course
from grading.lab.contract import read_test_cells
from grading.run import many
from tests.grading.notebooks import edit

Answers = dict[str, str]  # the text of cells by grade_id


def marks(lab: str) -> list[pytest.MarkDecorator]:
    """What holds for every test of a lab's loop; all of them run in one process, where the lab is graded once."""
    return [
        pytest.mark.needs_sandbox,
        pytest.mark.slow,
        pytest.mark.xdist_group(f"{lab}_loop"),
        pytest.mark.filterwarnings("default"),  # nbgrader, nbconvert and zmq remark on themselves
    ]


def solutions(lab: str, *names: str) -> Answers:
    """The lab's own answers to these exercises, to all of them if none is named."""
    found = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(Course.here().source_notebook(lab), as_version=4).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    return {name: found[name] for name in names or found}


def full_points(lab: str) -> dict[str, float]:
    """The points of each test cell."""
    return {test.grade_id: test.max_points for test in read_test_cells(Course.here().source_notebook(lab))}


def points_without(lab: str, wrong: Answers, **others: Any) -> dict[str, Any]:
    """Points of a solved lab in which these answers are wrong, and in which other cells give these points."""
    full = full_points(lab)
    lost = {f"{name}_check": 0.0 for name in wrong if f"{name}_check" in full}
    assert lost and others.keys() <= full.keys()
    return full | lost | others


@dataclass(frozen=True)
class Below:
    """Equals every number below this one, but no negative one: points of which only that is certain."""

    limit: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and 0 <= other < self.limit


@dataclass(frozen=True)
class GradedLab:
    """What became of the submissions of a lab."""

    course: Course
    lab: str
    judged: dict[str, dict[str, float]]  # by student and test cell, as the judge said

    def in_gradebook(self, student: str) -> dict[str, float]:
        """Points by test cell, as the gradebook holds them."""
        found = points(self.course, self.lab, student)
        return {name: found[name].points for name in full_points(self.lab)}

    def by_hand(self, student: str) -> set[str]:
        """The written answers that wait for the instructor."""
        return {name for name, score in points(self.course, self.lab, student).items() if score.by_hand}

    def feedback_page(self, student: str) -> Path:
        """The page that the student receives."""
        feedback(self.course, self.lab, student)
        return self.course.gradebook / "feedback" / student / self.lab / f"{self.lab}.html"


def grade_lab(root: Path, lab: str, submissions: dict[str, Answers]) -> GradedLab:
    """Release a lab in a course of its own, hand in notebooks with these answers by student, and grade them in one run.

    What the judge says is noted on its way to the gradebook, so no submission runs twice, and one sandbox serves all.
    """
    course = Course(root)
    for here, there in [
        (Course.here().text_source(lab), course.text_source(lab)),
        (Course.here().config, course.config),
    ]:
        there.parent.mkdir(parents=True)
        there.write_text(here.read_text(encoding="utf-8"), encoding="utf-8")
    release(course, lab)
    for student, answers in submissions.items():
        edit(course.released_notebook(lab), course.submitted(student, lab) / f"{lab}.ipynb", answers)
    said: list[dict[str, float]] = []

    def grade_here(*job: Any) -> Any:
        graded = real(*job)
        said.append({one.grade_id: one.points for one in graded.outcomes})
        return graded

    real = many.grade_here
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "grade_here", grade_here)
        rows = autograde(course, lab, list(submissions))
    assert [(row.student, row.note) for row in rows if row.failed] == []
    return GradedLab(course, lab, dict(zip(submissions, said, strict=True)))


class LabLoop:
    """The tests that every lab passes; a subclass in the lab's file says which answer is written, and may add tests."""

    written: str  # the grade_id of the answer that the instructor reads

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test for every student of the file's SUBMISSIONS."""
        if "student" in metafunc.fixturenames:
            metafunc.parametrize("student", metafunc.module.SUBMISSIONS)

    @pytest.fixture
    def expected(self, request: pytest.FixtureRequest, student: str) -> Any:
        """Points by test cell."""
        return request.module.EXPECTED[student]

    def test_gradebook_holds_the_points_expected(self, graded_lab, student, expected):
        assert graded_lab.in_gradebook(student) == expected
        assert graded_lab.by_hand(student) == (set() if student == "untouched" else {self.written})

    def test_the_judge_gives_the_same_points(self, graded_lab, student, expected):
        assert graded_lab.judged[student] == expected

    def test_the_student_receives_a_feedback_page(self, graded_lab, student):
        assert graded_lab.feedback_page(student).stat().st_size > 10_000
