"""What became of one test cell, as the judge says it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Loss(StrEnum):
    """Why nothing more can be asked of a process that runs a student's code."""

    TIME = "time"  # it did not answer in time
    ENDED = "ended"  # its end of the socket was closed
    UNREADABLE = "unreadable"  # what it said is not an answer


@dataclass(frozen=True)
class Outcome:
    """What became of one test cell.

    Args:
        grade_id: Its name in the gradebook.
        points: Points earned.
        max_points: Points it is worth.
        message: Why it did not pass, in one line that a student may read, or empty.
        detail: The same for the instructor; it may hold text of the student's.
        printed: What the cell printed, for the instructor.
        out_of_time: It did not pass, and time may be the reason: someone has to look.
        lost: Why the process with the student's values could not be asked, where that was so.
    """

    grade_id: str
    points: float
    max_points: float
    message: str = ""
    detail: str = ""
    printed: str = ""
    out_of_time: bool = False
    lost: Loss | None = None

    @property
    def passed(self) -> bool:
        """Whether the cell ran to its end."""
        return not self.message

    def to_data(self) -> dict[str, Any]:
        """The outcome as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Outcome":
        """What to_data() wrote."""
        return cls(**{**data, "lost": read_loss(data.get("lost"))})


def read_loss(told: Any) -> Loss | None:
    """A loss as JSON holds it; None where it is not one."""
    return Loss(told) if told in list(Loss) else None
