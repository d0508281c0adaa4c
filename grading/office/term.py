"""One view over all labs: who has how many points in each, and in all."""

import csv
from pathlib import Path

from grading.course import Course, CourseError, shown
from grading.office.export import harmless, number
from grading.office.results import read_results

Row = tuple[str, str, list[float | None], list[int]]  # student, name, points by lab, waiting answers by lab


def read_term(course: Course) -> tuple[dict[str, float], list[Row]]:
    """The labs that were graded with the points that each gives at most, and a row for each student.

    Raises:
        CourseError: No lab was graded yet.
    """
    most: dict[str, float] = {}
    found: dict[str, tuple[str, dict[str, tuple[float | None, int]]]] = {}
    for lab in course.lab_names():
        try:
            exercises, results = read_results(course, lab)
        except CourseError:
            continue
        most[lab] = sum(exercises.values())
        for one in results:
            found.setdefault(one.student, (one.name, {}))[1][lab] = (one.points, len(one.waiting))
    if not most:
        raise CourseError("no lab was graded yet: python -m grading autograde LAB")
    rows: list[Row] = []
    for student, (name, labs) in sorted(found.items()):
        told = [labs.get(lab, (None, 0)) for lab in most]
        rows.append((student, name, [points for points, _ in told], [waiting for _, waiting in told]))
    return most, rows


def term_table(course: Course) -> str:
    """The view as text; a star marks points that wait for grading by hand."""
    most, rows = read_term(course)
    width = max([7, *(len(shown(student)) for student, *_ in rows)])
    columns = [max(len(lab), 6) for lab in most]
    heads = "  ".join(f"{lab:>{w}}" for lab, w in zip(most, columns, strict=True))
    lines = [f"{'student':<{width}}  {heads}   total"]
    for student, _, points, waiting in rows:
        cells = [
            f"{'-' if value is None else f'{value:g}{chr(42) if left else chr(32)}':>{w}}"
            for value, left, w in zip(points, waiting, columns, strict=True)
        ]
        lines.append(f"{shown(student):<{width}}  {'  '.join(cells)}  {_total(points):>6g}")
    at_most = "  ".join(f"{value:>{w}g}" for value, w in zip(most.values(), columns, strict=True))
    lines.append(f"{'of':<{width}}  {at_most}  {sum(most.values()):>6g}")
    if any(any(waiting) for *_, waiting in rows):
        lines.append("* answers wait to be graded by hand")
    return "\n".join(lines)


def write_term(course: Course, output: Path | None = None) -> Path:
    """The view as a csv, `gradebook/exports/term.csv`; a lab without points stands empty, and counts as 0 in all."""
    most, rows = read_term(course)
    path = output or course.gradebook / "exports" / "term.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [["student", "name", *most, "total", "max_points", "waiting"]]
    for student, name, points, waiting in rows:
        total = [number(_total(points)), number(sum(most.values())), str(sum(waiting))]
        table.append([student, name, *map(number, points), *total])
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([[harmless(cell) for cell in row] for row in table])
    return path


def _total(points: list[float | None]) -> float:
    return sum(value for value in points if value is not None)
