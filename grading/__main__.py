"""The command line of grading: `nnv-grade COMMAND`, from anywhere inside a course; `python -m grading` is the same."""

import argparse
import io
import os
import sys
from pathlib import Path

from grading.commands import grade, labs, people, results
from grading.course import Course, CourseError, shown
from verifier.errors import MissingDependencyError, missing

OURS = ("grading", "course_utils", "verifier")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(
        prog="nnv-grade" if Path(sys.argv[0]).stem == "nnv-grade" else "python -m grading",
        description="Build, release and grade the labs of the course.",
    )
    root.add_argument("--course", type=Path, default=None, help="folder of the course (default: the one you are in)")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (labs, grade, results, people):
        group.add_to(commands)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error of the course is one line on standard error and exit status 1; Ctrl-C gives 130."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for stream in (sys.stdout, sys.stderr):  # a folder's name may hold what is no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    course = Course(options.course.resolve()) if options.course else Course.nearest(Path.cwd())
    try:
        there = course.labs.is_dir() and course.config.is_file()
        if not there and options.command != "doctor":  # the doctor says it among all else
            raise CourseError(f"{course.root} is not the folder of a course; name it: --course FOLDER")
        return int(options.run(course, options))
    except CourseError as error:
        print("\n".join(map(shown, f"grading: {error}".split("\n"))), file=sys.stderr)
        return 1
    except MissingDependencyError as error:
        print(f"grading: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OURS:
            raise
        print(f"grading: {missing(f'{error.name} is not installed', 'grading')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("grading: stopped; what is done is kept, and the same command goes on from there", file=sys.stderr)
        return 130  # as shells report Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
