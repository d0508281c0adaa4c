"""Whose an entry of a download is, as Canvas and Moodle name them.

Canvas: `NAME[_LATE]_USERID_ATTACHMENTID_FILE`, anonymous `[LATE_]anon_ID_ATTACHMENTID_FILE`. NAME may end in an
underscore and digits, and FILE may begin with both, so up to two readings of one name are possible.
Moodle: `[GROUP-]Full Name_NUMBER_assignsubmission_file_...`, where NUMBER is another one in each assignment.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Platform(StrEnum):
    """Where a download comes from."""

    CANVAS = "canvas"
    MOODLE = "moodle"


@dataclass(frozen=True)
class Owner:
    """Whose an entry is, as its name says it.

    Args:
        platform: Where the name comes from.
        name: As the platform writes it; `anon` where it hides the name.
        number: Canvas: the person's id. Moodle: the participant's number in this one assignment.
        rest: The path that the student chose.
        late: Canvas's mark; None where the platform has none.
        folder: Moodle's own name of the folder, or how Canvas begins the file's name: both want it back with feedback.
    """

    platform: Platform
    name: str
    number: str
    rest: str
    late: bool | None = None
    folder: str = ""

    @property
    def hidden(self) -> bool:
        """Whether the platform hides the person's name."""
        return (self.platform is Platform.CANVAS and self.name == "anon") or (
            self.platform is Platform.MOODLE and self.name.casefold() in HIDDEN_NAMES
        )


MOODLE = re.compile(
    r"(?P<folder>(?P<name>[^/]+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)_?)/?(?P<rest>.*)"
)
ANONYMOUS = re.compile(r"(?P<late>LATE_)?anon_(?P<number>[A-Za-z0-9]+)_(?P<attachment>\d+)_(?P<rest>[^/]+)")
CANVAS = re.compile(r"(?P<name>[^/]+?)(?P<late>_LATE)?_(?P<number>\d+)_(?P<attachment>\d+)_(?P<rest>[^/]+)")
# the part that CANVAS took for FILE, where the name may be longer: NAME_number, ATTACHMENTID was the id
LONGER = re.compile(r"(?P<attachment>\d+)_(?P<rest>[^/]+)")
HIDDEN_NAMES = {"participant", "teilnehmer", "teilnehmer-in", "teilnehmer_in"}
GROUP = re.compile(
    r"(?:[^-]*\d[^-]*|(?:default )?(?:group|team|gruppe|groupe|grupo|section|class|tutorial)\b[^-]*)-(?P<name>.+)",
    re.IGNORECASE,
)
MAX_NAME = 300  # a longer name is nobody's, and would take long to look through
SHORTER_BY = 2  # digits by which a number of a name is shorter than an id, where nothing else tells


@dataclass(frozen=True)
class Reading:
    """One way to read a name of Canvas's."""

    owner: Owner
    attachment: str


def read_names(names: Iterable[str], known: Collection[str] = ()) -> dict[str, Owner]:
    """The owner of each entry of a download that is named as Canvas or Moodle name them.

    Args:
        names: Paths in the zip.
        known: Ids of Canvas that belong to somebody: of two readings, the one with a known id counts.
    """
    found: dict[str, Owner] = {}
    readings = {name: canvas_readings(name) for name in names}
    plain = [some[0] for some in readings.values() if len(some) == 1]
    for name, some in readings.items():
        # Canvas's form first: what stands before a student's own file name is the platform's, and no name of Moodle's
        # has that form, while a file of Canvas's may have been named as if Moodle had done it
        owner = _decide(some, plain, known) if some else _moodle(name)
        if owner is not None:
            found[name] = owner
    return found


def canvas_readings(name: str) -> list[Reading]:
    """Every way to read a name of Canvas's, the shortest NAME first; Canvas itself lets no NAME hold `_1_`."""
    if match := ANONYMOUS.fullmatch(name):
        owner = Owner(
            Platform.CANVAS, "anon", match["number"], match["rest"], bool(match["late"]), name[: match.start("rest")]
        )
        return [Reading(owner, match["attachment"])]
    match = CANVAS.fullmatch(name)
    if match is None:
        return []
    begins = name[: match.start("rest")]
    first = Owner(Platform.CANVAS, match["name"], match["number"], match["rest"], bool(match["late"]), begins)
    found = [Reading(first, match["attachment"])]
    longer = LONGER.fullmatch(match["rest"])
    if longer and not match["late"]:
        second = Owner(
            Platform.CANVAS,
            f"{match['name']}_{match['number']}",
            match["attachment"],
            longer["rest"],
            False,
            name[: len(name) - len(longer["rest"])],
        )
        found.append(Reading(second, longer["attachment"]))
    return found


def _decide(some: list[Reading], plain: list[Reading], known: Collection[str]) -> Owner:
    """The reading that ids, other entries and the numbers' lengths speak for."""
    first, *others = some
    if not others:
        return first.owner
    second = others[0]
    if (first.owner.number in known) != (second.owner.number in known):
        return first.owner if first.owner.number in known else second.owner
    lengths = {(len(one.owner.number), len(one.attachment)) for one in plain if one.owner.name != "anon"}
    alike = [(len(one.owner.number), len(one.attachment)) in lengths for one in some]
    if alike[0] != alike[1]:
        return some[alike.index(True)].owner
    if int(second.attachment) < int(second.owner.number):  # a platform holds more files than people
        return first.owner
    shorter = len(first.owner.number) + SHORTER_BY <= len(second.owner.number)
    return second.owner if shorter else first.owner


def _moodle(name: str) -> Owner | None:
    match = MOODLE.fullmatch(name)
    if match is None or not match["rest"]:
        return None
    return Owner(Platform.MOODLE, match["name"], match["number"], match["rest"], None, match["folder"])


def alike(name: str) -> str:
    """A name as two systems write it differently: letters and figures, without accents, upper case and order."""
    text = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(" " if letter == "_" else letter for letter in text if not unicodedata.combining(letter))
    words = re.findall(r"\w+", bare)
    return " ".join(sorted(words))


def without_group(name: str, known: Collection[str] = ()) -> str:
    """A name of Moodle's without the name of a group in front of it.

    Args:
        name: As it stands in the zip.
        known: Names in the form of `alike()` that belong to somebody.

    Example:
        >>> without_group("Group 3-Ann-Marie Lee"), without_group("Ann-Marie Lee")
        ('Ann-Marie Lee', 'Ann-Marie Lee')
    """
    if len(name) > MAX_NAME or alike(name) in known:
        return name
    for position, letter in enumerate(name):
        if letter in "-_" and alike(name[position + 1 :]) in known:
            return name[position + 1 :].strip()
    match = GROUP.fullmatch(name)
    return match["name"].strip() if match else name
