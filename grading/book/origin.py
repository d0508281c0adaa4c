"""Where each submission of a lab came from, as its download said it: `gradebook/origins/LAB.json`.

Kept beside the submissions and not among a student's files, which may say anything.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from grading.course import Course


@dataclass(frozen=True)
class Origin:
    """What a download said of one submission.

    Args:
        platform: "canvas" or "moodle", or empty.
        number: Canvas: the person's id. Moodle: the participant's number in this one assignment.
        folder: Moodle's name of the folder, or how Canvas begins a file's name: feedback is handed back under it.
        late: Canvas's mark; None where nothing is known.
    """

    platform: str = ""
    number: str = ""
    folder: str = ""
    late: bool | None = None


def read_origins(course: Course, lab: str) -> dict[str, Origin]:
    """What is known of a lab's submissions, by student."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        told = json.loads(_path(course, lab).read_text(encoding="utf-8"))
        known = {one.name for one in fields(Origin)}
        return {name: Origin(**{key: one[key] for key in known & one.keys()}) for name, one in told.items()}
    return {}


def add_origins(course: Course, lab: str, origins: dict[str, Origin]) -> None:
    """Keep what a download said, in the place of what an earlier one said of the same students."""
    path = _path(course, lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    every = read_origins(course, lab) | origins
    made = path.with_suffix(".made")
    made.write_text(json.dumps({name: asdict(one) for name, one in every.items()}, indent=1), encoding="utf-8")
    made.replace(path)


def _path(course: Course, lab: str) -> Path:
    return course.gradebook / "origins" / f"{lab}.json"
