"""nbgrader's own `autograde`, from its command line and from formgrader's button, led to the isolated one of this
course.

`nbgrader_config.py` calls `replace_autograde()`. Should a later nbgrader not be reached by it, the step that would run
a student's code in a plain kernel refuses instead.
"""

from pathlib import Path
from typing import Any

from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor

from grading.course import Course, CourseError


class IsolatedAutograde(Autograde):  # type: ignore[misc]
    """Grade as `python -m grading autograde` does; nbgrader's options `--force` and `--student` mean the same."""

    def convert_notebooks(self) -> None:
        """Grade every submission that nbgrader matched."""
        from grading.book.autograde import autograde

        course, lab = Course(Path(self.coursedir.root)), self.coursedir.assignment_id
        students = sorted(Path(folder).parent.name for folder in self.assignments)
        try:
            rows = autograde(course, lab, students, force=self.force)
        except CourseError as error:
            self.log.error("%s", error)
            raise NbGraderException(str(error)) from None
        for row in rows:
            self.log.info("%s: %s points, %s", row.student, row.points, row.status)
        failed = [row for row in rows if row.failed]
        for row in failed:
            self.log.error("%s: not graded. %s", row.student, row.note or row.status)
        if failed:
            raise NbGraderException(f"{len(failed)} of {len(rows)} submissions could not be graded")


class Refuse(NbGraderPreprocessor):  # type: ignore[misc]
    """Stands where nbgrader would run a student's code with your rights."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """Run nothing."""
        raise RuntimeError("this course grades in a sandbox only: use python -m grading autograde")


def replace_autograde() -> None:
    """Let nbgrader's programs, and formgrader's button, use the isolated autograde."""
    import nbgrader.apps.api
    import nbgrader.apps.autogradeapp

    for module in (nbgrader.apps.api, nbgrader.apps.autogradeapp):
        module.Autograde = IsolatedAutograde
