"""Who takes the course: `gradebook/roster.csv`, from a csv of one's own, Moodle's or Canvas's.

One person is one student in all labs. Who they are is told by the platform's id, else by the address, else by the
name, and never by a number that a platform gives out again for each assignment.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from nbgrader.api import Gradebook

from grading.book.nbgrader import load_config
from grading.course import Course, CourseError
from grading.office.lms_names import alike
from grading.office.safe_names import harmless_name, plain_name

MAX_BYTES = 20 * 2**20
NOBODY = {"Points Possible", "Student, Test"}  # rows of Canvas's that are not people
# what a column means, by the heads that platforms give it
HEADS = {
    "student": {"student id", "id in the gradebook"},
    "name": {"name", "full name", "display name", "student name"},
    "first": {"first name", "firstname", "given name"},
    "last": {"last name", "surname", "lastname", "family name"},
    "email": {"email", "email address", "e-mail", "e-mail address", "mail"},
    "number": {"number", "canvas id", "canvas user id"},
    "login": {"login", "username", "sis login id", "user name"},
    "sis": {"sis user id", "id number"},
    "section": {"section"},
}


@dataclass(frozen=True)
class Person:
    """One who takes the course.

    Args:
        student: nbgrader's id, which folders have.
        name: Full name.
        email: Address, or empty.
        number: Canvas's id, or empty.
        login: Name to log in with, or empty.
        sis: The id of the register of students, or empty.
        section: Canvas's section, or empty.
    """

    student: str
    name: str
    email: str = ""
    number: str = ""
    login: str = ""
    sis: str = ""
    section: str = ""


def roster_path(course: Course) -> Path:
    """The file of the roster."""
    return course.gradebook / "roster.csv"


def read_roster(course: Course) -> list[Person]:
    """Everyone who takes the course; empty where no roster was imported."""
    path = roster_path(course)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [one.name for one in fields(Person)]
    return [Person(**{name: row.get(name) or "" for name in names}) for row in rows if row.get("student")]


def known_people(course: Course) -> list[Person]:
    """The roster, and those whom only the gradebook knows."""
    people = {person.student: person for person in read_roster(course)}
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        for one in gradebook.students:
            name = " ".join(filter(None, [one.first_name, one.last_name]))
            people.setdefault(one.id, Person(one.id, name or one.id, one.email or "", one.lms_user_id or ""))
    return list(people.values())


def import_roster(course: Course, file: Path) -> list[str]:
    """Read a list of those who take the course; it takes the place of an earlier one, and everyone keeps their id.

    Args:
        course: The course.
        file: A csv: Canvas's gradebook export, Moodle's list of participants or grading worksheet, or one with the
            columns student, name, email, number. Comma, semicolon or tab between its columns.

    Returns:
        Lines that say what was done.

    Raises:
        CourseError: It has no column with names, or nobody in it.
    """
    told = _read_people(file)
    if not told:
        raise CourseError(f"{file} names nobody")
    known = known_people(course)
    taken: set[str] = set()
    people: list[Person] = []
    for one in told:
        match = same_person(one, known, told)
        if match is not None and match.student in taken:
            match = None
        if match is not None:
            kept = {name.name: getattr(one, name.name) or getattr(match, name.name) for name in fields(Person)}
            one = Person(**{**kept, "student": match.student})
        else:
            others = {person.student.casefold() for person in (*known, *people)}
            one = replace(one, student=_free(one.student or plain_name(one.name), others, one))
        taken.add(one.student)
        people.append(one)
    _write(course, people)
    _register(course, people)
    gone = [person.student for person in known if person.student not in taken]
    lines = [f"roster: {len(people)} students in {roster_path(course)}"]
    lines += [f"not in {file.name}, and kept in the gradebook: {', '.join(sorted(gone))}"] if gone else []
    twice = [name for name, count in Counter(alike(one.name) for one in people).items() if count > 1]
    lines += [
        f"{' and '.join(one.student for one in people if alike(one.name) == name)} have one name; their downloads from "
        "Moodle need the grading worksheet"
        for name in twice
    ]
    return lines


def same_person(one: Person, known: Iterable[Person], beside: Iterable[Person] = ()) -> Person | None:
    """The known person who is meant; None where it is nobody, or could be several.

    Args:
        one: With what a platform says of them.
        known: Everyone that is known.
        beside: All that the same list names: a name that stands there twice tells nobody.
    """
    known = list(known)
    for key in ("student", "number", "email", "sis", "login"):
        value = getattr(one, key).casefold()
        found = [person for person in known if value and getattr(person, key).casefold() == value]
        if len(found) == 1:
            return found[0]
    name = alike(one.name)
    if sum(alike(other.name) == name for other in beside) > 1:
        return None
    found = [person for person in known if name and alike(person.name) == name]
    if len(found) != 1:
        return None
    # two addresses or ids are two people, whatever their names
    told = [(getattr(one, key), getattr(found[0], key)) for key in ("number", "email", "sis")]
    return None if any(a and b and a.casefold() != b.casefold() for a, b in told) else found[0]


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a csv, by the heads of its columns in lower case; comma, semicolon or tab between them.

    Raises:
        CourseError: It cannot be read.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CourseError(f"{file} is larger than {MAX_BYTES >> 20} MiB; is it a list of students?")
        content = file.read_bytes()
    except OSError as error:
        raise CourseError(f"{file} cannot be read: {error.strerror}") from None
    for encoding in ("utf-16", "utf-8-sig", "cp1252", "latin-1"):
        if encoding == "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise CourseError(f"{file} is not a table: {error}") from None
    return [
        {key.strip().casefold(): (value or "").strip() for key, value in row.items() if key is not None} for row in rows
    ]


def _read_people(file: Path) -> list[Person]:
    found = []
    rows = read_table(file)
    canvas = bool(rows) and "student" in rows[0] and "id" in rows[0]
    for row in rows:
        told = {
            what: next((row[head] for head in row if head in heads and row[head]), "") for what, heads in HEADS.items()
        }
        if canvas:
            told["name"], told["number"] = row["student"], row["id"]
            if not row["id"].isdigit() or row["student"] in NOBODY:
                continue
        elif "student" in row:
            told["student"] = row["student"]
        name = told["name"] or f"{told['first']} {told['last']}".strip()
        last, comma, first = name.partition(",")
        name = harmless_name(f"{first.strip()} {last.strip()}" if comma else name) or told["student"]
        email = told["email"] or (told["login"] if "@" in told["login"] else "")
        if name:
            student = plain_name(told["student"]) if told["student"] else ""
            found.append(Person(student, name, email, told["number"], told["login"], told["sis"], told["section"]))
    if rows and not found:
        raise CourseError(
            f"{file} has no column of names; its columns are {', '.join(filter(None, rows[0]))}. "
            "Wanted: student, name, email, number"
        )
    return found


def _free(wished: str, taken: set[str], one: Person) -> str:
    if wished.casefold() not in taken:
        return wished
    endings = filter(None, [one.number, one.email.partition("@")[0], one.sis])
    tried = [f"{wished}_{plain_name(ending)}" for ending in endings]
    tried += [f"{wished}_{k}" for k in range(2, len(taken) + 3)]
    return next(name for name in tried if name.casefold() not in taken)


def _write(course: Course, people: list[Person]) -> None:
    path = roster_path(course)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".made")
    with made.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([one.name for one in fields(Person)])
        writer.writerows(astuple(person) for person in sorted(people, key=lambda one: one.student))
    made.replace(path)


def _register(course: Course, people: list[Person]) -> None:
    settings = load_config(course).CourseDirectory
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        for person in people:
            first, _, last = person.name.rpartition(" ")
            gradebook.update_or_create_student(
                person.student, first_name=first or None, last_name=last, email=person.email or None,
                lms_user_id=person.number or None,
            )  # fmt: skip
