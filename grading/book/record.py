"""Record what the judge found: nbgrader's gradebook, and the graded notebook that formgrader and feedback read.

A submission is recorded in one transaction, then its folder below `gradebook/autograded/` is put in place in one step,
with a mark of what was graded in it. So a kill at any moment leaves either all of it or what was there before; where
the mark is missing or differs, the next run grades again and writes the same.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, parse_utc
from sqlalchemy.orm import scoped_session
from traitlets.config import Config

from grading.course import Course
from grading.lab.submission import GradedCell, Submission
from grading.limits import Limits
from grading.run.one import Graded

MARK = ".grading.json"


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
        self._names = {cell.id: cell.name for cell in (*notebook.grade_cells, *notebook.solution_cells)}
        self._checksums = {cell.name: cell.checksum for cell in notebook.source_cells}

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._gradebook.close()

    def record(self, student: str, graded: Graded, mark: str) -> tuple[float, float]:
        """Write one submission's points and notebook.

        Args:
            student: Whose it is.
            graded: What the judge found, with a notebook.
            mark: Fingerprint of what was graded.

        Returns:
            The student's points, manual ones and extra credit included, and the most that there are.
        """
        notebook = nbformat.from_dict(graded.notebook)
        for cell in notebook.cells:
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader["checksum"] = self._checksums.get(cell.metadata.nbgrader["grade_id"], "")
        stamp = _stamp(self._course.submitted(student, self._lab) / "timestamp.txt")
        with self._transaction():
            points = self._write_points(student, notebook, graded, stamp)
        about = {**json.loads(replace(graded, notebook=None).to_json()), "fingerprint": mark}
        about |= {"points": points[0], "max_points": points[1]}
        self._publish(student, notebook, about, stamp)
        return points

    def _write_points(self, student: str, notebook: Any, graded: Graded, stamp: str | None) -> tuple[float, float]:
        book = self._gradebook
        book.update_or_create_student(student)
        named = {"timestamp": stamp} if stamp else {}
        submission = book.update_or_create_submission(self._lab, student, **named)
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
        submitted.late_submission_penalty = self._late_penalty(student, submission, submitted)
        book.db.flush()
        return float(submitted.score) - float(submitted.late_submission_penalty or 0.0), float(submitted.max_score)

    def _late_penalty(self, student: str, submission: Any, submitted: Any) -> float | None:
        """nbgrader's own rule, or the plugin that the configuration names."""
        if submission.total_seconds_late <= 0:
            return None
        step = AssignLatePenalties(config=self._config)
        step.init_plugin()
        penalty = step.plugin_inst.late_submission_penalty(student, submitted.score, submission.total_seconds_late)
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
        if stamp:
            (made / "timestamp.txt").write_text(stamp + "\n", encoding="utf-8")
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


def fingerprint(submission: Submission, blueprint: dict[str, GradedCell], limits: Limits, stamp: str) -> str:
    """A digest of everything that decides a submission's points."""
    digest = hashlib.sha256()
    parts: Iterable[Any] = (
        submission.notebook.hex(), submission.files, {name: asdict(cell) for name, cell in blueprint.items()},
        limits.to_data(), stamp,
    )  # fmt: skip
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\0")
    return digest.hexdigest()


def _stamp(path: Path) -> str | None:
    """When it was handed in, as the file says; None where it does not say that."""
    with suppress(OSError, ValueError, OverflowError, TypeError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1000:
            text = path.read_text(encoding="utf-8").strip()
            parse_utc(text)
            return text
    return None
