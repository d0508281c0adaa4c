"""Unpack a download of all submissions, as Moodle and Canvas give it, into nbgrader's folders.

Moodle names folders or files `Full Name_1234567_assignsubmission_file_...`, Canvas files `lastfirst_LATE_123_456_name`;
the number is the student's, so two students of one name stay apart. The time of handing in is that of the zip's entry.
"""

import re
import shutil
import stat
import unicodedata
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from nbgrader.api import Gradebook

from grading.book.nbgrader import load_config
from grading.course import Course, CourseError
from grading.lab.submission import MAX_FILES, MAX_FILES_BYTES, MAX_NOTEBOOK_BYTES

MOODLE = re.compile(r"(?P<name>[^/]+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)_?/?(?P<rest>.*)")
CANVAS = re.compile(r"(?P<name>[^/_]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<rest>[^/]+)")
VERSION = re.compile(r"-\d+(?=\.ipynb$)")  # Canvas adds it to a second attempt
MAX_ENTRIES, MAX_DEPTH = 200_000, 20
MAX_NAME_BYTES = 200  # of the 255 that file systems take


@dataclass
class Handed:
    """What one student handed in, as the zip has it."""

    name: str
    number: str
    entries: list[tuple[str, zipfile.ZipInfo]] = field(default_factory=list)


def collect(course: Course, lab: str, archive: Path) -> list[str]:
    """Unpack a download to `gradebook/submitted/STUDENT/LAB/`, in the place of what stood there for these students.

    Returns:
        Lines that say what was done, and what was left out and why.

    Raises:
        CourseError: It is not a zip, or no entry is named as Moodle or Canvas name them.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise CourseError(f"{archive} cannot be read as a zip: {error}") from None
    lines: list[str] = []
    with opened:
        students = _sort(opened, lines)
        if not students:
            raise CourseError(f"{archive}: no entry is named as in a download of Moodle or Canvas")
        for student, handed in sorted(students.items()):
            kept = _unpack(opened, handed, course.submitted(student, lab), lab, lines)
            lines.append(f"{student}: {', '.join(kept) or 'nothing that could be read'}")
    _register(course, students)
    return lines


def _sort(opened: zipfile.ZipFile, lines: list[str]) -> dict[str, Handed]:
    """Entries by student."""
    students: dict[str, Handed] = {}
    for number, entry in enumerate(opened.infolist()):
        refused = _refused(entry)
        if number >= MAX_ENTRIES:
            raise CourseError(f"{opened.filename} holds more than {MAX_ENTRIES} entries")
        if entry.is_dir():
            continue
        # Canvas's form first: what stands before a student's own file name is the platform's, and no name of Moodle's
        # has that form, while a file of Canvas's may have been named as if Moodle had done it
        found = None if refused else CANVAS.fullmatch(entry.filename) or MOODLE.fullmatch(entry.filename)
        if found is None or not found["rest"]:
            lines.append(f"left out {entry.filename!r}: {refused or 'its name tells no student'}")
            continue
        student = f"{_plain(found['name'])}_{found['number']}"
        students.setdefault(student, Handed(found["name"], found["number"])).entries.append((found["rest"], entry))
    return students


def _refused(entry: zipfile.ZipInfo) -> str:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", entry.filename) or "\0" in entry.filename:
        return "its path leads elsewhere"
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or no file"
    return "it is encrypted" if entry.flag_bits & 1 else ""


def _unpack(opened: zipfile.ZipFile, handed: Handed, folder: Path, lab: str, lines: list[str]) -> list[str]:
    if folder.parent.is_symlink() or folder.is_symlink():
        raise CourseError(f"{folder} is a symbolic link; remove it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    newest, kept, left = (1980, 1, 1, 0, 0, 0), [], MAX_FILES_BYTES + MAX_NOTEBOOK_BYTES
    notebooks = sum(name.endswith(".ipynb") for name, _ in handed.entries)
    if len(handed.entries) > MAX_FILES:
        lines.append(f"left out {len(handed.entries) - MAX_FILES} files of {folder.parent.name}: more than {MAX_FILES}")
    taken: set[str] = set()
    for name, entry in handed.entries[:MAX_FILES]:
        parts = [_plain(part) for part in PurePosixPath(name.replace("\\", "/")).parts]
        if len(parts) == 1 and parts[0].endswith(".ipynb"):
            bare = VERSION.sub("", parts[0])
            parts = [f"{lab}.ipynb" if notebooks == 1 or bare == f"{lab}.ipynb" else parts[0]]
        if parts == ["timestamp.txt"]:  # nbgrader would take it for the time of handing in
            continue
        others = taken - {f"{lab}.ipynb".casefold()} if parts == [f"{lab}.ipynb"] else taken  # a later attempt counts
        refused = _clash(parts, others) or ("too large" if entry.file_size > left else "")
        try:
            content = b"" if refused else _content(opened, entry, left)
            target = folder.joinpath(*parts)
            if not refused:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        except Exception as error:  # whatever one file is, the others are unpacked; zipfile fails in many ways
            refused = str(error) or type(error).__name__
        if refused:
            lines.append(f"left out {entry.filename!r}: {refused}")
            continue
        taken.add("/".join(parts).casefold())
        left -= len(content)
        kept.append("/".join(parts))
        newest = max(newest, entry.date_time)
    if kept:
        try:
            stamp = datetime(*newest).astimezone(UTC)
        except (ValueError, OverflowError):  # a 31st of February
            lines.append(f"{folder.parent.name}: the zip tells no time of handing in; the present time was taken")
            stamp = datetime.now(UTC)
        (folder / "timestamp.txt").write_text(f"{stamp:%Y-%m-%d %H:%M:%S} UTC\n", encoding="utf-8")
    return kept


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with opened.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise CourseError("too large")
    return content


def _clash(parts: list[str], taken: set[str]) -> str:
    """Why a path cannot stand beside those that are there, on file systems without upper case too."""
    path = "/".join(parts).casefold()
    if len(parts) > MAX_DEPTH:
        return f"more than {MAX_DEPTH} folders deep"
    if path in taken or any(f"{one}/" == f"{path}/"[: len(one) + 1] or one.startswith(f"{path}/") for one in taken):
        return "another file has its name"
    return ""


def _plain(name: str) -> str:
    """A name that is a file's name everywhere: letters, figures, `.`, `-` and `_`, not beginning with a dot."""
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r"[^\w.\-]+", "-", text).strip("-").lstrip(".")
    stem, dot, ending = text.rpartition(".")
    while len(text.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        stem, ending = (stem[:-1], ending) if stem else (stem, ending[:-1])
        text = f"{stem}{dot}{ending}"
    return text or "nameless"


def harmless_name(name: str) -> str:
    """A full name without what a page, a terminal or a database could take for more than a name."""
    text = unicodedata.normalize("NFC", name)
    return "".join(" " if letter in "<>&\"`\\" or not letter.isprintable() else letter for letter in text).strip()


def _register(course: Course, students: dict[str, Handed]) -> None:
    """Tell the gradebook the full names and the numbers, which exports need."""
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        for student, handed in students.items():
            first, _, last = harmless_name(handed.name).rpartition(" ")
            gradebook.update_or_create_student(
                student, first_name=first or None, last_name=last, lms_user_id=handed.number
            )
