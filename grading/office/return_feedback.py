"""Feedback pages as a learning platform takes them back: one zip for Moodle or Canvas, and comments for Canvas.

Moodle ("Upload multiple feedback files in a zip") knows a student by the folder's name of its own download. Canvas
("Upload submissions") knows one by the beginning of the file's name, and attaches the file as a comment.
"""

import csv
import zipfile
from pathlib import Path

from grading.book.record import autograded
from grading.course import Course, CourseError
from grading.office.export import harmless, number
from grading.office.lms_names import Platform
from grading.office.results import Result, read_results

DATE = (2026, 1, 1, 0, 0, 0)  # of every entry, so that equal pages give equal bytes


def return_feedback(course: Course, lab: str, platform: Platform, output: Path | None = None) -> tuple[Path, list[str]]:
    """Write `gradebook/exports/LAB-feedback-PLATFORM.zip`.

    Returns:
        The file, and lines that say whose page is not in it and why.

    Raises:
        CourseError: No page can be returned.
    """
    path = output or course.gradebook / "exports" / f"{lab}-feedback-{platform}.zip"
    entries, lines = [], []
    for one in read_results(course, lab)[1]:
        page = course.gradebook / "feedback" / one.student / lab / f"{lab}.html"
        if not one.handed_in or one.points is None:
            continue
        if one.origin.platform != platform or not one.origin.folder:
            lines.append(
                f"{one.student}: left out, since no download of {platform.capitalize()} brought this submission"
            )
        elif not page.is_file():
            lines.append(f"{one.student}: left out, since there is no page: python -m grading feedback {lab}")
        else:
            if page.stat().st_mtime < autograded(course, one.student, lab).stat().st_mtime:
                lines.append(f"{one.student}: the page is older than the points: python -m grading feedback {lab}")
            entries.append((_place(one, platform, lab), page.read_bytes()))
    if not entries:
        raise CourseError("\n".join([f"{lab}: no feedback pages have been written", *lines]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in sorted(entries):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            made.writestr(entry, content)
    return path, lines


def write_comments(course: Course, lab: str, output: Path | None = None) -> Path:
    """Write a table with one comment for each student, by Canvas's id: `gradebook/exports/LAB-canvas-comments.csv`."""
    path = output or course.gradebook / "exports" / f"{lab}-canvas-comments.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    exercises, results = read_results(course, lab)
    rows = [["Student", "ID", "SIS User ID", lab, "Comment"]]
    for one in results:
        if one.points is not None:
            person = one.person
            rows.append([one.name, person.number, person.sis, number(one.points), _comment(one, exercises)])
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([[harmless(cell) for cell in row] for row in rows])
    return path


def _place(one: Result, platform: Platform, lab: str) -> str:
    if platform is Platform.CANVAS:
        return f"{one.origin.folder}{lab}.html"
    folder = one.origin.folder.replace("_assignsubmission_onlinetext", "_assignsubmission_file")
    return f"{folder.rstrip('_')}_/{lab}.html"


def _comment(one: Result, exercises: dict[str, float]) -> str:
    hints = {told["grade_id"]: told["message"] for told in one.about.get("outcomes", []) if told["message"]}
    parts = []
    for name, most in exercises.items():
        said = f"{name}: {number(one.cells.get(name))} of {number(most)}"
        waits = " (not graded yet)" if name in one.waiting else ""
        parts.append(f"{said}{waits}{f' ({hints[name]})' if name in hints else ''}")
    late = [f"late: -{number(one.penalty)}"] if one.penalty else []
    return " / ".join([*parts, *late])
