"""A lab before it is released: test cells keep the contract, and the instructor's own notebook earns every point."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress

from grading.course import Course, CourseError
from grading.lab.build import build_lab
from grading.lab.contract import read_test_cells, violations
from grading.lab.files import lab_files
from grading.lab.hidden_seed import read_seed, term_blueprint
from grading.limits import Limits
from grading.run.many import run_notebook
from grading.sandbox.bubblewrap import trouble


def check_contract(course: Course, lab: str) -> None:
    """Build a lab and read its test cells.

    Raises:
        CourseError: A test cell does what the contract does not allow; every such cell is named.
    """
    build_lab(course, lab)
    found = [
        f"{cell.grade_id}: {said}"
        for cell in read_test_cells(course.source_notebook(lab))
        for said in violations(cell.source)
    ]
    if found:
        raise CourseError(f"{lab} is not released:\n" + "\n".join(found))


def check_own_notebook(
    course: Course, lab: str, limits: Limits | None = None, *, unsafe: bool = False, told: Callable[[str], None] = print
) -> None:
    """Judge the instructor's notebook, unless the same one was judged before.

    Raises:
        CourseError: It earns less than full points; each such cell is named.
    """
    source, beside = course.source_notebook(lab), lab_files(course, lab)
    told_again = json.dumps(beside) + (f"seed {seed}" if (seed := read_seed(course)) else "")
    digest = hashlib.sha256(source.read_bytes() + told_again.encode()).hexdigest()
    kept = course.gradebook / "judged" / f"{lab}.txt"
    with suppress(OSError):
        if kept.read_text(encoding="utf-8") == digest:
            return
    if not unsafe and (wrong := trouble()):
        told(f"{lab}: the notebook with its solutions was not judged: {wrong.splitlines()[0]}")
        return
    told(f"{lab}: judging the notebook with its solutions, once for each change of it")
    graded = run_notebook(
        source, source, limits=limits, unsafe=unsafe, lab_files=beside, blueprint=term_blueprint(course, lab)
    )
    short = [one for one in graded.outcomes if one.points < one.max_points]
    if short or graded.notes:
        said = [
            f"{one.grade_id}: {one.points:g} of {one.max_points:g} points. {one.detail or one.message}".rstrip()
            for one in short
        ]
        raise CourseError(
            f"{lab} is not released: its own solutions do not earn every point, or do not run.\n"
            + "\n".join([*said, *graded.notes])
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(digest, encoding="utf-8")
