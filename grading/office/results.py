"""What the gradebook holds of a lab, for report and export."""

from dataclasses import dataclass, field
from typing import Any

from nbgrader.api import Gradebook

from grading.book.nbgrader import load_config, submissions
from grading.book.origin import Origin, read_origins
from grading.book.record import most_points, read_mark
from grading.course import Course, CourseError
from grading.office.roster import Person, read_roster


@dataclass(frozen=True)
class Result:
    """One student's.

    Args:
        student: nbgrader's id.
        person: Name, address and ids, as far as they are known.
        points: In all, late penalty taken off; None where the submission was not graded.
        max_points: The most that there are.
        penalty: Taken off for handing in late.
        cells: Points by exercise.
        waiting: Exercises that wait for the instructor.
        about: What the last run said: status, seconds, outcomes.
        handed_in: Whether there is a submission.
        origin: What the download said of it.
    """

    student: str
    person: Person
    points: float | None
    max_points: float
    penalty: float = 0.0
    cells: dict[str, float] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    handed_in: bool = True
    origin: Origin = field(default_factory=Origin)

    @property
    def name(self) -> str:
        """Full name, or the id."""
        return self.person.name or self.student

    @property
    def status(self) -> str:
        """What became of it, in words."""
        return str(self.about.get("status", "not graded")) if self.handed_in else "not handed in"


def read_results(course: Course, lab: str) -> tuple[dict[str, float], list[Result]]:
    """The exercises with their points, tasks included, and a result for each student who handed in or is on the roster.

    Raises:
        CourseError: The lab was not graded yet.
    """
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        if lab not in {assignment.name for assignment in gradebook.assignments}:
            raise CourseError(f"{lab} was not graded yet: python -m grading autograde {lab}")
        notebook = gradebook.find_notebook(lab, lab)
        exercises = {cell.name: float(cell.max_score) for cell in (*notebook.grade_cells, *notebook.task_cells)}
        most = most_points(notebook)
        people = {student.id: _person(student) for student in gradebook.students}
        people |= {person.student: person for person in read_roster(course)}
        origins = read_origins(course, lab)
        found = {}
        for submitted in gradebook.notebook_submissions(lab, lab):
            cells = {grade.name: grade for grade in submitted.grades}
            student = submitted.student.id
            penalty = float(submitted.late_submission_penalty or 0.0)
            found[student] = Result(
                student, people[student], float(submitted.score) - penalty, most, penalty,
                {name: float(cells[name].score or 0.0) for name in exercises if name in cells},
                tuple(name for name in exercises if name in cells and cells[name].needs_manual_grade),
                read_mark(course, student, lab), origin=origins.get(student, Origin()),
            )  # fmt: skip
        for name in submissions(course, lab):
            if name not in found:
                origin = origins.get(name, Origin())
                found[name] = Result(name, people.get(name, Person(name, name)), None, most, origin=origin)
    for person in read_roster(course):
        if person.student not in found:
            found[person.student] = Result(person.student, person, None, most, handed_in=False)
    return exercises, [found[name] for name in sorted(found)]


def _person(student: Any) -> Person:
    full = " ".join(filter(None, [student.first_name, student.last_name]))
    return Person(student.id, full or student.id, student.email or "", student.lms_user_id or "")
