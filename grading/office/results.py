"""What the gradebook holds of a lab, for report and export."""

from dataclasses import dataclass, field
from typing import Any

from nbgrader.api import Gradebook

from grading.book.nbgrader import load_config, submissions
from grading.book.record import read_mark
from grading.course import Course, CourseError


@dataclass(frozen=True)
class Result:
    """One student's.

    Args:
        student: nbgrader's id.
        name: Full name, or the id.
        number: The id in the learning platform, or empty.
        points: In all, late penalty taken off; None where the submission was not graded.
        max_points: The most that there are.
        penalty: Taken off for handing in late.
        cells: Points by exercise.
        waiting: Exercises that wait for the instructor.
        about: What the last run said: status, seconds, outcomes.
    """

    student: str
    name: str
    number: str
    email: str
    points: float | None
    max_points: float
    penalty: float = 0.0
    cells: dict[str, float] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def read_results(course: Course, lab: str) -> tuple[dict[str, float], list[Result]]:
    """The exercises with their points, and a result for each student who handed in.

    Raises:
        CourseError: The lab was not graded yet.
    """
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        if lab not in {assignment.name for assignment in gradebook.assignments}:
            raise CourseError(f"{lab} was not graded yet: python -m grading autograde {lab}")
        exercises = {cell.name: float(cell.max_score) for cell in gradebook.find_notebook(lab, lab).grade_cells}
        known = {student.id: student for student in gradebook.students}
        found = {}
        for submitted in gradebook.notebook_submissions(lab, lab):
            cells = {grade.name: grade for grade in submitted.grades}
            student = submitted.student
            penalty = float(submitted.late_submission_penalty or 0.0)
            found[student.id] = Result(
                student.id, *_who(student), float(submitted.score) - penalty, sum(exercises.values()), penalty,
                {name: float(cells[name].score or 0.0) for name in exercises if name in cells},
                tuple(name for name in exercises if name in cells and cells[name].needs_manual_grade),
                read_mark(course, student.id, lab),
            )  # fmt: skip
        for name in submissions(course, lab):
            if name not in found:
                who = _who(known[name]) if name in known else (name, "", "")
                found[name] = Result(name, *who, None, sum(exercises.values()))
    return exercises, [found[name] for name in sorted(found)]


def _who(student: Any) -> tuple[str, str, str]:
    full = " ".join(filter(None, [student.first_name, student.last_name]))
    return full or student.id, student.lms_user_id or "", student.email or ""
