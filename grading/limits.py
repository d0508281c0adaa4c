"""What one submission may use, for the process that runs it and for the one that judges it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# the judge has so much more than a submission, and keeps its hands off it: so it notices that memory is used up before
# the guard does, who would end it
JUDGES_SPARE_MB = 256


class Ended(StrEnum):
    """How all processes of one submission came to their end, as their guard says."""

    STOPPED = "stopped"  # whoever started them wanted it
    ENDED = "ended"  # by themselves
    TIME = "time"
    CPU = "cpu"
    MEMORY = "memory"
    LOST = "lost"  # the guard did not say


@dataclass(frozen=True)
class Limits:
    """Limits on all processes of one submission together, unless a field says otherwise.

    Args:
        wall_s: Seconds on the clock.
        cell_s: Seconds on the clock for any one cell, which is interrupted then; the next cell still runs.
        cpu_s: Seconds of computing.
        memory_mb: MiB of memory beyond the libraries that every submission shares, its files in /tmp included.
        processes: Processes and threads.
        open_files: Descriptors of each process.
        file_mb: MiB of any one file.
        tmp_mb: MiB of all files; they are held in memory.
        output_kb: KiB of what all cells print and draw.
    """

    wall_s: float = 600.0
    cell_s: float = 300.0
    cpu_s: float = 600.0
    memory_mb: int = 2048
    processes: int = 64
    open_files: int = 256
    file_mb: int = 64
    tmp_mb: int = 256
    output_kb: int = 4096

    def to_data(self) -> dict[str, Any]:
        """The limits as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Limits":
        """The limits that to_data() wrote."""
        return cls(**data)
