"""Points as a table that other systems import."""

import csv
import re
import unicodedata
from pathlib import Path

from grading.course import Course
from grading.office.results import Result, read_results

NUMBER = re.compile(r"-?\d*\.?\d+")
NAMED = 10  # students that a line lists
FORMULA = ("=", "+", "-", "@", "|", "%")  # how a formula may begin, in any of Unicode's widths


def write_export(course: Course, lab: str, form: str, output: Path | None = None) -> Path:
    """Write a lab's points.

    Args:
        course: The course.
        lab: The lab.
        form: "csv": a column an exercise. "canvas": the columns of Canvas's gradebook import. "moodle": those of an
            assignment's offline grading worksheet.
        output: The file; `gradebook/exports/LAB-FORM.csv` if None.

    Returns:
        The file. A submission that was not graded has no points in it, rather than 0; nor has one that was not handed
        in.
    """
    exercises, results = read_results(course, lab)
    path = output or course.gradebook / "exports" / f"{lab}-{form}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"csv": _csv, "canvas": _canvas, "moodle": _moodle}[form](lab, exercises, results)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([[harmless(cell) for cell in row] for row in rows])
    return path


def open_matters(results: list[Result]) -> list[str]:
    """What is to be known before points leave the house: answers that wait, and who has none."""
    waiting = [one for one in results if one.waiting]
    lines = []
    if waiting:
        answers = sum(len(one.waiting) for one in waiting)
        lines.append(
            f"{answers} answers of {len(waiting)} students wait to be graded by hand, and count as they stand "
            f"(make formgrader): {_some([one.student for one in waiting])}"
        )
    ungraded = [one.student for one in results if one.handed_in and one.points is None]
    missing = [one.student for one in results if not one.handed_in]
    lines += [f"handed in and not graded: {_some(ungraded)}"] if ungraded else []
    lines += [f"not handed in: {_some(missing)}"] if missing else []
    return lines


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}"


def _csv(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["student", "name", "email", "lab", "points", "max_points", "late_penalty", "status", "waiting", *exercises]
    return [head] + [
        [
            one.student, one.name, one.person.email, lab,
            number(one.points), number(one.max_points), number(one.penalty),
            one.status, " ".join(one.waiting),
            *(number(one.cells.get(name)) for name in exercises),
        ]
        for one in results
    ]  # fmt: skip


def _canvas(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab]
    most = ["Points Possible", "", "", "", "", number(sum(exercises.values()))]
    return [head, most] + [
        [
            one.name, one.person.number, one.person.sis or ("" if one.person.number else one.student),
            one.person.login or one.person.email, one.person.section, number(one.points),
        ]
        for one in results
    ]  # fmt: skip


def _moodle(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed"]
    return [[*head, "Last modified (submission)", "Last modified (grade)", "Feedback comments"]] + [
        [
            f"Participant {one.origin.number}" if one.origin.platform == "moodle" else one.student,
            one.name, one.person.email,
            "Submitted for grading" if one.handed_in else "No submission",
            number(one.points), number(one.max_points), "Yes", "", "", "",
        ]
        for one in results
    ]  # fmt: skip


def number(value: float | None) -> str:
    """Points with at most two figures behind the point; empty for None."""
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def harmless(cell: str) -> str:
    """A text that a spreadsheet would take for a formula is written so that it is a text; numbers stay numbers.

    Where a comma is the decimal point, spreadsheets end a cell at a semicolon, whatever quotes stand around it.
    """
    cell = re.sub(r"\s", " ", cell.replace(";", ","))
    if NUMBER.fullmatch(cell) or unicodedata.normalize("NFKC", cell).lstrip(" \t\r\n")[:1] not in FORMULA:
        return cell
    return f"'{cell}"
