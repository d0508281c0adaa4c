"""Points as a table that other systems import."""

import csv
import re
import unicodedata
from pathlib import Path

from grading.course import Course
from grading.office.results import Result, read_results

NUMBER = re.compile(r"-?\d*\.?\d+")
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
        The file. A submission that was not graded has no points in it, rather than 0.
    """
    exercises, results = read_results(course, lab)
    path = output or course.gradebook / "exports" / f"{lab}-{form}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"csv": _csv, "canvas": _canvas, "moodle": _moodle}[form](lab, exercises, results)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([[_harmless(cell) for cell in row] for row in rows])
    return path


def _csv(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["student", "name", "email", "lab", "points", "max_points", "late_penalty", "status", "waiting", *exercises]
    return [head] + [
        [
            one.student, one.name, one.email, lab, _number(one.points), _number(one.max_points), _number(one.penalty),
            str(one.about.get("status", "not graded")), " ".join(one.waiting),
            *(_number(one.cells.get(name)) for name in exercises),
        ]
        for one in results
    ]  # fmt: skip


def _canvas(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab]
    most = ["Points Possible", "", "", "", "", _number(sum(exercises.values()))]
    return [head, most] + [
        [one.name, one.number, "" if one.number else one.student, one.email, "", _number(one.points)] for one in results
    ]


def _moodle(lab: str, exercises: dict[str, float], results: list[Result]) -> list[list[str]]:
    head = ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed"]
    return [[*head, "Last modified (submission)", "Last modified (grade)", "Feedback comments"]] + [
        [
            f"Participant {one.number}" if one.number else one.student, one.name, one.email,
            "Submitted for grading", _number(one.points), _number(one.max_points), "Yes", "", "", "",
        ]
        for one in results
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def _harmless(cell: str) -> str:
    """A text that a spreadsheet would take for a formula is written so that it is a text; numbers stay numbers.

    Where a comma is the decimal point, spreadsheets end a cell at a semicolon, whatever quotes stand around it.
    """
    cell = re.sub(r"\s", " ", cell.replace(";", ","))
    if NUMBER.fullmatch(cell) or unicodedata.normalize("NFKC", cell).lstrip(" \t\r\n")[:1] not in FORMULA:
        return cell
    return f"'{cell}"
