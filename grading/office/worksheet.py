"""Moodle's offline grading worksheet: who each participant's number is, and when they handed in."""

import re
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from grading.course import CourseError
from grading.office.roster import read_table

NO_TIME = {"", "-", "0"}
ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
WORDS = re.compile(r"\d{1,2}\.? [^\W\d]+ \d{4}|[^\W\d]+ \d{1,2}, \d{4}")  # 27 November 2026, November 27, 2026


@dataclass(frozen=True)
class Line:
    """One participant's.

    Args:
        number: Moodle's for this assignment, without the word before it.
        name: Full name; empty where names are hidden.
        email: Address, or empty.
        handed_in: `YYYY-MM-DD HH:MM:SS UTC`, as nbgrader writes it; empty where it is not known.
        cells: The row as it was, by the heads of its columns in lower case.
    """

    number: str
    name: str
    email: str
    handed_in: str
    cells: dict[str, str]


def read_worksheet(file: Path, lines: list[str]) -> dict[str, Line]:
    """A worksheet's lines by participant's number; what cannot be read is told in `lines`.

    Raises:
        CourseError: It is not such a worksheet.
    """
    found, unread = {}, []
    for row in read_table(file):
        number = re.search(r"(\d+)\s*$", row.get("identifier", ""))
        if number is None:
            continue
        said = row.get("last modified (submission)", "")
        time = _time(said)
        if time is None:
            unread.append(said)
        found[number[1]] = Line(number[1], row.get("full name", ""), row.get("email address", ""), time or "", row)
    if not found:
        raise CourseError(f"{file} is not a grading worksheet of Moodle's: it has no column Identifier with numbers")
    if unread:
        lines.append(f"{len(unread)} times in {file.name} cannot be read, such as {unread[0]!r}: left unknown")
    return found


def _time(said: str) -> str | None:
    """A time in UTC, where it says one without doubt; empty where it says that there is none; else None."""
    from dateutil.parser import parse

    if said in NO_TIME:
        return ""
    if not (ISO.match(said) or WORDS.search(said)):  # 01/12/26 is another day elsewhere
        return None
    try:
        return f"{parse(said).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, TypeError):
        return None
