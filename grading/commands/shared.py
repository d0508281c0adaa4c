"""What several commands share: which labs are meant, and limits as options."""

import argparse

from grading.course import Course
from grading.limits import Limits


def labs(course: Course, lab: str | None) -> list[str]:
    """The lab that was named, or all."""
    return [course.check_lab(lab)] if lab else course.lab_names()


def limits(options: argparse.Namespace) -> Limits:
    """What the options of add_limits() say."""
    seconds = options.time_limit
    return Limits(wall_s=seconds, cell_s=seconds / 2, cpu_s=seconds, memory_mb=options.memory)


def add_limits(command: argparse.ArgumentParser) -> None:
    """Give a command options on what a submission may use."""
    command.add_argument(
        "--time-limit", type=float, default=Limits.wall_s, metavar="S",
        help=f"seconds for one submission (default: {Limits.wall_s:g}); a cell may take half of it",
    )  # fmt: skip
    command.add_argument(
        "--memory", type=int, default=Limits.memory_mb, metavar="MB",
        help=f"MiB of memory for one submission (default: {Limits.memory_mb})",
    )  # fmt: skip
    command.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run submissions with your own rights; never do this with others' code",
    )
