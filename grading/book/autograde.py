"""Grade the submissions of a lab: read each, run and judge it in the sandbox, in parallel, and record it.

Only this process opens the gradebook. Submissions that have not changed since they were graded are left alone.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nbgrader.api import MissingEntry
from sqlalchemy.exc import SAWarning

from grading.book.nbgrader import ensure_released, load_config, submissions
from grading.book.record import Recorder, fingerprint, read_mark
from grading.course import Course, CourseError, shown
from grading.lab.files import lab_files
from grading.lab.hidden_seed import term_blueprint
from grading.lab.shown import cells_that_only_show
from grading.lab.submission import read_submission
from grading.limits import Limits
from grading.run.many import Job, imports_of, in_parallel
from grading.run.one import Graded, Status
from grading.sandbox.bubblewrap import HOW_TO_GET_BUBBLEWRAP, bubblewrap

FINAL = set(Status) - {Status.NOT_JUDGED}  # what a rerun would find again


class Unrun(StrEnum):
    """Why a submission was not graded in this run."""

    UNCHANGED = "unchanged"
    RESCORED = "rescored"  # only what lateness costs has changed
    NOT_GRADED = "not graded"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Row:
    """What the instructor reads of one submission.

    Args:
        student: Whose it is.
        points: Earned, or None where it was not graded.
        max_points: The most that there are.
        status: What became of it in this run, or why it was not run.
        seconds: On the clock.
        note: One line, or empty.
        by_hand: Cells that wait for the instructor.
    """

    student: str
    points: float | None
    max_points: float
    status: Status | Unrun
    seconds: float
    note: str = ""
    by_hand: int = 0

    @property
    def failed(self) -> bool:
        """Whether there are no points for it."""
        return self.points is None


def autograde(
    course: Course,
    lab: str,
    students: list[str] | None = None,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    limits: Limits | None = None,
    force: bool = False,
    unsafe: bool = False,
    told: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Grade a lab.

    Args:
        course: The course.
        lab: The lab.
        students: Whose submissions; all that were handed in if None.
        workers: How many submissions run at once on this machine.
        scheduler: Address of a Dask cluster to use instead.
        limits: What a submission may use.
        force: Also grade what has not changed.
        unsafe: Without a sandbox.
        told: Called with each row as soon as it is known.

    Returns:
        A row for each student, in alphabetical order.

    Raises:
        CourseError: Nothing can be graded: no lab, no sandbox, nothing handed in.
    """
    course.check_lab(lab)
    limits = limits or Limits()
    if not unsafe and scheduler is None and (bubblewrap() is None or not sys.platform.startswith("linux")):
        raise CourseError(HOW_TO_GET_BUBBLEWRAP)
    blueprint, beside = term_blueprint(course, lab), lab_files(course, lab)
    only_show = cells_that_only_show(course.source_notebook(lab))
    with _quiet():
        ensure_released(course, lab)
        rows: dict[str, Row] = {}
        jobs: dict[str, Job] = {}
        marks: dict[str, str] = {}
        for student in students if students is not None else submissions(course, lab):
            try:
                submission = read_submission(course.submitted(student, lab), lab, set(blueprint))
            except Exception as error:  # whatever is in one folder, the others are graded
                said = str(error) if isinstance(error, (CourseError, OSError)) else type(error).__name__
                rows[student] = Row(student, None, 0.0, Unrun.NOT_GRADED, 0.0, said)
                told(rows[student])
                continue
            submission.files[:] = [one for one in submission.files if one[0] != "timestamp.txt"]
            marks[student] = fingerprint(submission, blueprint, limits, beside, only_show)
            jobs[student] = Job(submission, blueprint, limits, unsafe, lab_files=beside, only_show=only_show)
        with Recorder(course, lab, load_config(course)) as recorder:
            for student in list(jobs) if not force else []:
                row = _known(course, lab, recorder, student, marks[student])
                if row is not None:
                    del jobs[student]
                    rows[student] = row
                    told(row)
            for student, result in in_parallel(
                jobs, imports_of(course.source_notebook(lab)), workers=workers, scheduler=scheduler
            ):
                rows[student] = _recorded(recorder, student, result, marks[student])
                told(rows[student])
    return [rows[student] for student in sorted(rows)]


def _known(course: Course, lab: str, recorder: Recorder, student: str, mark: str) -> Row | None:
    """The row of a submission that was graded as it is now; None where it has to be run."""
    known = read_mark(course, student, lab)
    if known.get("fingerprint") != mark or known["status"] not in FINAL:
        return None
    try:
        unchanged = known.get("lateness") == recorder.lateness(student).digest()
        now = recorder.standing(student) if unchanged else recorder.rescore(student, known)
    except MissingEntry:  # the gradebook was removed
        return None
    status = Unrun.UNCHANGED if unchanged else Unrun.RESCORED
    return Row(student, now.points, now.max_points, status, 0.0, by_hand=now.waiting)


def _recorded(recorder: Recorder, student: str, result: Graded | Exception, mark: str) -> Row:
    if isinstance(result, Exception):
        return Row(student, None, 0.0, Unrun.NOT_GRADED, 0.0, str(result).partition("\n")[0])
    notes = list(result.notes)
    late = [outcome.grade_id for outcome in result.outcomes if outcome.out_of_time]
    if late:
        notes.append(f"look at {', '.join(late)}: there was not enough time")
    if result.notebook is None:
        return Row(student, None, 0.0, result.status, result.seconds, "; ".join(notes))
    try:
        now = recorder.record(student, result, mark)
    except Exception as error:  # whatever is in one submission, the others are recorded
        return Row(student, None, 0.0, Unrun.NOT_RECORDED, result.seconds, f"{type(error).__name__}: {error}")
    return Row(student, now.points, now.max_points, result.status, result.seconds, "; ".join(notes), now.waiting)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # nbgrader 0.9 builds its rows before it adds them to the session; SQLAlchemy 2 remarks on each, and nothing is
        # lost
        warnings.filterwarnings("ignore", message="Object of type <Submitted", category=SAWarning)
        yield


def table(rows: list[Row]) -> str:
    """The rows as text, and a line that counts them."""
    names = [shown(row.student) for row in rows]
    width = max([7, *map(len, names)])
    lines = [f"{'student':<{width}}  {'points':>7}  {'of':>5}  {'status':<12}  {'seconds':>7}  {'by hand':>7}  note"]
    for name, row in zip(names, rows, strict=True):
        points = "-" if row.points is None else f"{row.points:g}"
        lines.append(
            f"{name:<{width}}  {points:>7}  {row.max_points or '-':>5}  {row.status:<12}  {row.seconds:>7.1f}  "
            f"{row.by_hand or '':>7}  {shown(row.note)}".rstrip()
        )
    failed = sum(row.failed for row in rows)
    unchanged = sum(row.status is Unrun.UNCHANGED for row in rows)
    rescored = sum(row.status is Unrun.RESCORED for row in rows)
    graded = len(rows) - failed - unchanged - rescored
    lines.append(f"{graded} graded, {unchanged} unchanged, {failed} not graded")
    if rescored:
        lines[-1] += f", {rescored} rescored for another due date or time of handing in"
    if waiting := sum(row.by_hand for row in rows):
        lines[-1] = f"{waiting} answers wait to be graded by hand (make formgrader); {lines[-1]}"
    return "\n".join(lines)


def grade_one(course: Course, lab: str, student: str, **options: Any) -> Row:
    """Grade one student's submission, changed or not.

    Raises:
        CourseError: It could not be graded.
    """
    (row,) = autograde(course, lab, [student], force=True, **options)
    if row.failed:
        raise CourseError(f"{student}: {row.note or row.status}")
    return row
