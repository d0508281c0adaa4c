"""What became of one test cell, as the judge says it."""

from dataclasses import asdict, dataclass
from typing import Any


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
    """

    grade_id: str
    points: float
    max_points: float
    message: str = ""
    detail: str = ""
    printed: str = ""
    out_of_time: bool = False

    @property
    def passed(self) -> bool:
        """Whether the cell ran to its end."""
        return not self.message

    def to_data(self) -> dict[str, Any]:
        """The outcome as JSON holds it."""
        return asdict(self)
