"""Record what the judge found: nbgrader's gradebook, and the graded notebook that formgrader and feedback read.

A submission is recorded in one transaction, then its folder below `gradebook/autograded/` is put in place in one step,
with a mark of what was graded in it. So a kill at any moment leaves either all of it or what was there before; where
the mark is missing or differs, the next run grades again and writes the same.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, parse_utc
from sqlalchemy.orm import scoped_session
from traitlets.config import Config

from grading.book.deadlines import Deadline, Lateness, lateness, read_deadlines
from grading.book.origin import Origin, read_origins
from grading.book.rubric import add_rubrics
from grading.course import Course
from grading.lab.submission import GradedCell, Submission, read_blueprint
from grading.limits import Limits
from grading.run.one import Graded

MARK = ".grading.json"


@dataclass(frozen=True)
class Standing:
    """What the gradebook holds of one submission.

    Args:
        points: Manual ones and extra credit included, the penalty taken off.
        max_points: The most that there are, manually graded tasks included.
        waiting: Answers that wait for the instructor.
    """

    points: float
    max_points: float
    waiting: int


class Recorder:
    """The one writer of a course's gradebook; a context.

    Args:
        course: The course.
        lab: The lab, which the gradebook knows.
        config: nbgrader's settings.
    """

    def __init__(self, course: Course, lab: str, config: Config) -> None:
        settings = config.CourseDirectory
        self._course, self._lab, self._config = course, lab, config
        self._gradebook = Gradebook(settings.db_url, settings.course_id)
        notebook = self._gradebook.find_notebook(lab, lab)
        cells = (*notebook.grade_cells, *notebook.solution_cells, *notebook.task_cells)
        self._names = {cell.id: cell.name for cell in cells}
        self._checksums = {cell.name: cell.checksum for cell in notebook.source_cells}
        self._deadline = read_deadlines(course).get(lab, Deadline())
        self._origins = read_origins(course, lab)
        self._blueprint = read_blueprint(course.source_notebook(lab))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._gradebook.close()

    def record(self, student: str, graded: Graded, mark: str) -> Standing:
        """Write one submission's points and notebook.

        Args:
            student: Whose it is.
            graded: What the judge found, with a notebook.
            mark: Fingerprint of what was graded.

        Returns:
            What the gradebook holds of it now.
        """
        notebook = nbformat.from_dict(graded.notebook)
        for cell in notebook.cells:
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader["checksum"] = self._checksums.get(cell.metadata.nbgrader["grade_id"], "")
        add_rubrics(notebook, self._blueprint)
        stamp = _stamp(self._course.submitted(student, self._lab) / "timestamp.txt")
        with self._transaction():
            late = self._write_points(student, notebook, graded, stamp)
        about = {**json.loads(replace(graded, notebook=None).to_json()), "fingerprint": mark}
        self._publish(student, notebook, about | _told(late), stamp)
        return self.standing(student)

    def standing(self, student: str) -> Standing:
        """What the gradebook holds of a submission that was recorded.

        Raises:
            MissingEntry: It was not.
        """
        submitted = self._gradebook.find_submission_notebook(self._lab, self._lab, student)
        self._gradebook.db.refresh(submitted)
        points = float(submitted.score) - float(submitted.late_submission_penalty or 0.0)
        waiting = sum(bool(grade.needs_manual_grade) for grade in submitted.grades)
        return Standing(points, most_points(submitted.notebook), waiting)

    def lateness(self, student: str) -> Lateness:
        """How late a submission is, as far as that is known.

        Raises:
            MissingEntry: It was not recorded.
        """
        submission = self._gradebook.find_submission(self._lab, student)
        return self._lateness(student, submission, self._stamp_of(student))

    def rescore(self, student: str, known: dict[str, Any]) -> Standing:
        """Charge lateness again, for a submission that is otherwise as it was; nothing is run.

        Args:
            student: Whose it is.
            known: What read_mark() says.
        """
        stamp = self._stamp_of(student)
        with self._transaction():
            submission = self._gradebook.find_submission(self._lab, student)
            submitted = self._gradebook.find_submission_notebook(self._lab, self._lab, student)
            late = self._charge(student, submission, submitted, stamp)
        folder = autograded(self._course, student, self._lab)
        _write_stamp(folder, stamp)
        made = folder / f"{MARK}.made"
        made.write_text(json.dumps(known | _told(late)), encoding="utf-8")
        made.replace(folder / MARK)
        return self.standing(student)

    def _stamp_of(self, student: str) -> str | None:
        return _stamp(self._course.submitted(student, self._lab) / "timestamp.txt")

    def _write_points(self, student: str, notebook: Any, graded: Graded, stamp: str | None) -> Lateness:
        book = self._gradebook
        book.update_or_create_student(student)
        submission = book.update_or_create_submission(self._lab, student)
        submitted = book.find_submission_notebook(self._lab, self._lab, student)
        grades = {self._names[grade.cell_id]: grade for grade in submitted.grades if grade.cell_id in self._names}
        comments = {self._names[one.cell_id]: one for one in submitted.comments if one.cell_id in self._names}
        late = {outcome.grade_id for outcome in graded.outcomes if outcome.out_of_time}
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if is_grade(cell) and name in grades:
                grade = grades[name]
                grade.auto_score = determine_grade(cell)[0]
                grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None or name in late
            if is_solution(cell) and name in comments:
                unchanged = cell.metadata.nbgrader["checksum"] == compute_checksum(cell)
                comments[name].auto_comment = "No response." if unchanged else None
        book.db.flush()
        book.db.refresh(submitted)
        return self._charge(student, submission, submitted, stamp)

    def _charge(self, student: str, submission: Any, submitted: Any, stamp: str | None) -> Lateness:
        """Write the time of handing in, where it is known, and what lateness costs."""
        submission.timestamp = parse_utc(stamp) if stamp else None
        late = self._lateness(student, submission, stamp)
        submitted.late_submission_penalty = self._late_penalty(student, late, submitted)
        self._gradebook.db.flush()
        return late

    def _lateness(self, student: str, submission: Any, stamp: str | None) -> Lateness:
        usual = submission.assignment.duedate
        return lateness(
            self._deadline, student, parse_utc(stamp).replace(tzinfo=UTC) if stamp else None,
            self._origins.get(student, Origin()).late,
            usual.replace(tzinfo=UTC) if usual else None, submission.extension,
        )  # fmt: skip

    def _late_penalty(self, student: str, late: Lateness, submitted: Any) -> float | None:
        """The course's rule, else nbgrader's or the plugin that the configuration names."""
        if late.seconds <= 0:
            return None
        penalty = late.penalty(float(submitted.score))
        if penalty is None:
            step = AssignLatePenalties(config=self._config)
            step.init_plugin()
            penalty = step.plugin_inst.late_submission_penalty(student, submitted.score, late.seconds)
        return None if penalty is None else min(max(penalty, 0.0), submitted.score)

    @contextmanager
    def _transaction(self) -> Any:
        """nbgrader's calls commit one by one; here they all count, or none."""
        session = self._gradebook.db
        session.commit = session.flush
        try:
            yield
            scoped_session.commit(session)
        except BaseException:
            scoped_session.rollback(session)
            raise
        finally:
            del session.commit

    def _publish(self, student: str, notebook: Any, about: dict[str, Any], stamp: str | None) -> None:
        """Put the graded folder in place of an earlier one."""
        target = autograded(self._course, student, self._lab)
        target.parent.mkdir(parents=True, exist_ok=True)
        made, old = (target.with_name(f".{self._lab}.{part}") for part in ("made", "old"))
        for folder in (made, old):
            shutil.rmtree(folder, ignore_errors=True)
        made.mkdir()
        (made / f"{self._lab}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
        _write_stamp(made, stamp)
        (made / MARK).write_text(json.dumps(about), encoding="utf-8")
        if target.exists():
            target.replace(old)
        made.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def autograded(course: Course, student: str, lab: str) -> Path:
    """The folder of a graded submission."""
    return course.gradebook / "autograded" / student / lab


def read_mark(course: Course, student: str, lab: str) -> dict[str, Any]:
    """What is known of an earlier run on a submission; empty where there was none."""
    with suppress(OSError, ValueError):
        told = json.loads((autograded(course, student, lab) / MARK).read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
    return {}


def most_points(notebook: Any) -> float:
    """The most points of a lab, as the gradebook's notebook has it: nbgrader's own sum leaves tasks out."""
    return sum(float(cell.max_score) for cell in (*notebook.grade_cells, *notebook.task_cells))


def fingerprint(
    submission: Submission, blueprint: dict[str, GradedCell], limits: Limits, beside: list[list[str]],
    only_show: Sequence[str] = (),
) -> str:  # fmt: skip
    """A digest of everything that decides a submission's points, but for its lateness."""
    digest = hashlib.sha256()
    parts: Iterable[Any] = (
        submission.notebook.hex(), submission.files, {name: asdict(cell) for name, cell in blueprint.items()},
        limits.to_data(), beside, list(only_show),
    )  # fmt: skip
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\0")
    return digest.hexdigest()


def _told(late: Lateness) -> dict[str, Any]:
    return {"lateness": late.digest(), "late_s": late.seconds, "late_at_least": late.at_least}


def _write_stamp(folder: Path, stamp: str | None) -> None:
    if stamp:
        (folder / "timestamp.txt").write_text(stamp + "\n", encoding="utf-8")
    else:
        (folder / "timestamp.txt").unlink(missing_ok=True)


def _stamp(path: Path) -> str | None:
    """When it was handed in, as the file says; None where it does not say that."""
    with suppress(OSError, ValueError, OverflowError, TypeError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1000:
            text = path.read_text(encoding="utf-8").strip()
            parse_utc(text)
            return text
    return None
