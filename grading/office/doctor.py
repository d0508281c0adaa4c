"""What grading lacks on this machine, and the cure."""

import importlib.util
import os
import shutil
import sys

from grading.course import Course, CourseError
from grading.sandbox.bubblewrap import lacking, trouble


def main(course: Course, *, sandbox: bool = True) -> int:
    """Print each finding; the exit status is 1 when something is wrong.

    Args:
        course: The course that is looked at.
        sandbox: Whether others' submissions are to be graded here. If not, a missing sandbox is told in one line, with
            the command that adds it, and is not wrong.
    """
    findings = [("nbgrader", _missing("nbgrader")), ("Dask", _missing("distributed")), ("alembic", _alembic())]
    findings += [("course", _course(course)), ("disk", _disk(course)), ("memory", _memory())]
    if sandbox:
        findings.insert(0, ("sandbox", trouble()))
    elif left_out := lacking():
        print(f"LEFT OUT: the grading of others' work, which wants a sandbox: {left_out}")
    else:
        findings.insert(0, ("sandbox", ""))
    for what, wrong in findings:
        print(f"{'WRONG' if wrong else 'ok':<6} {what:<9} {wrong}".rstrip())
    return 1 if any(wrong for _, wrong in findings) else 0


def _missing(module: str) -> str:
    if importlib.util.find_spec(module):
        return ""
    return f"{module} is not installed: {sys.executable} -m pip install --editable '.[grading]'"


def _alembic() -> str:
    if shutil.which("alembic"):
        return ""
    return "nbgrader starts the program alembic, which is not on PATH: activate the environment, or use make"


def _course(course: Course) -> str:
    if not course.config.is_file():
        return f"{course.config} does not exist; is {course.root} the folder of a course?"
    try:
        labs = course.lab_names()
    except (OSError, CourseError) as error:
        return str(error)
    if not labs:
        return f"no lab in {course.labs}"
    folder = course.gradebook if course.gradebook.exists() else course.root
    return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written"


def _disk(course: Course) -> str:
    free = shutil.disk_usage(course.root).free
    return "" if free > 2**30 else f"{free / 2**20:.0f} MiB free in {course.root}; a term wants 1 GiB"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return ""
    return "" if total > 3 * 2**30 else f"{total / 2**30:.1f} GiB of memory; use --workers 1 --memory 1024"
