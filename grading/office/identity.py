"""Which student an owner named by a download is: one person is one student in all labs."""

from collections.abc import Iterable, Mapping, Sequence

from grading.office.lms_names import HIDDEN_NAMES, Platform, alike, without_group
from grading.office.roster import Person, same_person
from grading.office.safe_names import plain_name
from grading.office.worksheet import Line

Named = tuple[str, str, str]  # platform, name, number


def identify(
    owners: Iterable[Named], people: Sequence[Person], sheet: Mapping[str, Line], lines: list[str]
) -> dict[Named, Person]:
    """The person behind each owner, one that is known or a new one.

    Args:
        owners: As a download names them.
        people: Everyone that is known.
        sheet: Moodle's worksheet by participant's number, or empty.
        lines: What the instructor should know of it is added here.
    """
    found: dict[Named, Person] = {}
    moodle = sorted(owner for owner in owners if owner[0] == Platform.MOODLE)
    for owner in sorted(owner for owner in owners if owner[0] == Platform.CANVAS):
        found[owner] = _of_canvas(owner, people)
    known = {alike(person.name) for person in people}
    names = {
        owner: sheet[owner[2]].name if _named(sheet, owner) else without_group(owner[1], known) for owner in moodle
    }
    beside = [Person("", name) for name in names.values()]
    for owner in moodle:
        told = sheet.get(owner[2])
        name = names[owner]
        if name.casefold() in HIDDEN_NAMES:  # Moodle hides who it is
            found[owner] = Person(f"{plain_name(name)}_{owner[2]}", f"{name} {owner[2]}")
            continue
        person = same_person(Person("", name, told.email if told else ""), people, beside)
        new = person is None
        if person is None:
            person = Person(plain_name(name), name, told.email if told else "")
        namesakes = sum(alike(one.name) == alike(name) for one in beside) > 1
        meant = sum(alike(one.name) == alike(name) for one in people) > 1
        if new and (namesakes or meant):
            if told and told.email:
                person = Person(f"{plain_name(name)}_{plain_name(told.email.partition('@')[0])}", name, told.email)
            else:
                person = Person(f"{plain_name(name)}_{owner[2]}", name)
                lines.append(
                    f"{person.student}: more than one student is called {name!r}; give Moodle's grading worksheet "
                    "(--worksheet FILE), whose addresses tell who this is: the number is another one in each assignment"
                )
        found[owner] = person
    return found


def _named(sheet: Mapping[str, Line], owner: Named) -> bool:
    return owner[2] in sheet and bool(sheet[owner[2]].name)


def _of_canvas(owner: Named, people: Sequence[Person]) -> Person:
    _, name, number = owner
    by_number = [person for person in people if person.number == number]
    if by_number:
        return by_number[0]
    if name != "anon":  # a roster without Canvas's ids: Canvas writes `leeann` for Lee, Ann
        by_name = [person for person in people if not person.number and name in _as_canvas_writes(person.name)]
        if len(by_name) == 1:
            one = by_name[0]
            return Person(one.student, one.name, one.email, number, one.login, one.sis, one.section)
    return Person(f"{plain_name(name)}_{number}", name, number=number if number.isdigit() and name != "anon" else "")


def _as_canvas_writes(name: str) -> set[str]:
    words = ["".join(filter(str.isalnum, word)) for word in name.casefold().split()]
    return {"".join(words[k:] + words[:k]) for k in range(len(words))}
