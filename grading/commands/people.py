"""Commands on who takes the course, and when: roster, collect, due dates, extensions."""

import argparse
from pathlib import Path

from grading.course import Course, CourseError, shown

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to the parser."""
    roster = commands.add_parser("roster", help="say who takes the course")
    actions = roster.add_subparsers(dest="action", required=True, metavar="ACTION")
    imported = actions.add_parser("import", help="read a csv: one of your own, Moodle's or Canvas's")
    imported.add_argument("file", type=Path)
    imported.set_defaults(run=_roster)
    listed = actions.add_parser("list", help="print the roster")
    listed.set_defaults(run=_roster, file=None)

    collect = commands.add_parser("collect", help="unpack a download of Moodle or Canvas into gradebook/submitted/")
    collect.add_argument("zip", type=Path)
    collect.add_argument("--lab", required=True)
    collect.add_argument(
        "--worksheet", type=Path, metavar="CSV",
        help="Moodle's grading worksheet of the assignment: who each participant is, and when they handed in",
    )  # fmt: skip
    collect.set_defaults(run=_collect)

    due = commands.add_parser("due", help="set or print due dates, and what lateness costs")
    due.add_argument("lab", nargs="?")
    due.add_argument("date", nargs="?", help='"2026-12-01 23:59" in local time, with an offset, or "never"')
    due.add_argument("--penalty-per-day", type=float, metavar="SHARE", help="share of the points for each started day")
    due.add_argument("--grace", type=float, metavar="MINUTES", help="lateness that costs nothing")
    due.set_defaults(run=_due)

    seed = commands.add_parser("seed", help="set or print the seed of the term's hidden tests")
    seed.add_argument("number", nargs="?", type=int, help="a whole number; 0: the numbers that stand in the labs")
    seed.set_defaults(run=_seed)

    extend = commands.add_parser("extend", help="give one student another due date")
    extend.add_argument("student")
    extend.add_argument("lab")
    extend.add_argument("until", help='as for `due`; "none" takes it back')
    extend.set_defaults(run=_extend)


def _roster(course: Course, options: argparse.Namespace) -> int:
    from grading.office.roster import import_roster, read_roster

    if options.file is not None:
        lines = import_roster(course, options.file)
    else:
        lines = [f"{one.student}  {one.name}  {one.email}  {one.number}".rstrip() for one in read_roster(course)]
    for line in lines or ["no roster yet: python -m grading roster import FILE"]:
        print(shown(line))
    return 0


def _collect(course: Course, options: argparse.Namespace) -> int:
    from grading.office.collect import collect

    lab = course.check_lab(options.lab)
    for line in collect(course, lab, options.zip, options.worksheet):
        print(shown(line))
    return 0


def _due(course: Course, options: argparse.Namespace) -> int:
    from grading.book.deadlines import read_deadlines, set_due

    lab = course.check_lab(options.lab) if options.lab else None
    if lab and (options.date or options.penalty_per_day is not None or options.grace is not None):
        set_due(course, lab, options.date, penalty_per_day=options.penalty_per_day, grace_minutes=options.grace)
        print("points change with the next `python -m grading autograde LAB`, which runs no notebook again for it")
    for name, one in read_deadlines(course).items():
        if lab in (None, name):
            cost = "nbgrader's plugin" if one.penalty_per_day is None else f"{one.penalty_per_day:.0%} per started day"
            print(f"{name}: due {one.due or 'never'}, grace {one.grace_minutes:g} min, late: {cost}")
            for student, until in sorted(one.extensions.items()):
                print(shown(f"  {student}: {until}"))
    return 0


def _seed(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.hidden_seed import read_seed, write_seed

    if options.number is not None:
        write_seed(course, options.number)
        print("`python -m grading release` checks that the solutions still earn every point")
    print(f"seed of the hidden tests: {read_seed(course)}")
    return 0


def _extend(course: Course, options: argparse.Namespace) -> int:
    from grading.book.deadlines import extend
    from grading.book.nbgrader import submissions
    from grading.office.roster import known_people

    lab = course.check_lab(options.lab)
    if options.student not in {person.student for person in known_people(course)} | set(submissions(course, lab)):
        raise CourseError(f"nobody is called {options.student!r}; `python -m grading roster list` lists the students")
    extend(course, options.student, lab, options.until)
    print(shown(f"{options.student}: {lab} is due {options.until}; grade again to charge it"))
    return 0
