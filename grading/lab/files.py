"""What a lab has beside its notebook: data and helper modules, which students, worker and judge all get."""

import base64
from fnmatch import fnmatch
from pathlib import Path

from grading.course import Course, CourseError

# of a lab's folder, what no student gets: the text source with its solutions, caches, scripts that made the data
NOT_RELEASED = ("*.pyc", "__pycache__", ".ipynb_checkpoints", ".*", "*~", "feedback", "solution*", "authoring")
MAX_BYTES = 12 * 2**20  # the judge's private folder is as small


def lab_files(course: Course, lab: str) -> list[list[str]]:
    """(path, content as base64) of each file.

    Raises:
        CourseError: They are larger than a sandbox has room for.
    """
    folder, found, size = course.labs / lab, [], 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and not _left_out(name, lab):
            content = path.read_bytes()
            size += len(content)
            if size > MAX_BYTES:
                raise CourseError(f"{folder}: with {name.as_posix()} its files are larger than {MAX_BYTES >> 20} MiB")
            found.append([name.as_posix(), base64.b64encode(content).decode("ascii")])
    return found


def _left_out(name: Path, lab: str) -> bool:
    own = name.as_posix() in (f"{lab}.py", f"{lab}.ipynb")
    return own or any(fnmatch(part, pattern) for part in name.parts for pattern in NOT_RELEASED)
