"""Drive nbgrader in this process: release, feedback, and the points that its gradebook holds.

nbgrader takes about five seconds to start as a program; here it is loaded once for any number of labs and students.
"""

import hashlib
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from grading.book.changed_cells import change_cells, changed_cells
from grading.course import Course, CourseError
from grading.lab.build import build_lab, build_notebook
from grading.lab.submission import read_blueprint


@dataclass(frozen=True)
class CellScore:
    """What the gradebook says of one graded cell of one submission.

    Args:
        points: Points given so far; 0 where nothing was recorded yet.
        max_points: Points that the cell is worth.
        by_hand: The cell still waits for an instructor.
    """

    points: float
    max_points: float
    by_hand: bool


def load_config(course: Course) -> Config:
    """nbgrader's settings of a course, as traitlets hold them."""
    if not course.config.is_file():
        raise CourseError(f"{course.config} does not exist; is {course.root} the folder of a course?")
    earlier = course.config.parent / "gradebook.db"
    if earlier.is_file():  # an empty gradebook beside a full one would be taken for the truth
        raise CourseError(
            f"{earlier} belongs in {course.gradebook} now, as do submitted/, autograded/, release/ and feedback/ "
            "beside it: move them there"
        )
    return PyFileConfigLoader(course.config.name, path=str(course.config.parent)).load_config()


def release(course: Course, lab: str, *, change_exercises: bool = False) -> None:
    """Build a lab's notebook and make the students' version of it below `gradebook/release/`.

    Args:
        course: The course.
        lab: The lab.
        change_exercises: Also where submissions were recorded with other exercises: removed ones lose their points.

    Raises:
        CourseError: The course has no lab of that name, or nbgrader refuses it and its log is in the message.
    """
    build_lab(course, lab)
    cells = read_blueprint(course.source_notebook(lab))
    with _nbgrader(course) as api:
        with api.gradebook as gradebook:
            added, removed = changed_cells(gradebook, lab, cells)
            if (added or removed) and not change_exercises:
                raise CourseError(
                    f"{lab} has submissions with other exercises (added: {', '.join(added) or 'none'}; removed: "
                    f"{', '.join(removed) or 'none'}). Removed ones lose their points, those given by hand too. If "
                    f"that is what you want: python -m grading release {lab} --change-exercises"
                )
            if added or removed:
                change_cells(gradebook, lab, cells)
        _check(api.generate_assignment(lab, force=True, create=True), f"release of {lab}")
    # nbgrader's own ignore list covers what it copies; a release that nevertheless holds text with solutions is no
    # release
    leaked = sorted(path.name for path in (course.released / lab).rglob("*") if path.is_file() and _tells(path, lab))
    if leaked:
        shutil.rmtree(course.released / lab)
        raise CourseError(f"release of {lab}: {leaked[0]} was copied into it; CourseDirectory.ignore must name it")
    kept = _released_digest(course, lab)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(_digest(course, lab), encoding="utf-8")


def _released_digest(course: Course, lab: str) -> Path:
    return course.gradebook / "released" / f"{lab}.txt"


def _digest(course: Course, lab: str) -> str:
    return hashlib.sha256(course.source_notebook(lab).read_bytes()).hexdigest()


def _tells(path: Path, lab: str) -> bool:
    """Whether a released file is a lab's text source, or holds a solution or a hidden test."""
    content = path.read_bytes()
    return path.name == f"{lab}.py" or b"### BEGIN SOLUTION" in content or b"### BEGIN HIDDEN TESTS" in content


def submissions(course: Course, lab: str) -> list[str]:
    """The students who have handed in a lab, in alphabetical order."""
    return sorted(folder.parent.name for folder in (course.gradebook / "submitted").glob(f"*/{lab}") if folder.is_dir())


def ensure_released(course: Course, lab: str) -> None:
    """Make sure that the gradebook knows the lab as the instructor's notebook has it now.

    Raises:
        CourseError: nbgrader refuses the lab, or its text has changed since it was released.
    """
    cells = read_blueprint(course.source_notebook(lab))
    text = course.text_source(lab)
    if text.is_file() and build_notebook(text.read_text(encoding="utf-8")) != course.source_notebook(lab).read_text(
        "utf-8"
    ):
        raise CourseError(f"{text} has changed since the lab was released; release it again: make release LAB={lab}")
    graded = {
        name: cell.metadata for name, cell in cells.items() if cell.metadata.get("grade") or cell.metadata.get("task")
    }
    now = {name: float(told["points"]) for name, told in graded.items()}
    with _nbgrader(course) as api:
        with api.gradebook as gradebook:
            known = any(assignment.name == lab for assignment in gradebook.assignments)
        if not known:
            _check(api.generate_assignment(lab, force=True, create=True), f"release of {lab}")
        with api.gradebook as gradebook:
            notebook = gradebook.find_notebook(lab, lab)
            then = {cell.name: float(cell.max_score) for cell in (*notebook.grade_cells, *notebook.task_cells)}
    if now != then:
        changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
        raise CourseError(
            f"{lab} has changed since it was released ({', '.join(changed[:5])}); release it again: "
            f"make release LAB={lab}"
        )
    with suppress(OSError):
        if _released_digest(course, lab).read_text(encoding="utf-8") != _digest(course, lab):
            raise CourseError(f"{lab} has changed since it was released; release it again: make release LAB={lab}")


def feedback(course: Course, lab: str, student: str) -> None:
    """Write one student's feedback page below `gradebook/feedback/`.

    Raises:
        CourseError: The submission was not autograded yet; nbgrader's log is in the message.
    """
    with _nbgrader(course) as api:
        _check(api.generate_feedback(lab, student, force=True), f"feedback on {student}'s {lab}")


def points(course: Course, lab: str, student: str) -> dict[str, CellScore]:
    """What the gradebook holds of one submission, by grade_id in the order of the notebook's cells."""
    with _nbgrader(course) as api, api.gradebook as gradebook:
        grades = gradebook.find_submission_notebook(lab, lab, student).grades
        found = {
            grade.name: CellScore(float(grade.score or 0.0), float(grade.max_score), bool(grade.needs_manual_grade))
            for grade in grades
        }
        order = [cell.name for cell in gradebook.find_notebook(lab, lab).grade_cells]
    return {name: found[name] for name in order if name in found}


@contextmanager
def _nbgrader(course: Course) -> Iterator[NbGraderAPI]:
    """nbgrader, told to say nothing but warnings; what it logs of a failure comes back from each call."""
    logger = logging.getLogger("traitlets")
    level, propagates = logger.level, logger.propagate
    quiet = logging.NullHandler()
    logger.addHandler(quiet)
    logger.propagate = False  # some libraries print whatever reaches the root
    with warnings.catch_warnings():
        # nbgrader 0.9 builds its rows before it adds them to the session; SQLAlchemy 2 remarks on each, and nothing is
        # lost
        warnings.filterwarnings("ignore", message="Object of type <Submitted", category=SAWarning)
        api = NbGraderAPI(config=load_config(course))
        api.log_level = "WARN"
        try:
            yield api
        finally:
            logger.setLevel(level)
            logger.propagate = propagates
            logger.removeHandler(quiet)


def _check(result: dict[str, Any], what: str) -> None:
    if not result["success"]:
        # nbgrader's `error` only says that there is a log; without a log it is all there is
        said = (result.get("log") or result.get("error") or "nothing").strip()
        raise CourseError(f"{what} did not succeed; nbgrader says:\n{said}")
