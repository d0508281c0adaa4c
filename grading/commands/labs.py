"""Commands for whoever writes labs: build, new, release, probe, and what students receive."""

import argparse
import sys
from pathlib import Path

from grading.commands.shared import add_limits, labs, limits
from grading.course import Course, CourseError, shown

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to the parser."""
    build = commands.add_parser("build", help="build each lab's notebook from its text source")
    build.add_argument("lab", nargs="?")
    build.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook is not what its text builds"
    )
    build.set_defaults(run=_build)

    new = commands.add_parser("new", help="write the text of a new lab, to start from")
    new.add_argument("lab")
    new.set_defaults(run=_new)

    release = commands.add_parser("release", help="make the students' version of every lab, or of one")
    release.add_argument("lab", nargs="?")
    release.add_argument(
        "--quick", action="store_true", help="do not judge the notebook with its solutions, which is done once a change"
    )
    release.add_argument(
        "--change-exercises", action="store_true",
        help="also where submissions were recorded with other exercises; removed ones lose their points",
    )  # fmt: skip
    release.set_defaults(run=_release)

    probe = commands.add_parser(
        "probe", help="print what a lab gives for answers that need no understanding; exit 1 if it gives anything"
    )
    probe.add_argument("lab")
    add_limits(probe)
    probe.set_defaults(run=_probe)

    work = commands.add_parser("work", help="copy each released lab once to work/, never over a student's own")
    work.set_defaults(run=_work)

    student = commands.add_parser("student", help="make the archive that students receive, from the released labs")
    student.add_argument("--output", type=Path, help="folder for the archive (default: dist)")
    student.set_defaults(run=_student)


def _build(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.build import build_lab, build_notebook

    stale = 0
    for lab in labs(course, options.lab):
        if options.check:
            path = course.source_notebook(lab)
            built = build_notebook(course.text_source(lab).read_text(encoding="utf-8"))
            fresh = path.is_file() and path.read_text(encoding="utf-8") == built
            print(f"{lab}: {'up to date' if fresh else 'differs from its text source; run make build'}")
            stale += not fresh
        else:
            path, changed = build_lab(course, lab)
            print(f"{lab}: {path} {'written' if changed else 'unchanged'}")
    return 1 if stale else 0


def _new(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.new import write_new_lab

    print(f"wrote {write_new_lab(course, options.lab)}; next: python -m grading release {options.lab}")
    return 0


def _release(course: Course, options: argparse.Namespace) -> int:
    from grading.book.nbgrader import release
    from grading.office.authoring import check_contract, check_own_notebook

    failed = 0
    for lab in labs(course, options.lab):
        try:
            check_contract(course, lab)
            if not options.quick:
                check_own_notebook(course, lab)
            release(course, lab, change_exercises=options.change_exercises)
            print(f"released {lab}: {course.released_notebook(lab)}")
        except CourseError as error:  # the other labs are released
            print("\n".join(map(shown, f"grading: {error}".split("\n"))), file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _probe(course: Course, options: argparse.Namespace) -> int:
    from grading.office.probe import probe, table

    earned = probe(course, course.check_lab(options.lab), limits(options), unsafe=options.unsafe_no_sandbox)
    print(table(earned))
    return 1 if any(one.points > 0 for one in earned) else 0


def _work(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.archive import copy_once

    for line in copy_once(course):
        print(line)
    return 0


def _student(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.archive import build_archive

    archive = build_archive(course, options.output or course.root / "dist")
    print(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0
