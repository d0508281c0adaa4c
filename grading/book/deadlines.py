"""Due dates, what lateness costs, and extensions: all in `gradebook/deadlines.json`, which the commands `due` and
`extend` write.

A time of handing in is never made up. It is `timestamp.txt` beside a submission, which nbgrader's exchange and
Moodle's grading worksheet give; Canvas tells only that something was late.
"""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from grading.course import Course, CourseError

DAY_S = 86_400.0
LEAST_S = 1.0  # lateness that a mark alone tells: more than nothing


@dataclass(frozen=True)
class Deadline:
    """One lab's.

    Args:
        due: When it is due, in ISO 8601 with an offset; empty if never.
        penalty_per_day: Share of the points that each started day costs; None leaves it to nbgrader's plugin.
        grace_minutes: Lateness that costs nothing.
        extensions: Another due date for single students.
    """

    due: str = ""
    penalty_per_day: float | None = None
    grace_minutes: float = 0.0
    extensions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lateness:
    """What is known of the time of one submission.

    Args:
        handed_in: When, in UTC, or None.
        due: When it was due for this student, in UTC, or None.
        seconds: By how much it was late; 0 if it was not, or if that is not known.
        at_least: The true lateness may be more: only a mark tells of it.
        penalty_per_day: As for the lab.
    """

    handed_in: datetime | None
    due: datetime | None
    seconds: float
    at_least: bool
    penalty_per_day: float | None

    def digest(self) -> str:
        """A mark of everything that decides the penalty."""
        told = [str(self.due), self.seconds, self.penalty_per_day]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def penalty(self, points: float) -> float | None:
        """Points that lateness costs; None where the course has no rule of its own."""
        if self.penalty_per_day is None:
            return None
        return points * min(1.0, self.penalty_per_day * math.ceil(self.seconds / DAY_S))


def read_deadlines(course: Course) -> dict[str, Deadline]:
    """The deadlines of every lab that has one.

    Raises:
        CourseError: The file is damaged: nobody is graded by half of it.
    """
    path = _path(course)
    if not path.is_file():
        return {}
    try:
        return {lab: Deadline(**told) for lab, told in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CourseError(f"{path} cannot be read ({error}); correct it, or remove it and set them again") from None


def set_due(
    course: Course,
    lab: str,
    due: str | None,
    *,
    penalty_per_day: float | None = None,
    grace_minutes: float | None = None,
) -> Deadline:
    """Set a lab's due date, or only what lateness costs; what is None stays as it is.

    Raises:
        CourseError: The date is not one, or a number is out of range.
    """
    if penalty_per_day is not None and not 0 <= penalty_per_day <= 1:
        raise CourseError(f"--penalty-per-day is a share of the points between 0 and 1, not {penalty_per_day:g}")
    if grace_minutes is not None and not grace_minutes >= 0:
        raise CourseError(f"--grace is a number of minutes, not {grace_minutes:g}")
    deadline = read_deadlines(course).get(lab, Deadline())
    changes: dict[str, object] = {} if due is None else {"due": "" if due == "never" else parse_time(due).isoformat()}
    if penalty_per_day is not None:
        changes["penalty_per_day"] = penalty_per_day
    if grace_minutes is not None:
        changes["grace_minutes"] = grace_minutes
    return _keep(course, lab, replace(deadline, **changes))  # type: ignore[arg-type]


def extend(course: Course, student: str, lab: str, until: str) -> Deadline:
    """Give one student another due date; "none" takes it back.

    Raises:
        CourseError: The lab has no due date, or the new one is not a date or is earlier.
    """
    deadline = read_deadlines(course).get(lab, Deadline())
    others = {name: time for name, time in deadline.extensions.items() if name != student}
    if until != "none":
        if not deadline.due:
            raise CourseError(f"{lab} has no due date to extend: python -m grading due {lab} DATE")
        time = parse_time(until)
        if time < parse_time(deadline.due):
            raise CourseError(f"{until} is before the due date of {lab}, {deadline.due}")
        others[student] = time.isoformat()
    return _keep(course, lab, replace(deadline, extensions=others))


def parse_time(text: str) -> datetime:
    """A time in UTC, from ISO 8601 or `2026-12-01 23:59`; a day alone ends at 23:59:59.

    Without an offset it is this machine's local time.

    Raises:
        CourseError: It is not one.
    """
    written = text.strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", written):
        written += " 23:59:59"  # until the end of a day
    if written.endswith(" UTC"):
        written = written.removesuffix(" UTC") + "+00:00"
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CourseError(f"{text!r} is not a time; write it as 2026-12-01 23:59, or 2026-12-01T23:59+01:00") from None


def lateness(
    deadline: Deadline, student: str, handed_in: datetime | None, marked: bool | None, usual: datetime | None = None,
    extension: timedelta | None = None,
) -> Lateness:  # fmt: skip
    """How late a submission is.

    Args:
        deadline: The lab's.
        student: Whose it is.
        handed_in: When, in UTC, if that is known.
        marked: Whether the platform marked it as late, if it says so.
        usual: The due date of nbgrader's gradebook, for a lab that has no other.
        extension: Likewise, that of nbgrader's gradebook.
    """
    own = deadline.extensions.get(student)
    due = parse_time(own or deadline.due) if own or deadline.due else usual
    if not own and due is not None and extension is not None:
        due += extension
    extended = own is not None or extension is not None
    seconds, at_least = 0.0, False
    if handed_in is not None and due is not None:
        late = (handed_in - due).total_seconds()
        seconds = late if late > 60 * deadline.grace_minutes else 0.0
    elif handed_in is None and marked and not extended:
        seconds, at_least = LEAST_S, True
    return Lateness(handed_in, due, max(0.0, seconds), at_least, deadline.penalty_per_day)


def _keep(course: Course, lab: str, deadline: Deadline) -> Deadline:
    every = read_deadlines(course) | {lab: deadline}
    path = _path(course)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".made")
    made.write_text(json.dumps({name: asdict(one) for name, one in every.items()}, indent=1) + "\n", encoding="utf-8")
    made.replace(path)
    return deadline


def _path(course: Course) -> Path:
    return course.gradebook / "deadlines.json"
