"""Unpack a download of all submissions, as Moodle and Canvas give it, into nbgrader's folders.

Whose an entry is, `lms_names.py` reads from its name and `identity.py` says which student that is. A zip tells when it
was made and nothing of when its submissions were handed in: that comes from Moodle's grading worksheet, or stays
unknown; of Canvas's files the mark LATE is kept.
"""

import io
import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from nbgrader.api import Gradebook

from grading.book.nbgrader import load_config
from grading.book.origin import Origin, add_origins
from grading.course import Course, CourseError
from grading.lab.submission import LEFT_OUT, MAX_FILES, MAX_FILES_BYTES, MAX_NOTEBOOK_BYTES, NOTEBOOK
from grading.office.identity import identify
from grading.office.lms_names import Owner, read_names
from grading.office.roster import Person, known_people, read_roster
from grading.office.safe_names import harmless_name, plain_name
from grading.office.worksheet import Line, read_worksheet

VERSION = re.compile(r"-\d+(?=\.ipynb$)")  # Canvas adds it to a second attempt
MAX_ENTRIES, MAX_DEPTH = 200_000, 20
MAX_INNER_ZIPS, MAX_INNER_ENTRIES = 10, 5000  # of one student
DIRECTORY_ENTRY = b"PK\x01\x02"  # how an entry of a zip's directory begins: counted before Python reads them all


@dataclass
class Handed:
    """What one student handed in, as the zip has it."""

    person: Person
    origin: Origin
    stamp: str = ""
    entries: list[tuple[str, zipfile.ZipInfo]] = field(default_factory=list)


def collect(course: Course, lab: str, archive: Path, worksheet: Path | None = None) -> list[str]:
    """Unpack a download to `gradebook/submitted/STUDENT/LAB/`, in the place of what stood there for these students.

    Args:
        course: The course.
        lab: The lab.
        archive: The download.
        worksheet: Moodle's grading worksheet of the assignment, with addresses and times of handing in.

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
    sheet = read_worksheet(worksheet, lines) if worksheet else {}
    with opened:
        students = _sort(opened, lines, known_people(course), sheet)
        if not students:
            raise CourseError(f"{archive}: no entry is named as in a download of Moodle or Canvas")
        for student, handed in sorted(students.items()):
            kept = _unpack(opened, handed, course.submitted(student, lab), lab, lines)
            lines.append(f"{student}: {', '.join(kept) or 'nothing that could be read'}")
    _register(course, students)
    add_origins(course, lab, {student: handed.origin for student, handed in students.items()})
    listed = {person.student for person in read_roster(course)}
    if strangers := sorted(students.keys() - listed) if listed else []:
        lines.append(f"not on the roster: {', '.join(strangers)}")
    return lines


def _sort(
    opened: zipfile.ZipFile, lines: list[str], people: Sequence[Person] = (), sheet: dict[str, Line] | None = None
) -> dict[str, Handed]:
    """Entries by student."""
    entries: list[zipfile.ZipInfo] = []
    for number, entry in enumerate(opened.infolist()):
        if number >= MAX_ENTRIES:
            raise CourseError(f"{opened.filename} holds more than {MAX_ENTRIES} entries")
        if refused := _refused(entry):
            lines.append(f"left out {entry.filename!r}: {refused}")
        elif not entry.is_dir():
            entries.append(entry)
    sheet = sheet or {}
    owners = read_names((entry.filename for entry in entries), {person.number for person in people if person.number})
    persons = identify(set(map(_whole, owners.values())), people, sheet, lines)
    students: dict[str, Handed] = {}
    for entry in entries:
        owner = owners.get(entry.filename)
        if owner is None or not owner.rest:
            lines.append(f"left out {entry.filename!r}: its name tells no student")
            continue
        person = persons[_whole(owner)]
        handed = students.get(person.student)
        if handed is None:
            told = sheet.get(owner.number)
            origin = Origin(owner.platform, owner.number, owner.folder, owner.late)
            handed = students[person.student] = Handed(person, origin, told.handed_in if told else "")
        # of Canvas's attempts the last one is answered
        folder = owner.folder if NOTEBOOK.search(owner.rest) else handed.origin.folder
        handed.origin = replace(handed.origin, folder=folder, late=owner.late or handed.origin.late)
        handed.entries.append((owner.rest, entry))
    return students


def _whole(owner: Owner) -> tuple[str, str, str]:
    return owner.platform, owner.name, owner.number


def _refused(entry: zipfile.ZipInfo) -> str:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", entry.filename) or "\0" in entry.filename:
        return "its path leads elsewhere"
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or no file"
    return "it is encrypted" if entry.flag_bits & 1 else ""


def _unpack(opened: zipfile.ZipFile, handed: Handed, folder: Path, lab: str, lines: list[str]) -> list[str]:
    """Write one student's files, and say which.

    Raises:
        CourseError: A symbolic link stands where they belong.
    """
    if folder.parent.is_symlink() or folder.is_symlink():
        raise CourseError(f"{folder} is a symbolic link; remove it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    who = folder.parent.name
    with ExitStack() as stack:
        files = _with_inner_zips(opened, handed, stack, who, lines)
        kept = _write_all(files, folder, lab, lines)
    if kept and handed.stamp:
        (folder / "timestamp.txt").write_text(f"{handed.stamp}\n", encoding="utf-8")
    return kept


File = tuple[str, zipfile.ZipFile, zipfile.ZipInfo]  # the path that the student chose, and where its content is


def _with_inner_zips(
    opened: zipfile.ZipFile, handed: Handed, stack: ExitStack, who: str, lines: list[str]
) -> list[File]:
    """The files of one student; where a zip was handed in that holds a notebook, those in it take its place."""
    files: list[File] = []
    left, zips = MAX_FILES_BYTES, 0  # all zips of one student are held in memory together
    for name, entry in handed.entries:
        inner = []
        if name.lower().endswith(".zip") and zips < MAX_INNER_ZIPS and entry.file_size <= left:
            zips += 1
            try:
                content = _content(opened, entry, left)
                left -= len(content)
                if content.count(DIRECTORY_ENTRY) > MAX_INNER_ENTRIES:
                    raise CourseError(f"more than {MAX_INNER_ENTRIES} entries")
                held = stack.enter_context(zipfile.ZipFile(io.BytesIO(content)))
                some = [one for one in held.infolist() if not one.is_dir() and not _refused(one)]
                inner = [(one.filename, held, one) for one in some if not _of_the_system(one.filename)]
            except Exception as error:  # whatever it is, the others are unpacked; zipfile fails in many ways
                lines.append(f"{who}: {name!r} cannot be read as a zip: {error or type(error).__name__}")
        if any(NOTEBOOK.search(one) for one, _, _ in inner):
            lines.append(f"{who}: the notebook was in {name!r}, a zip within the zip")
            files += inner
        else:
            files.append((name, opened, entry))
    if len(files) > MAX_FILES:
        lines.append(f"left out {len(files) - MAX_FILES} files of {who}: more than {MAX_FILES}")
    return files[:MAX_FILES]


def _of_the_system(name: str) -> bool:
    """Whether a system put the file beside another by itself, as macOS does."""
    parts = PurePosixPath(name).parts
    return bool(LEFT_OUT & set(parts)) or bool(parts and parts[-1].startswith("._"))


def _write_all(files: list[File], folder: Path, lab: str, lines: list[str]) -> list[str]:
    kept, left = [], MAX_FILES_BYTES + MAX_NOTEBOOK_BYTES
    notebooks = sum(bool(NOTEBOOK.search(name)) for name, _, _ in files)
    taken: set[str] = set()
    for name, opened, entry in files:
        parts = [plain_name(part) for part in PurePosixPath(name.replace("\\", "/")).parts]
        if len(parts) == 1 and NOTEBOOK.search(parts[0]):
            bare = VERSION.sub("", parts[0])
            renamed = [f"{lab}.ipynb" if notebooks == 1 or bare == f"{lab}.ipynb" else parts[0]]
            if renamed != parts and bare != renamed[0]:
                lines.append(f"{folder.parent.name}: {name!r} was taken for {renamed[0]}")
            parts = renamed
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


def _register(course: Course, students: dict[str, Handed]) -> None:
    """Tell the gradebook the full names, addresses and ids, which exports need."""
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        for student, handed in students.items():
            person = handed.person
            first, _, last = harmless_name(person.name).rpartition(" ")
            gradebook.update_or_create_student(
                student, first_name=first or None, last_name=last, email=person.email or None,
                lms_user_id=person.number or None,
            )  # fmt: skip
